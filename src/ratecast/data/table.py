"""Tables in memory, and building them from Python values.

Tables are Arrow tables of arro3, which is small enough for the base install. Text columns are of the type large_utf8: the
ordinary one holds 2 GiB a column and arro3 panics beyond them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import numpy as np
from arro3.core import Array, ChunkedArray, DataType, Table

from ratecast.records import whole_text

TEXT: Final = DataType.large_utf8()
PIECE_ROWS: Final = 10_000
"""Rows of a piece of a table that is read as a stream."""
MICROSECONDS: Final = DataType.timestamp("us")

_INT64_MAX: Final = 2**63 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class TableRead:
    """A table and what was met on the way to it.

    Attributes:
        table: the table, with distinct column names; texts are large_utf8, never dictionaries or views.
        source: how to name it to the user.
        notes: what was unusual, a sentence each.
    """

    table: Table
    source: str
    notes: tuple[str, ...] = ()


def build_table(columns: Mapping[str, Sequence[Any]]) -> Table:
    """Table of Python values; columns must be equally long.

    A column of only booleans, integers, numbers or times gets that type. Everything else becomes text, with lists and
    dictionaries written as JSON. None is null; NaN in a column of numbers stays NaN.
    """
    return Table.from_arrays([build_array(values) for values in columns.values()], names=list(columns))


def build_array(values: Sequence[Any]) -> Array:
    """Array of Python values, of the narrowest type that holds them all; see `build_table`."""
    kinds = {type(value) for value in values} - {type(None)}
    if any(issubclass(kind, np.generic | Decimal) for kind in kinds):
        return build_array([_plain_value(value) for value in values])
    if kinds == {bool}:
        return Array(values, DataType.bool())
    if kinds == {int} and all(value is None or -_INT64_MAX <= value <= _INT64_MAX for value in values):
        return Array(values, DataType.int64())
    if kinds == {float} or (kinds == {float, int} and all(type(value) is not int or abs(value) < 2**53 for value in values)):
        return Array([None if value is None else float(value) for value in values], DataType.float64())
    if kinds and all(issubclass(kind, date) for kind in kinds):
        return time_array([None if value is None else _microseconds(value) for value in values])
    return text_array([_as_text(value) for value in values])


def text_array(values: Sequence[str | None]) -> Array:
    """Array of texts; half of a surrogate pair, which no encoding can hold, becomes U+FFFD."""
    try:
        return Array(values, TEXT)
    except UnicodeEncodeError:
        return Array([value and whole_text(value) for value in values], TEXT)


def time_array(microseconds: Sequence[int | None]) -> Array:
    """Array of times, from microseconds since 1970 in UTC."""
    return Array(microseconds, DataType.int64()).cast(MICROSECONDS)


def plain_table(table: Table) -> Table:
    """The same table in the types that the rest of ratecast, and the writers, understand.

    Dictionaries and string views become plain text (arro3 0.9 panics when it writes a dictionary of views to Parquet),
    and column names are made distinct.
    """
    names = distinct_names(table.column_names)
    return Table.from_arrays([plain_column(column) for column in table.columns], names=names)


def plain_column(column: ChunkedArray) -> ChunkedArray:
    """The column with dictionaries decoded and every kind of string as large_utf8."""
    if column.type.value_type is not None and _is_any(column.type, DataType.is_dictionary):
        column = column.cast(column.type.value_type)
    is_other_text = _is_any(column.type, DataType.is_string, DataType.is_string_view, DataType.is_null)
    return column.cast(TEXT) if is_other_text else column


def distinct_names(names: Sequence[str]) -> list[str]:
    """The names, with a number after those that occurred before: ``a``, ``a_2``."""
    found: list[str] = []
    for name in names:
        count, distinct = 1, name
        while distinct in found:
            count += 1
            distinct = f"{name}_{count}"
        found.append(distinct)
    return found


def is_text(kind: DataType) -> bool:
    """Whether a column of this type holds texts."""
    return _is_any(kind, DataType.is_string, DataType.is_large_string, DataType.is_string_view)


def is_number(kind: DataType) -> bool:
    """Whether a column of this type holds numbers or booleans."""
    return _is_any(kind, DataType.is_integer, DataType.is_floating, DataType.is_decimal, DataType.is_boolean)


def is_time(kind: DataType) -> bool:
    """Whether a column of this type holds dates or times."""
    return _is_any(kind, DataType.is_timestamp, DataType.is_date)


def _is_any(kind: DataType, *checks: Callable[[DataType], object]) -> bool:
    return any(check(kind) for check in checks)


def _plain_value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return value.item() if isinstance(value, np.generic) else value


def _microseconds(value: date) -> int:
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day, tzinfo=UTC)
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, dict | list | tuple | bool):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
