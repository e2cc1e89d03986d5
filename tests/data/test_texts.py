"""Texts of tables read as streams, against the whole tables."""

import gzip
import json
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ratecast.config import ColumnsConfig
from ratecast.data import read_table, source_stamp, stream_texts
from ratecast.data.delimited import stream_delimited
from ratecast.data.jsonlines import stream_json
from ratecast.errors import DataError

ROWS = [
    {"title": f"Title {row}" if row % 3 else None, "body": f"a text of some words, {row}", "stars": row % 5}
    for row in range(25)
]
EXPECTED = [f"{row['title']}\n{row['body']}" if row["title"] else row["body"] for row in ROWS]


def texts_in(source: Any) -> list[str]:
    return list(chain.from_iterable(stream_texts(source, ColumnsConfig(), lambda line: None)))


def write_csv(path: Path) -> None:
    lines = ["title,body,stars", *(f'{row["title"] or ""},"{row["body"]}",{row["stars"]}' for row in ROWS)]
    path.write_text("\n".join(lines), encoding="utf-8")


def write_jsonl(path: Path) -> None:
    text = "".join(json.dumps(row) + "\n" for row in ROWS)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")


def write_parquet(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), path)


def write_arrow(path: Path) -> None:
    with pa.ipc.new_file(path, pa.Table.from_pylist(ROWS).schema) as file:
        file.write_table(pa.Table.from_pylist(ROWS), max_chunksize=7)


WRITERS: dict[str, Callable[[Path], None]] = {
    "a.csv": write_csv,
    "a.jsonl": write_jsonl,
    "a.jsonl.gz": write_jsonl,
    "a.parquet": write_parquet,
    "a.arrow": write_arrow,
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_texts_of_every_format_with_their_titles(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    told: list[str] = []
    assert list(chain.from_iterable(stream_texts(tmp_path / name, ColumnsConfig(), told.append))) == EXPECTED
    assert told == [f"{tmp_path / name}: text from 'body', title from 'title'"]


def test_several_files_and_frames(tmp_path: Path) -> None:
    for name in ("a.csv", "a.parquet"):
        WRITERS[name](tmp_path / name)
    several: list[Any] = [tmp_path, str(tmp_path / "*"), [tmp_path / "a.csv", tmp_path / "a.parquet"]]
    for source in several:
        assert texts_in(source) == EXPECTED * 2
    assert texts_in(pa.Table.from_pylist(ROWS)) == EXPECTED


@pytest.mark.parametrize("rows", [1, 4, 5, 25, 100])
def test_pieces_are_the_table_cut(rows: int, tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv")
    write_jsonl(tmp_path / "a.jsonl")
    for pieces, name in (
        (stream_delimited(tmp_path / "a.csv", rows), "a.csv"),
        (stream_json(tmp_path / "a.jsonl", rows), "a.jsonl"),
    ):
        tables = [piece.table for piece in pieces]
        assert max(table.num_rows for table in tables) == min(rows, 25)
        whole = read_table(tmp_path / name).table["body"].to_pylist()
        assert [text for table in tables if table.num_rows for text in table["body"].to_pylist()] == whole


def test_a_quoted_line_break_and_a_damaged_line_at_the_seam(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,stars\n"one\ntwo",1\n"three\nfour",2\nfive words here,3\n', encoding="utf-8")
    pieces = list(stream_delimited(tmp_path / "a.csv", 1))
    assert [piece.table["text"].to_pylist() for piece in pieces if piece.table.num_rows] == [
        ["one\ntwo"],
        ["three\nfour"],
        ["five words here"],
    ]
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": "b"}\nbroken\n{"text": "c"}\n', encoding="utf-8")
    found = list(stream_json(tmp_path / "a.jsonl", 2))
    assert [note for piece in found for note in piece.notes] == ["line 3 is not a JSON object and was skipped"]


def test_empty_texts_are_left_out_and_no_rating_is_needed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,number\n"one text here",1\n"  ",2\n,3\n"another text",4\n', encoding="utf-8")
    assert list(stream_texts(tmp_path / "a.csv", ColumnsConfig(), lambda line: None)) == [["one text here", "another text"]]


def test_a_table_without_texts_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n3,4\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"a.csv: found no column with texts among 'x', 'y'"):
        list(stream_texts(tmp_path / "a.csv", ColumnsConfig(), lambda line: None))
    with pytest.raises(DataError, match="there is no file"):
        list(stream_texts(tmp_path / "absent.csv", ColumnsConfig(), lambda line: None))


def test_the_stamp_changes_with_the_file(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv")
    first = source_stamp(tmp_path / "a.csv")
    assert source_stamp(str(tmp_path / "a.csv")) == first
    (tmp_path / "a.csv").write_text("text\nother\n", encoding="utf-8")
    assert source_stamp(tmp_path / "a.csv") != first
    assert source_stamp(pa.Table.from_pylist(ROWS)) == ""
