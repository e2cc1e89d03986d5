"""JSON: one object a line, or one list of objects."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ratecast.data.table import TableRead, build_table
from ratecast.data.textfile import open_text, read_ahead
from ratecast.data.wording import counted
from ratecast.errors import DataError


def read_json(path: Path) -> TableRead:
    """Read JSON lines, or a JSON list of objects. Keys become columns; nested values become JSON texts.

    Raises:
        DataError: if the file cannot be read, or holds no object.
    """
    with open_text(path, newline="\n") as (stream, notes):
        head, lines = read_ahead(stream, 4096)
        rows, broken = _parse_list(path, "".join(lines)) if head.lstrip().startswith("[") else _parse_lines(lines)
    if not rows:
        raise DataError(f"{path} holds no JSON object; expected one on each line, or a list of them")
    notes += broken
    names = dict.fromkeys(str(key) for row in rows for key in row)
    table = build_table({name: [row.get(name) for row in rows] for name in names})
    return TableRead(table=table, source=str(path), notes=tuple(notes))


def _parse_list(path: Path, text: str) -> tuple[list[dict[str, Any]], list[str]]:
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}: {error.msg}"
        raise DataError(f"{path} is a damaged JSON list ({where}); expected objects between [ and ]") from None
    rows = [value for value in values if isinstance(value, dict)]
    others = len(values) - len(rows)
    what = counted(others, "entry of the list is no JSON object", "entries of the list are no JSON objects")
    return rows, [f"{what} and skipped"] if others else []


def _parse_lines(lines: Iterable[str]) -> tuple[list[dict[str, Any]], list[str]]:
    rows: list[dict[str, Any]] = []
    broken: list[int] = []
    for number, line in enumerate(lines, start=1):
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
