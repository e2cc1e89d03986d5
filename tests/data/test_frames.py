"""pandas, polars and Arrow frames."""

import datetime as dt
import sys
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from arro3.core import Table

from ratecast.data.read import read_table
from ratecast.errors import DataError

NEW_YEAR = dt.datetime.fromisoformat("2020-01-01")
TEXTS = ["fine", None, "ok 🎉"]


def test_pandas_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = pd.to_datetime(["2020-01-01", None, "2021-06-01T10:00"], format="ISO8601")
    frame = pd.DataFrame(
        {
            "text": pd.Series(TEXTS, dtype=object),
            "stars": [4.0, float("nan"), 3.5],
            "n": pd.array([1, None, 3], dtype="Int64"),
            "mixed": [1, "a", None],
            "time": moments,
            "zoned": moments.tz_localize("Europe/Berlin"),
            "kind": pd.Categorical(["a", "b", None]),
            7: [True, False, True],
        }
    )
    frame.index = pd.Index([3, 3, 5])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    read = read_table(frame)
    found = {name: list(read.table[name].to_pylist()) for name in read.table.column_names}
    assert found == {
        "text": TEXTS,
        "stars": [4.0, None, 3.5],
        "n": [1, None, 3],
        "mixed": ["1", "a", None],
        "time": [NEW_YEAR, None, NEW_YEAR + dt.timedelta(days=517, hours=10)],
        "zoned": [NEW_YEAR - dt.timedelta(hours=1), None, NEW_YEAR + dt.timedelta(days=517, hours=8)],
        "kind": ["a", "b", None],
        "7": [True, False, True],
    }
    assert read.source == "the pandas frame"


def test_pandas_strings() -> None:
    frame = pd.DataFrame({"text": pd.array(TEXTS, dtype="string"), "n": [1, 2, 3]})
    assert read_table(frame).table["text"].to_pylist() == TEXTS


@pytest.mark.parametrize("is_lazy", [False, True])
def test_polars(is_lazy: bool) -> None:
    frame = pl.DataFrame({"text": TEXTS, "kind": pl.Series(["a", "b", "a"], dtype=pl.Categorical), "n": [1, 2, None]})
    read = read_table(frame.lazy() if is_lazy else frame)
    assert read.table["text"].to_pylist() == TEXTS
    assert read.table["kind"].to_pylist() == ["a", "b", "a"]
    assert read.source == "the polars frame"


def test_arrow() -> None:
    frame = pa.table({"text": TEXTS, "stars": [1, 2, 3]})
    assert read_table(frame).table["stars"].to_pylist() == [1, 2, 3]
    assert read_table(Table.from_arrow(frame)).table["text"].to_pylist() == TEXTS


def dataset_class(base: type[Any], **members: Any) -> type[Any]:
    return type("Dataset", (base,), {"__module__": "datasets.arrow_dataset", **members})


def test_hugging_face_data_sets_keep_a_selection_of_rows() -> None:
    class Formatted:
        def __getitem__(self, rows: slice) -> pa.Table:
            return pa.table({"text": ["selected"]})

    data = dataset_class(object, with_format=lambda self, kind: Formatted(), data=pa.table({"text": ["all", "selected"]}))()
    assert read_table(data).table["text"].to_pylist() == ["selected"]


def test_a_dictionary_of_data_sets_is_refused() -> None:
    data = dataset_class(dict)({"train": 1, "test": 2})
    with pytest.raises(DataError, match="choose one of 'train', 'test'"):
        read_table(data)


@pytest.mark.parametrize("source", [3, None, {"text": ["a"]}, [], ["a.csv", 3], object()])
def test_anything_else_is_refused(source: Any) -> None:
    with pytest.raises(DataError, match="cannot read a table from an object of type"):
        read_table(source)


def test_a_frame_without_rows_is_refused() -> None:
    with pytest.raises(DataError, match=r"the pandas frame has a header \(text\) and no rows"):
        read_table(pd.DataFrame({"text": []}))
    with pytest.raises(DataError, match="no rows"):
        read_table(pl.DataFrame())
