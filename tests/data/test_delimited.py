"""CSV and its relatives, well-formed and not."""

import csv
import time
from pathlib import Path

import pytest

from ratecast.data.delimited import read_delimited
from ratecast.data.table import TableRead
from ratecast.errors import DataError


def read(folder: Path, text: str, name: str = "reviews.csv") -> TableRead:
    path = folder / name
    path.write_bytes(text.encode())
    return read_delimited(path)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimiters_and_line_ends(tmp_path: Path, delimiter: str, end: str) -> None:
    rows = [["text", "stars"], ["good; really | very,\tgood", "5"], ["two\nlines", "4"], ['say "no"', "1"]]
    quoted = end.join(delimiter.join(f'"{cell}"'.replace('say "no"', 'say ""no""') for cell in row) for row in rows)
    found = read(tmp_path, quoted + end)
    assert found.table["text"].to_pylist() == [row[0] for row in rows[1:]]
    assert found.table["stars"].to_pylist() == [5, 4, 1]
    assert found.notes == ()


def test_a_single_column_keeps_its_commas(tmp_path: Path) -> None:
    found = read(tmp_path, "text\nGreat phone, poor battery\nfine; really\n")
    assert found.table["text"].to_pylist() == ["Great phone, poor battery", "fine; really"]


def test_quotation_marks_escaped_by_backslashes(tmp_path: Path) -> None:
    found = read(tmp_path, 'text,stars\n"they said \\"no\\", twice",1\n"fine",4\n')
    assert found.table["text"].to_pylist() == ['they said "no", twice', "fine"]


def test_tables_that_quote_nothing(tmp_path: Path) -> None:
    rows = 'text\tstars\n"Never closed\t1\nfine\t4\nsaid "no" twice\t2\n"open again\t3\n'
    found = read(tmp_path, rows, "reviews.tsv")
    assert found.table["text"].to_pylist() == ['"Never closed', "fine", 'said "no" twice', '"open again']
    assert found.notes == ()


def test_a_lone_backslash_before_the_closing_mark_is_kept(tmp_path: Path) -> None:
    found = read(tmp_path, 'text,stars\n"C:\\",1\n"fine",4\n')
    assert found.table["text"].to_pylist() == ["C:\\", "fine"]


def test_columns_become_numbers_only_if_every_cell_is_one(tmp_path: Path) -> None:
    found = read(tmp_path, "stars,price,sku,mixed,zero\n5,1.5,007,1,\n-4,2e3,008,x,0\n,3,009,3,10\n").table
    assert found["stars"].to_pylist() == [5, -4, None]
    assert found["price"].to_pylist() == [1.5, 2000.0, 3.0]
    assert found["sku"].to_pylist() == ["007", "008", "009"]
    assert found["mixed"].to_pylist() == ["1", "x", "3"]
    assert found["zero"].to_pylist() == [None, 0, 10]


def test_numbers_too_long_for_an_integer_stay_exact(tmp_path: Path) -> None:
    assert read(tmp_path, "id,x\n12345678901234567890123,a\n").table["id"].type.bit_width == 64  # a float, as it must fit
    assert read(tmp_path, "id,x\n123456789012345678,a\n").table["id"].to_pylist() == [123456789012345678]


def test_too_many_and_too_few_fields_are_told(tmp_path: Path) -> None:
    found = read(tmp_path, "text,stars\nfine,4\nbad,1,surplus\nlonely\nok,3,\n")
    assert found.table["text"].to_pylist() == ["fine", "bad", "lonely", "ok"]
    assert found.table["stars"].to_pylist() == [4, 1, None, 3]
    assert found.notes == (
        "line 3 has 3 fields, expected 2: the surplus was dropped",
        "line 4 has 1 field, expected 2: the rest is taken as empty",
    )


def test_many_irregular_rows_are_summarised(tmp_path: Path) -> None:
    found = read(tmp_path, "text,stars\n" + "fine,4\n" * 500 + "a,1,b\n" * 23)
    assert found.notes == (
        "23 rows have too many fields (the first: line 502 has 3 fields, expected 2): the surplus was dropped",
    )


def test_line_numbers_count_lines_inside_texts(tmp_path: Path) -> None:
    found = read(tmp_path, 'text,stars\n"three\nlines\nlong",4\n\na,1,b\n')
    assert "line 6 has 3 fields" in found.notes[0]


def test_null_bytes_are_removed_and_told(tmp_path: Path) -> None:
    found = read(tmp_path, "text,stars\nfi\0ne,4\nok,\0" + "3\n")
    assert found.table["text"].to_pylist() == ["fine", "ok"]
    assert found.table["stars"].to_pylist() == [4, 3]
    assert found.notes == ("null bytes were removed from 2 lines",)


def test_a_text_of_five_megabytes(tmp_path: Path) -> None:
    before = csv.field_size_limit(1000)
    text = "good, " * 900_000
    assert read(tmp_path, f'text,stars\n"{text}",4\nfine,3\n').table["text"].to_pylist() == [text, "fine"]
    assert csv.field_size_limit(before) == 1000


def test_a_missing_quotation_mark_is_told(tmp_path: Path) -> None:
    found = read(tmp_path, 'text,stars\n"never closed,4\n' + "fine,3\n" * 1000)
    assert found.notes[0].startswith("line 2 has 1 field") or "line 2 spans 1,001 lines" in found.notes[-1]
    assert "a quotation mark may be missing there" in found.notes[-1]


def test_names_are_completed_and_made_distinct(tmp_path: Path) -> None:
    found = read(tmp_path, " text ,,stars,stars\na,b,1,2\n")
    assert found.table.column_names == ["text", "column_2", "stars", "stars_2"]
    assert found.notes == ("columns with the same name were numbered: stars_2",)


def test_a_first_line_that_looks_like_a_review_is_told(tmp_path: Path) -> None:
    assert "holds a number" in read(tmp_path, "Great phone,5\nBad phone,1\n").notes[0]


def test_a_header_alone_gives_no_rows(tmp_path: Path) -> None:
    found = read(tmp_path, "text,stars\n")
    assert (found.table.column_names, found.table.num_rows) == (["text", "stars"], 0)


def test_only_delimiters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is empty"):
        read(tmp_path, ",,\n,,\n")


def test_a_hundred_thousand_rows_take_seconds(tmp_path: Path) -> None:
    row = '"' + "words of a review, " * 20 + '",{},u{},2020-01-01\n'
    text = "text,stars,user,date\n" + "".join(row.format(i % 5 + 1, i) for i in range(100_000))
    (tmp_path / "reviews.csv").write_text(text)
    start = time.process_time()
    assert read_delimited(tmp_path / "reviews.csv").table.num_rows == 100_000
    assert time.process_time() - start < 5  # takes about 1 s
