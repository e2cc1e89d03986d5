"""Which effect of a column belongs to a review: one for each category, or for each range of a number."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from ratecast.data.used import ROLES, Kind, used_labels
from ratecast.errors import DataError
from ratecast.records import Reviews, as_label
from ratecast.scale import FloatArray, IntArray

NUMBER_RANGES: Final = 8
"""A number is cut into at most so many ranges of about equally many reviews, so that outliers count no more than their rank."""

NO_EFFECT: Final = -1


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How the cells of one column become positions of effects.

    Attributes:
        name: the column: "user", "item", "category", or a name in the reviews' labels or numbers.
        kind: "label": an effect for each category seen in training. "number": one for each range, and one for missing numbers.
        labels: the categories, sorted.
        cuts: upper ends of all ranges but the last, ascending.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...] = ()
    cuts: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.labels) if self.kind == "label" else len(self.cuts) + 2

    @cached_property
    def _lookup(self) -> dict[str, int]:
        return {label: position for position, label in enumerate(self.labels)}

    def positions(self, reviews: Reviews) -> IntArray:
        """Position of each review's effect, shape ``(review,)``; `NO_EFFECT` for missing categories and those never seen."""
        if self.kind == "number":
            values = reviews.numbers.get(self.name, np.full(len(reviews), np.nan))
            ranges = np.searchsorted(np.array(self.cuts), values, side="left")
            return np.where(np.isnan(values), len(self) - 1, ranges).astype(np.int64)
        cells = used_labels(reviews, self.name)
        if cells is None:
            return np.full(len(reviews), NO_EFFECT)
        found = (self._lookup.get(as_label(cell) or "", NO_EFFECT) for cell in cells)
        return np.fromiter(found, np.int64, len(reviews))

    def describe(self, position: int) -> str:
        """The category, or the range of numbers, that an effect belongs to."""
        if self.kind == "label":
            label = self.labels[position]
            return label if len(label) <= 40 else f"{label[:40]}…"
        if position == len(self) - 1:
            return "missing"
        if position < len(self.cuts):
            return f"up to {self.cuts[position]:g}"
        return f"above {self.cuts[-1]:g}" if self.cuts else "any number"


def find_encoding(name: str, train: Reviews) -> Encoding:
    """The categories of a column, or the ranges of its numbers, in the training reviews.

    Raises:
        DataError: if the reviews have no such column.
    """
    cells = used_labels(train, name)
    if cells is not None:
        labels = {as_label(cell) for cell in cells}
        return Encoding(name=name, kind="label", labels=tuple(sorted(label for label in labels if label is not None)))
    if name not in train.numbers:
        known = [*(role for role in ROLES if getattr(train, role) is not None), *train.labels, *train.numbers]
        raise DataError(f"the reviews have no column {name!r}; they have {', '.join(map(repr, known)) or 'none'}")
    return Encoding(name=name, kind="number", cuts=_cuts(train.numbers[name]))


def _cuts(values: FloatArray) -> tuple[float, ...]:
    """Ends of ranges that hold about equally many of the values; fewer where values repeat."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return ()
    ends = np.quantile(finite, np.arange(1, NUMBER_RANGES) / NUMBER_RANGES, method="inverted_cdf")
    return tuple(float(end) for end in np.unique(ends) if end < finite.max())
