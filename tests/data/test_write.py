"""Writing tables, and reading them back."""

import errno
import gzip
import io
import os
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from arro3.core import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from ratecast.data.read import read_table
from ratecast.data.table import build_table
from ratecast.data.write import WRITERS, check_writable, write_table
from ratecast.errors import OutputError

TABLE = build_table({"text": ["fine", None, 'say "no",\nthen\tgo'], "stars": [4, None, 3], "p": [0.25, 1e-7, None]})

# What CSV cannot hold: null bytes are removed when it is read, and a column of digits alone comes back as numbers.
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], include_characters="\n\r\t,;\"'")).map(
    lambda text: "x" + text
)
rows = st.lists(
    st.tuples(
        st.none() | texts,
        st.none() | st.integers(-(10**17), 10**17),
        st.none() | st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0),
    ),
    min_size=1,
    max_size=20,
)


def values(table: Table) -> dict[str, list[Any]]:
    return {name: list(table[name].to_pylist()) for name in table.column_names}


@pytest.mark.parametrize("extension", WRITERS)
@given(rows=rows)
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_read_back(extension: str, rows: list[tuple[str | None, int | None, float | None]]) -> None:
    columns: dict[str, list[Any]] = {
        "text": ["a text, with a comma", *(row[0] for row in rows)],
        "n": [7, *(row[1] for row in rows)],
        "x": [0.5, *(row[2] for row in rows)],
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"reviews{extension}"
        write_table(build_table(columns), path)
        assert list(Path(folder).iterdir()) == [path]
        read = read_table(path)
    assert values(read.table) == columns
    assert read.notes == ()


@pytest.mark.parametrize("extension", WRITERS)
def test_frames_of_others_can_be_written(tmp_path: Path, extension: str) -> None:
    frame = pl.DataFrame({"text": ["a", "b"], "kind": pl.Series(["x", "y"], dtype=pl.Categorical), "tags": [["p", "q"], []]})
    path = tmp_path / f"reviews{extension}"
    write_table(Table.from_arrow(frame), path)
    found = values(read_table(path).table)
    assert found["kind"] == ["x", "y"]
    assert found["tags"] in ([["p", "q"], []], ['["p", "q"]', "[]"])


def test_csv_is_what_everybody_else_reads(tmp_path: Path) -> None:
    write_table(TABLE, tmp_path / "reviews.csv")
    assert (tmp_path / "reviews.csv").read_text() == 'text,stars,p\nfine,4,0.25\n,,1e-7\n"say ""no"",\nthen\tgo",3,\n'
    assert pl.read_csv(tmp_path / "reviews.csv")["text"].to_list() == ["fine", None, 'say "no",\nthen\tgo']


def test_other_libraries_read_parquet_and_arrow(tmp_path: Path) -> None:
    write_table(TABLE, tmp_path / "reviews.parquet")
    write_table(TABLE, tmp_path / "reviews.arrow")
    expected = pa.table(TABLE).to_pydict()
    assert pl.read_parquet(tmp_path / "reviews.parquet").to_dict(as_series=False) == expected
    assert pl.read_ipc(tmp_path / "reviews.arrow").to_dict(as_series=False) == expected


def test_long_tables_are_written_in_parts_with_one_header(tmp_path: Path) -> None:
    table = build_table({"text": [f"t{i}" for i in range(120_001)]})
    for extension in (".csv", ".jsonl"):
        write_table(table, tmp_path / f"reviews{extension}")
        assert values(read_table(tmp_path / f"reviews{extension}").table) == values(table)


def test_a_table_without_rows_keeps_its_header(tmp_path: Path) -> None:
    write_table(build_table({"text": [], "stars": []}), tmp_path / "reviews.csv")
    assert (tmp_path / "reviews.csv").read_text() == "text,stars\n"


def test_gzip_files_hold_neither_time_nor_name(tmp_path: Path) -> None:
    write_table(TABLE, tmp_path / "a.csv.gz")
    content = (tmp_path / "a.csv.gz").read_bytes()
    assert content[3:8] == bytes(5)  # flags and time, see RFC 1952
    assert gzip.decompress(content).startswith(b"text,stars,p\n")


def test_a_column_without_values_is_kept(tmp_path: Path) -> None:
    write_table(build_table({"text": ["a", "b"], "none": [None, None]}), tmp_path / "reviews.jsonl")
    assert read_table(tmp_path / "reviews.jsonl").table.column_names == ["text", "none"]


@pytest.mark.parametrize("name", ["reviews.xlsx", "reviews", "reviews.parquet.gz", "reviews.gz"])
def test_an_unknown_extension_is_told(tmp_path: Path, name: str) -> None:
    for function in (check_writable, lambda path: write_table(TABLE, path)):
        with pytest.raises(OutputError, match=r"ends in \.parquet, \.csv"):
            function(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    for function in (check_writable, lambda path: write_table(TABLE, path)):
        with pytest.raises(OutputError, match="create it first"):
            function(tmp_path / "nowhere" / "reviews.csv")


def test_a_folder_in_the_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").mkdir()
    for function in (check_writable, lambda path: write_table(TABLE, path)):
        with pytest.raises(OutputError, match="it is a folder"):
            function(tmp_path / "reviews.csv")


@pytest.mark.parametrize("extension", WRITERS)
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, extension: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"reviews{extension}"
    path.write_text("before")

    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def writelines(self, chunks: Any) -> None:
            for chunk in chunks:
                self.write(chunk)

    monkeypatch.setattr(Path, "open", lambda self, mode: Full())
    with pytest.raises(OutputError, match="No space left on device; nothing was written"):
        write_table(TABLE, path)
    monkeypatch.undo()
    assert path.read_text() == "before"
    assert [part.name for part in tmp_path.iterdir()] == [path.name]


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(file_number: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_table(TABLE, tmp_path / "reviews.csv")
    assert list(tmp_path.iterdir()) == []


def test_the_file_has_ordinary_rights(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    write_table(TABLE, tmp_path / "reviews.csv")
    assert (tmp_path / "reviews.csv").stat().st_mode == (tmp_path / "other").stat().st_mode
