"""What the cells of a column say: numbers, texts and times, however they are written."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from arro3.core import ChunkedArray, DataType
from numpy.typing import NDArray

from ratecast.data.table import MICROSECONDS, is_number, is_text, is_time
from ratecast.records import StringArray, TimeArray, as_label, strings
from ratecast.scale import FloatArray

ABSENT: Final = frozenset({"", "-", "na", "n/a", "none", "null", "<na>"})
"""Cells, in lower case, that mean that there is no value. NaN is not among them: something computed it and failed."""

_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d+,\d+")

_TIME_FORMATS: Final = (
    "%m %d, %Y",  # "07 3, 2014", as in Amazon's old review dumps
    "%B %d, %Y",
    "%b %d, %Y",
    "%d %B %Y",
    "%d %b %Y",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M",
)
"""Tried where ISO 8601 does not fit. Not among them: 3/4/2020, which is March to some and April to others."""

_EPOCH_UNITS: Final = ((1e11, 1_000_000), (1e14, 1000), (1e17, 1))
"""Numbers below each limit are seconds, milliseconds or microseconds since 1970, with how many microseconds one is."""

BooleanArray = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """The cells of a column as numbers, all arrays of shape ``(row,)``.

    Attributes:
        values: the numbers, NaN where there is none; may be infinite.
        is_absent: where the cell is empty.
        is_word: where the cell holds something that is no number at all.
        decimal_commas: how many cells are written with a decimal comma.
    """

    values: FloatArray
    is_absent: BooleanArray
    is_word: BooleanArray
    decimal_commas: int = 0


def read_numbers(column: ChunkedArray) -> Numbers:
    """Numbers of a column; texts are parsed, with decimal commas and surrounding spaces understood."""
    if is_text(column.type):
        return _parse_numbers(column.to_pylist())
    if not is_number(column.type):
        words = np.ones(len(column), dtype=np.bool_)
        return Numbers(values=np.full(len(column), np.nan), is_absent=~words, is_word=words)
    cells = column.cast(DataType.float64()).to_pylist()
    absent = np.array([cell is None for cell in cells], dtype=np.bool_)
    return Numbers(values=np.array(cells, dtype=np.float64), is_absent=absent, is_word=np.zeros(len(cells), dtype=np.bool_))


def _parse_numbers(cells: Any) -> Numbers:
    values, is_absent, is_word = np.full(len(cells), np.nan), np.zeros(len(cells), bool), np.zeros(len(cells), bool)
    commas = 0
    known: dict[str | None, float | None] = {}  # ratings repeat
    for row, cell in enumerate(cells):
        if cell not in known:
            known[cell] = _parse_number(cell)
        value = known[cell]
        if value is not None:
            values[row] = value
            commas += "," in cell
        elif cell is None or cell.strip().lower() in ABSENT:
            is_absent[row] = True
        else:
            is_word[row] = True
    return Numbers(values=values, is_absent=is_absent, is_word=is_word, decimal_commas=commas)


def _parse_number(cell: str | None) -> float | None:
    if cell is None or "_" in cell:  # Python reads 1_000 as a number; nobody else does
        return None
    text = cell.strip()
    try:
        return float(text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text)
    except ValueError:
        return None


def read_strings(column: ChunkedArray) -> StringArray:
    """Texts of a column, shape ``(row,)``, None where empty; whole numbers are written without a decimal point."""
    cells = column.to_pylist()
    if is_text(column.type):
        return strings(cell or None for cell in cells)
    return strings(_as_string(cell) for cell in cells)


def read_labels(column: ChunkedArray) -> StringArray:
    """Categories of a column, shape ``(row,)``, None where empty; the same ones however the table stores them."""
    known: dict[str | None, str | None] = {None: None}
    for cell in (cells := read_strings(column)):
        if cell not in known:
            label = as_label(cell)
            known[cell] = None if label is None or label.lower() in ABSENT else label
    return strings(known[cell] for cell in cells)


def _as_string(cell: Any) -> str | None:
    if cell is None or (isinstance(cell, float) and cell != cell):  # noqa: PLR0124 - NaN alone differs from itself
        return None
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def read_times(column: ChunkedArray) -> tuple[TimeArray, int]:
    """Times of a column and how many of its cells hold something that is no time.

    Times are ISO 8601 texts, dates in a few other unambiguous forms, seconds, milliseconds or microseconds since 1970, numbers
    such as 20210304, or columns of a time type. Times with a zone are brought to UTC.

    Returns:
        Shape ``(row,)``, in microseconds, NaT where there is none.
    """
    if is_time(column.type):
        return _times(list(column.cast(MICROSECONDS).cast(DataType.int64()).to_pylist())), 0
    parse: Callable[[Any], int | None] = _parse_time if is_text(column.type) else _parse_epoch
    known: dict[Any, int | None] = {}
    found: list[int | None] = []
    unreadable = 0
    for cell in column.to_pylist():
        if cell not in known:
            known[cell] = None if cell is None else parse(cell)
        found.append(known[cell])
        unreadable += known[cell] is None and str(cell).strip().lower() not in ABSENT
    return _times(found), unreadable


def _times(microseconds: list[int | None]) -> TimeArray:
    nat = np.iinfo(np.int64).min
    return np.array([nat if value is None else value for value in microseconds], dtype=np.int64).view("datetime64[us]")


def _parse_time(cell: str) -> int | None:
    text = cell.strip()
    try:
        return _parse_epoch(float(text))
    except ValueError:
        pass
    try:
        return _microseconds(datetime.fromisoformat(text))
    except ValueError:
        pass
    for form in _TIME_FORMATS:
        try:
            return _microseconds(datetime.strptime(text, form))  # noqa: DTZ007 - texts without a zone are taken as UTC
        except ValueError:
            continue
    return None


def _parse_epoch(number: Any) -> int | None:
    if isinstance(number, bool) or not isinstance(number, int | float) or not np.isfinite(number):
        return None
    if 19_000_101 <= number <= 21_001_231:  # 20210304; as seconds these would all lie in August 1970
        try:
            return _microseconds(datetime.strptime(f"{number:.0f}", "%Y%m%d"))  # noqa: DTZ007 - as above
        except ValueError:
            return None
    if 1900 <= number <= 2100:
        return _microseconds(datetime(int(number), 1, 1, tzinfo=UTC))
    return next((int(number * unit) for limit, unit in _EPOCH_UNITS if abs(number) < limit), None)


def _microseconds(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1_000_000)
