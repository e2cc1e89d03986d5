"""JSON: one object a line, or one list of objects."""

import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ratecast.data.table import PIECE_ROWS, TableRead, build_table
from ratecast.data.textfile import open_text, read_ahead
from ratecast.data.wording import counted
from ratecast.errors import DataError


def read_json(path: Path) -> TableRead:
    """Read JSON lines, or a JSON list of objects. Keys become columns; nested values become JSON texts.

    Raises:
        DataError: if the file cannot be read, or holds no object.
    """
    (read,) = _read_pieces(path, None)
    return read


def stream_json(path: Path, rows: int = PIECE_ROWS) -> Iterator[TableRead]:
    """The pieces of JSON lines, as `read_json` reads them; columns and types may differ between them. A list is one piece."""
    yield from _read_pieces(path, rows)


def _read_pieces(path: Path, most: int | None) -> Iterator[TableRead]:
    """Tables of at most ``most`` lines; a single one for None."""
    is_empty = True
    with open_text(path, newline="\n") as (stream, notes):
        head, lines = read_ahead(stream, 4096)
        for rows, broken in _parse(path, lines, most, is_list=head.lstrip().startswith("[")):
            notes.extend(broken)
            if rows:
                is_empty = False
                names = dict.fromkeys(str(key) for row in rows for key in row)
                table = build_table({name: [row.get(name) for row in rows] for name in names})
                yield TableRead(table=table, source=str(path), notes=tuple(notes))
                notes.clear()
    if is_empty:
        raise DataError(f"{path} holds no JSON object; expected one on each line, or a list of them")


def _parse(
    path: Path, lines: Iterable[str], most: int | None, *, is_list: bool
) -> Iterator[tuple[list[dict[str, Any]], list[str]]]:
    if is_list:
        yield _parse_list(path, "".join(lines))
        return
    numbered = enumerate(lines, start=1)
    while part := list(itertools.islice(numbered, most)):
        yield _parse_lines(part)


def _parse_list(path: Path, text: str) -> tuple[list[dict[str, Any]], list[str]]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f"line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise DataError(f"{path} is a damaged JSON list ({where}); expected objects between [ and ]") from None
    rows = [value for value in values if isinstance(value, dict)]
    others = len(values) - len(rows)
    what = counted(others, "entry of the list is no JSON object", "entries of the list are no JSON objects")
    return rows, [f"{what} and skipped"] if others else []


def _parse_lines(numbered: Iterable[tuple[int, str]]) -> tuple[list[dict[str, Any]], list[str]]:
    rows: list[dict[str, Any]] = []
    broken: list[int] = []
    for number, line in numbered:
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            rows.append(value)
        else:
            broken.append(number)
    if len(broken) > 1:
        return rows, [f"{len(broken):,} lines are not JSON objects and were skipped (the first: line {broken[0]:,})"]
    return rows, [f"line {number:,} is not a JSON object and was skipped" for number in broken]
