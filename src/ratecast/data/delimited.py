"""Delimited text: CSV, TSV and their relatives with semicolons or bars."""

import csv
import io
import itertools
import re
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from arro3.core import Array, DataType, Table

from ratecast.data.table import PIECE_ROWS, TableRead, distinct_names, text_array
from ratecast.data.textfile import open_text, read_ahead
from ratecast.data.wording import counted
from ratecast.errors import DataError

DELIMITERS: Final = ",;\t|"
_NO_DELIMITER: Final = "\x1f"  # for a table of one column, whose texts may hold every other one
_SAMPLE_CHARACTERS: Final = 1 << 16
_SUSPICIOUS_LINES: Final = 500  # a row over so many lines is likelier to lack a closing quotation mark

_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")

_field_limit_lock = threading.Lock()

if TYPE_CHECKING:
    from _csv import Reader as _Reader


@dataclass(frozen=True)
class _Dialect:
    """How fields are told apart: ``escape`` stands before a quotation mark inside a field; None where the mark is doubled."""

    delimiter: str
    escape: str | None = None
    is_quoted: bool = True

    def reader(self, lines: Iterable[str]) -> "_Reader":
        if not self.is_quoted:
            return csv.reader(lines, delimiter=self.delimiter, quoting=csv.QUOTE_NONE)
        return csv.reader(lines, delimiter=self.delimiter, escapechar=self.escape, doublequote=self.escape is None)


@dataclass
class _Irregular:
    """Rows with the wrong number of fields."""

    what: str
    remedy: str
    count: int = 0
    first: str = ""

    def add(self, line: int, fields: int, expected: int) -> None:
        """Count a row."""
        if not self.count:
            self.first = f"line {line:,} has {counted(fields, 'field')}, expected {expected}"
        self.count += 1

    def note(self) -> list[str]:
        """What to tell, if anything."""
        if not self.count:
            return []
        if self.count == 1:
            return [f"{self.first}: {self.remedy}"]
        return [f"{self.count:,} rows have {self.what} fields (the first: {self.first}): {self.remedy}"]


@dataclass
class _Body:
    """The rows of a file below its header, all of the header's width."""

    rows: list[list[str]] = field(default_factory=list)
    surplus: _Irregular = field(default_factory=lambda: _Irregular("too many", "the surplus was dropped"))
    missing: _Irregular = field(default_factory=lambda: _Irregular("too few", "the rest is taken as empty"))
    longest_lines: int = 0
    longest_start: int = 0
    lines_read: int = 0

    def notes(self) -> list[str]:
        """What was unusual."""
        found = self.surplus.note() + self.missing.note()
        if self.longest_lines > _SUSPICIOUS_LINES:
            span = f"the row on line {self.longest_start:,} spans {self.longest_lines:,} lines"
            found.append(f"{span}: a quotation mark may be missing there")
        return found


def read_delimited(path: Path) -> TableRead:
    """Read a delimited text file with a header line.

    Delimiter, quoting and encoding are detected. A column becomes int64 or float64 only if every value in it is a plain number
    without leading zeros, so that ids survive; an empty cell is null.

    Raises:
        DataError: if the file cannot be read, or holds no header.
    """
    (read,) = _read_pieces(path, None)
    return read


def stream_delimited(path: Path, rows: int = PIECE_ROWS) -> Iterator[TableRead]:
    """The pieces of a delimited text file, as `read_delimited` reads it; types may differ between them."""
    yield from _read_pieces(path, rows)


