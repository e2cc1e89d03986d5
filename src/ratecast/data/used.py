"""Columns, besides title and text, that a model uses: which they are, and whether they hold categories or numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from arro3.core import ChunkedArray, Table

from ratecast.data.columns import NO_NUMBER_WORDS, Columns, listed, missing_hint, name_words, sampled
from ratecast.data.values import read_labels, read_numbers, read_times
from ratecast.data.wording import counted
from ratecast.errors import ConfigError, DataError
from ratecast.records import Reviews, StringArray
from ratecast.scale import FloatArray

Kind = Literal["label", "number"]

ROLES: Final = ("user", "item", "category")
"""Columns that go by their role, whatever their name in the table; they always hold categories."""

MOST_NUMBER_LABELS: Final = 20
"""A column with no more different numbers than this holds categories."""

_NOT_USABLE: Final = ("text", "title", "rating", "id", "split")
_MOST_WORDS: Final = 0.05  # so few cells of a column of numbers may be no number, and count as missing
_PROBED_ROWS: Final = 200
_DAY: Final = np.timedelta64(1, "D")


@dataclass(frozen=True, kw_only=True)
class UsedColumns:
    """The used columns of one table. Those of a role are called by the role ("user"), the others by their name in the table.

    Attributes:
        kinds: what each holds.
        columns: how each is called in the table; one that the table lacks is not in it.
        labels: cells of those with categories that have no role, shape ``(row,)`` each.
        numbers: cells of those with numbers, shape ``(row,)`` each; times are days since 1970.
    """

    kinds: Mapping[str, Kind] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, StringArray] = field(default_factory=dict)
    numbers: Mapping[str, FloatArray] = field(default_factory=dict)

    def describe(self, reviews: Reviews) -> dict[str, str]:
        """What each used column holds in the reviews ("4 values", "number"), by its name in the table."""
        found = {}
        for name, column in self.columns.items():
            cells = used_labels(reviews, name)
            found[column] = "number" if cells is None else counted(len(set(cells) - {None}), "value")
        return found

    def lacking(self) -> str | None:
        """A sentence about the columns that the table lacks, None if it has all."""
        return _lacking([name for name in self.kinds if name not in self.columns], "the table lacks")


def lacking_in(reviews: Reviews, used: Mapping[str, Kind]) -> str | None:
    """A sentence about used columns that reviews lack, None if they have all."""
    return _lacking(
        [name for name in used if used_labels(reviews, name) is None and name not in reviews.numbers], "the reviews lack"
    )


def _lacking(absent: Sequence[str], which: str) -> str | None:
    if not absent:
        return None
    count = "it counts" if len(absent) == 1 else "they count"
    return f"the model also uses {listed(absent, 'and')}, which {which}: {count} as missing"


def used_labels(reviews: Reviews, name: str) -> StringArray | None:
    """The categories in a used column of the reviews, None if it holds none."""
    cells: StringArray | None = getattr(reviews, name) if name in ROLES else reviews.labels.get(name)
    return cells


def find_used(table: Table, columns: Columns, use: str | None) -> UsedColumns:
    """The columns that a user wants a model to use.

    Args:
        table: the table.
        columns: what else its columns hold.
        use: names of columns, or the roles user, item and category, separated by commas; None for no column.

    Raises:
        DataError: if the table has no such column.
        ConfigError: if no column is named, or one that is no further information: text, title, rating, id or split.
    """
    if use is None:
        return UsedColumns()
    roles = columns.roles()
    role_of = {column: role for role, column in roles.items()}
    free = [name for name in table.column_names if role_of.get(name) not in _NOT_USABLE]
    kinds: dict[str, Kind] = {}
    found: dict[str, str] = {}
    for name in filter(None, map(str.strip, use.split(","))):
        column = roles.get(name, name) if name in ROLES else name
        role = role_of.get(column)
        if column not in table.column_names:
            mend = f", nor one for that role: name it with --{name}-column" if name in ROLES else ""
            raise DataError(f"there is no column {name!r} to use{mend}; {missing_hint(name, free)}")
        if role in _NOT_USABLE:
            others = listed(free) if free else "none"
            why = "it is read before the text already" if role == "title" else f"it is the column of the {role}"
            raise ConfigError(f"cannot use {column!r}: {why}; the table's other columns: {others}")
        key = role if role in ROLES else column
        kinds[key] = "label" if role in ROLES else _kind(column, table[column])
        found[key] = column
    if not found:
        raise ConfigError(
            f"'use' names no column, found {use!r}; the table's other columns: {listed(free) if free else 'none'}"
        )
    return _read(table, kinds, found)


def known_used(table: Table, columns: Columns, kinds: Mapping[str, Kind]) -> UsedColumns:
    """The columns that a model was fitted with, as far as the table has them.

    Args:
        table: the table.
        columns: what else its columns hold.
        kinds: what each of the model's columns holds, by its role or name.
    """
    roles = columns.roles()
    candidates = {name: roles.get(name) if name in ROLES else name for name in kinds}
    present = {name: column for name, column in candidates.items() if column in table.column_names}
    return _read(table, kinds, present)


def _read(table: Table, kinds: Mapping[str, Kind], columns: Mapping[str, str]) -> UsedColumns:
    free = {name: table[column] for name, column in columns.items() if name not in ROLES}
    labels = {name: read_labels(cells) for name, cells in free.items() if kinds[name] == "label"}
    numbers = {name: _numbers(cells)[0] for name, cells in free.items() if kinds[name] == "number"}
    return UsedColumns(kinds=kinds, columns=columns, labels=labels, numbers=numbers)


def _kind(name: str, cells: ChunkedArray) -> Kind:
    values, word_share = _numbers(cells)
    many = len(np.unique(values[np.isfinite(values)])) > MOST_NUMBER_LABELS
    return "number" if many and word_share <= _MOST_WORDS and not name_words(name) & NO_NUMBER_WORDS else "label"


def _numbers(cells: ChunkedArray) -> tuple[FloatArray, float]:
    """The cells as numbers, and the share of the filled ones that are none. Times are days since 1970."""
    numbers = read_numbers(cells)
    filled = max(1, int((~numbers.is_absent).sum()))
    words = float(numbers.is_word.sum()) / filled
    if words <= 0.5 or np.isnat(read_times(sampled(cells, _PROBED_ROWS))[0]).mean() > 0.5:
        return numbers.values, words
    times, unreadable = read_times(cells)
    days: FloatArray = (times - np.datetime64(0, "us")) / _DAY
    return days, unreadable / filled
