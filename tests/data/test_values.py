"""Numbers, texts and times as they are written."""

import math

import numpy as np
import pyarrow as pa
import pytest
from arro3.core import ChunkedArray, DataType, Table

from ratecast.data.table import build_table
from ratecast.data.values import read_numbers, read_strings, read_times


def column(values: list[object]) -> ChunkedArray:
    return build_table({"value": values})["value"]


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        *[
            ("4", 4.0),
            (" 4.5 ", 4.5),
            ("4,5", 4.5),
            ("-1", -1.0),
            ("+3", 3.0),
            ("1e1", 10.0),
            ("\N{FULLWIDTH DIGIT FOUR}", 4.0),
        ],
        *[("inf", math.inf), ("-Infinity", -math.inf)],
    ],
)
def test_numbers(cell: str, number: float) -> None:
    found = read_numbers(column([cell, "x"]))
    assert found.values[0] == number
    assert not found.is_absent[0]
    assert not found.is_word[0]


@pytest.mark.parametrize("cell", [None, "", "  ", "-", "N/A", "null", "None", "NA"])
def test_absent_numbers(cell: str | None) -> None:
    found = read_numbers(column([cell, "x"]))
    assert np.isnan(found.values[0])
    assert found.is_absent.tolist() == [True, False]
    assert found.is_word.tolist() == [False, True]


@pytest.mark.parametrize("cell", ["good", "4/5", "5 stars", "1_0", "4,5,6", "1,234.5", "--"])
def test_words(cell: str) -> None:
    found = read_numbers(column([cell]))
    assert np.isnan(found.values[0])
    assert found.is_word.all()


def test_nan_in_a_text_is_a_number_that_is_none() -> None:
    found = read_numbers(column(["nan", "NaN", "4,5", "4.5"]))
    assert np.isnan(found.values[:2]).all()
    assert not found.is_word.any()
    assert not found.is_absent.any()
    assert found.decimal_commas == 1


def test_numeric_columns() -> None:
    found = read_numbers(column([1.5, None, math.nan]))
    assert found.values[0] == 1.5
    assert np.isnan(found.values[1:]).all()
    assert found.is_absent.tolist() == [False, True, False]
    assert read_numbers(column([True, False, None])).values[:2].tolist() == [1.0, 0.0]
    assert read_numbers(column([3, 4])).values.tolist() == [3.0, 4.0]


def test_columns_of_other_types_hold_no_numbers() -> None:
    lists = Table.from_arrow(pa.table({"value": [[1], [2]]}))["value"]
    assert read_numbers(lists).is_word.all()


def test_strings() -> None:
    assert read_strings(column(["a", "", None])).tolist() == ["a", None, None]
    assert read_strings(column([1, None])).tolist() == ["1", None]
    assert read_strings(column([1.0, 2.5, math.nan, None])).tolist() == ["1", "2.5", None, None]


NOON = np.datetime64("2021-03-04T12:00:00", "us")
DAY = np.datetime64("2021-03-04", "us")


@pytest.mark.parametrize(
    ("cell", "time"),
    [
        *[("2021-03-04", DAY), ("2021-03-04T12:00", NOON), ("2021-03-04 12:00:00.000", NOON), ("2021-03-04T12:00:00Z", NOON)],
        *[("2021-03-04T14:00:00+02:00", NOON), ("20210304", DAY), ("1614859200", NOON), ("1614859200000", NOON)],
        *[("03 4, 2021", DAY), ("March 4, 2021", DAY), ("Mar 4, 2021", DAY), ("4 March 2021", DAY), ("2021/03/04", DAY)],
        *[("04.03.2021", DAY), (1614859200, NOON), (1614859200000, NOON), (1614859200.0, NOON), (20210304, DAY)],
        *[(1614859200000000, NOON), (2021, np.datetime64("2021-01-01", "us"))],
    ],
)
def test_times(cell: object, time: np.datetime64) -> None:
    times, unreadable = read_times(column([cell]))
    assert times.dtype == np.dtype("datetime64[us]")
    assert times[0] == time
    assert unreadable == 0


def test_times_of_a_time_type() -> None:
    table = Table.from_arrow(
        pa.table(
            {
                "ms": pa.array([1614859200000, None], pa.timestamp("ms")),
                "ns": pa.array([1614859200000000000, None], pa.timestamp("ns", tz="Europe/Berlin")),
                "day": pa.array([18690, None], pa.date32()),
            }
        )
    )
    for name, expected in (("ms", NOON), ("ns", NOON), ("day", DAY)):
        times, unreadable = read_times(table[name])
        assert times[0] == expected
        assert np.isnat(times[1])
        assert unreadable == 0


def test_what_is_no_time_is_counted() -> None:
    times, unreadable = read_times(column(["2021-03-04", "yesterday", "", None, "3/4/2021", "n/a", "1e300", "nan"]))
    assert np.isnat(times[1:]).all()
    assert unreadable == 4
    assert read_times(column([math.inf, math.nan, 1e300, 20211399.0]))[1] == 4


def test_rows_in_several_chunks() -> None:
    parts = ChunkedArray([column(["1", "2"]).chunks[0], column(["x"]).chunks[0]], DataType.large_utf8())
    assert read_numbers(parts).is_word.tolist() == [False, False, True]
