"""JSON lines and lists."""

import json
from pathlib import Path

import pytest

from ratecast.data.jsonlines import read_json
from ratecast.data.table import TableRead
from ratecast.errors import DataError


def read(folder: Path, text: str) -> TableRead:
    path = folder / "reviews.jsonl"
    path.write_text(text, encoding="utf-8")
    return read_json(path)


ROWS = [{"text": "fine\u2028really", "stars": 4}, {"text": "ok 🎉", "stars": 3.5, "votes": [1, 2]}, {"stars": None, "ok": True}]


@pytest.mark.parametrize("is_list", [False, True])
def test_lines_and_lists(tmp_path: Path, is_list: bool) -> None:
    text = json.dumps(ROWS, indent=1) if is_list else "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)
    found = read(tmp_path, text)
    assert found.table["text"].to_pylist() == ["fine\u2028really", "ok 🎉", None]
    assert found.table["stars"].to_pylist() == [4.0, 3.5, None]
    assert found.table["votes"].to_pylist() == [None, "[1, 2]", None]
    assert found.table["ok"].to_pylist() == [None, None, True]
    assert found.notes == ()


def test_texts_that_look_like_numbers_stay_texts(tmp_path: Path) -> None:
    table = read(
        tmp_path, '{"id": "007", "n": 1, "m": 1, "big": 99999999999999999999}\n{"id": "8", "n": 2, "m": "x", "big": 1}'
    ).table
    assert table["id"].to_pylist() == ["007", "8"]
    assert table["n"].to_pylist() == [1, 2]
    assert table["m"].to_pylist() == ["1", "x"]
    assert table["big"].to_pylist() == ["99999999999999999999", "1"]


def test_broken_lines_are_skipped_and_told(tmp_path: Path) -> None:
    found = read(tmp_path, '{"text": "a"}\n{"text": "b"\n\n[1]\n{"text": "c"}\n')
    assert found.table["text"].to_pylist() == ["a", "c"]
    assert found.notes == ("2 lines are not JSON objects and were skipped (the first: line 2)",)
    assert read(tmp_path, '{"text": "a"}\nnonsense\n').notes == ("line 2 is not a JSON object and was skipped",)


def test_half_an_emoji_is_replaced(tmp_path: Path) -> None:
    assert read(tmp_path, '{"text": "a \\ud83d b"}').table["text"].to_pylist() == ["a \ufffd b"]


@pytest.mark.parametrize("text", ["nonsense", '"text"', "[1, 2]", "[]", "{" * 50])
def test_nothing_usable_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match="holds no JSON object"):
        read(tmp_path, text)


@pytest.mark.parametrize("text", ['[{"text": "a"}, {"te', "[" * 200_000, f"[{'1' * 10_000}]"])
def test_a_damaged_list_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match="damaged JSON list"):
        read(tmp_path, text)
