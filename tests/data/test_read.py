"""Paths, folders, globs and lists of files."""

import gzip
from pathlib import Path

import pytest

from ratecast.data.read import READERS, read_table
from ratecast.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.csv").write_text("text,stars,sku\nfine,4,1\nbad,1,2\n")
    (tmp_path / "b.tsv").write_text("stars\ttext\tsku\n4.5\tok\tx7\n")
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(b'{"text": "meh", "extra": "e"}\n'))
    (tmp_path / "README.md").write_text("not a table")
    (tmp_path / "_SUCCESS.csv").write_text("")
    (tmp_path / ".hidden.csv").write_text("")
    return tmp_path


def check(source: object, folder: Path) -> None:
    read = read_table(source)  # type: ignore[arg-type]
    assert read.table.column_names == ["text", "stars", "sku", "extra"]
    assert read.table["text"].to_pylist() == ["fine", "bad", "ok", "meh"]
    assert read.table["stars"].to_pylist() == [4.0, 1.0, 4.5, None]
    assert read.table["sku"].to_pylist() == ["1", "2", "x7", None]
    assert read.table["extra"].to_pylist() == [None, None, None, "e"]
    assert read.notes == (
        f"the column 'stars' is missing in 1 of 3 files (the first: {folder / 'c.jsonl.gz'})",
        f"the column 'sku' is missing in 1 of 3 files (the first: {folder / 'c.jsonl.gz'})",
        "the column 'sku' holds numbers in some files and texts in others; it is read as text",
        f"the column 'extra' is missing in 2 of 3 files (the first: {folder / 'a.csv'})",
    )


def test_a_folder_is_united(folder: Path) -> None:
    check(str(folder), folder)
    assert read_table(folder).source == f"{folder} (3 files)"


def test_a_glob_is_united(folder: Path) -> None:
    check(folder / "[abc].*", folder)


def test_a_list_is_united(folder: Path) -> None:
    check([folder / "a.csv", folder / "b.tsv", folder / "c.jsonl.gz"], folder)


def test_notes_of_a_part_name_it(folder: Path) -> None:
    (folder / "b.tsv").write_text("text\tstars\tsku\nok\t4\tx7\tmore\n")
    assert read_table(folder).notes[0] == f"{folder / 'b.tsv'}: line 2 has 4 fields, expected 3: the surplus was dropped"


def test_a_part_without_rows_does_not_change_types(folder: Path) -> None:
    (folder / "b.tsv").write_text("text\tstars\tsku\n")
    (folder / "c.jsonl.gz").unlink()
    table = read_table(folder).table
    assert table["stars"].to_pylist() == [4, 1]
    assert table["sku"].to_pylist() == [1, 2]


def test_types_that_do_not_fit_are_told(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    pyarrow.parquet.write_table(pa.table({"text": ["a"], "stars": [{"value": 3}]}), folder / "d.parquet")
    with pytest.raises(DataError, match="the column 'stars' has types that do not fit each other"):
        read_table(folder)


def test_names_that_look_like_globs_are_files_first(tmp_path: Path) -> None:
    path = tmp_path / "reviews [1].csv"
    path.write_text("text,stars\nfine,4\n")
    assert read_table(path).table.num_rows == 1


def test_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "reviews.csv").write_text("text,stars\nfine,4\n")
    assert read_table("~/reviews.csv").table.num_rows == 1


@pytest.mark.parametrize("name", ["missing.csv", "missing*.csv", "nowhere/missing.parquet", "x" * 5000])
def test_a_missing_file_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"there is no file|cannot read") as caught:
        read_table(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_folder_without_tables_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no table"):
        read_table(tmp_path)


@pytest.mark.parametrize("name", ["reviews.xlsx", "reviews", "reviews.parquet.gz", "reviews.txt"])
def test_an_unknown_extension_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"text")
    with pytest.raises(DataError, match="cannot tell the format") as caught:
        read_table(tmp_path / name)
    assert all(extension in str(caught.value) for extension in READERS)


def test_a_header_without_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text("text,stars\n")
    with pytest.raises(DataError, match=r"has a header \(text, stars\) and no rows"):
        read_table(tmp_path / "reviews.csv")


def test_capitals_in_an_extension(tmp_path: Path) -> None:
    (tmp_path / "REVIEWS.CSV").write_text("text,stars\nfine,4\n")
    assert read_table(tmp_path / "REVIEWS.CSV").table.num_rows == 1