def _read_pieces(path: Path, rows: int | None) -> Iterator[TableRead]:
    """Tables of at most ``rows`` rows, at least one; a single one for None. What was unusual is told with each."""
    with open_text(path, newline="") as (stream, notes):
        head, lines = read_ahead(stream, _SAMPLE_CHARACTERS)
        nulls = [0]
        with _no_field_limit():
            reader = _find_dialect(head).reader(_without_nulls(lines, nulls))
        header: list[str] = []
        while True:
            try:
                with _no_field_limit():
                    header = header or next((row for row in reader if any(row)), [])
                    body = _read_body(reader, len(header), reader.line_num, rows)
            except csv.Error as error:
                raise DataError(f"{path} cannot be read as a table: line {reader.line_num}: {error}") from None
            if not header:
                raise DataError(f"{path} is empty; expected a table with a header line")
            if nulls[0]:
                notes.append(f"null bytes were removed from {counted(nulls[0], 'line')}")
            names, renamed = _column_names(header)
            columns = list(zip(*body.rows, strict=True)) or [() for _ in names]
            table = Table.from_arrays([_typed_array(column) for column in columns], names=names)
            yield TableRead(table=table, source=str(path), notes=(*notes, *renamed, *body.notes()))
            notes.clear()
            nulls[0] = 0
            if rows is None or body.lines_read < rows:
                return


@contextmanager
def _no_field_limit() -> Iterator[None]:
    # The csv module has one limit (131,072 characters) for the whole process; it is lifted while we read and put back after.
    with _field_limit_lock:
        before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _find_dialect(sample: str) -> _Dialect:
    """The delimiter with which most rows have as many fields as the header, at least two."""
    candidates = [_Dialect(delimiter) for delimiter in DELIMITERS]
    if '\\"' in sample:  # Spark and MySQL write \" for a quotation mark inside a field where everybody else doubles it
        candidates += [_Dialect(delimiter, escape="\\") for delimiter in DELIMITERS]
    if '"' in sample:  # many dumps with tabs quote nothing, so that a text may begin with a quotation mark and never close it
        candidates += [_Dialect(delimiter, is_quoted=False) for delimiter in "\t|"]
    best, best_score = _Dialect(_NO_DELIMITER), (0.0, 0)
    for dialect in candidates:  # a later one must fit better
        widths = [len(row) for row in dialect.reader(io.StringIO(sample, newline="")) if row]
        if len(sample) >= _SAMPLE_CHARACTERS and len(widths) > 2:
            widths.pop()  # the last row is cut off
        if not widths or widths[0] < 2:
            continue
        score = (sum(width == widths[0] for width in widths) / len(widths), widths[0])
        if score > best_score:
            best, best_score = dialect, score
    return best


def _without_nulls(lines: Iterable[str], count: list[int]) -> Iterator[str]:
    for line in lines:
        if "\0" in line:
            count[0] += 1
            yield line.replace("\0", "")
        else:
            yield line


def _read_body(reader: "_Reader", width: int, line: int, most: int | None) -> _Body:
    body = _Body()
    append = body.rows.append
    for body.lines_read, row in enumerate(itertools.islice(reader, most), start=1):
        start, line = line + 1, reader.line_num
        if line - start >= body.longest_lines:
            body.longest_lines, body.longest_start = line - start + 1, start
        if len(row) == width:
            append(row)
        elif len(row) > width:
            if any(row[width:]):
                body.surplus.add(start, len(row), width)
            append(row[:width])
        elif any(cell.strip() for cell in row):
            body.missing.add(start, len(row), width)
            append(row + [""] * (width - len(row)))
    return body


def _column_names(header: Sequence[str]) -> tuple[list[str], list[str]]:
    given = [name.strip() for name in header]
    names = distinct_names([name or f"column_{index + 1}" for index, name in enumerate(given)])
    notes = []
    if any(_NUMBER.fullmatch(name) for name in given):
        notes.append("the first line was taken as the header, but holds a number; if it is a review, add a header")
    changed = [new for old, new in zip(given, names, strict=True) if old and old != new]
    if changed:
        notes.append(f"columns with the same name were numbered: {', '.join(changed)}")
    return names, notes


def _typed_array(cells: Sequence[str]) -> Array:
    filled = [cell for cell in cells if cell]
    if filled and all(map(_INTEGER.fullmatch, filled)):
        return Array([int(cell) if cell else None for cell in cells], DataType.int64())
    if filled and all(map(_NUMBER.fullmatch, filled)):
        return Array([float(cell) if cell else None for cell in cells], DataType.float64())
    return text_array([cell or None for cell in cells])
