"""The scale that ratings are given on, and what follows from probabilities over its levels."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ratecast.errors import ScaleError, ShapeError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MAX_LEVELS: Final = 21
"""A scale with more distinct ratings than this is treated as continuous."""

CONTINUOUS_BINS: Final = 20
QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles that are written for a continuous scale, in place of a probability for each level."""

_ROUNDED_STEPS: Final = 0.01
"""How far the steps that lead from end to end may be from a whole number, since a third is written as 0.333."""

_RANGE = re.compile(r"^\s*(-?[\d.]+)\s*\.\.\s*(-?[\d.]+)\s*(?:/\s*([\d.]+))?\s*(\(continuous\))?\s*$")


@dataclass(frozen=True, kw_only=True)
class RatingScale:
    """An ordered list of levels that ratings are given on.

    A discrete scale has up to 21 levels, which are the possible ratings. A continuous scale is cut into bins, and its
    levels are the bins' centres; predictions may then be anything between ``low`` and ``high``.

    Attributes:
        levels: the levels, ascending, at least two; for a continuous scale the mean training rating of each bin.
        low: the lowest possible rating.
        high: the highest possible rating.
        edges: for a continuous scale the ``len(levels) + 1`` bin edges from ``low`` to ``high``; else empty.

    Example:
        >>> scale = RatingScale.parse("1..5")
        >>> scale.levels
        (1.0, 2.0, 3.0, 4.0, 5.0)
        >>> scale.mean(np.array([[0.0, 0.0, 0.0, 0.5, 0.5]]))
        array([4.5])
    """

    levels: tuple[float, ...]
    low: float
    high: float
    edges: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.levels) < 2:
            raise ScaleError(f"a rating scale needs at least two levels, found {self.describe() or 'none'}")
        if any(not np.isfinite(level) for level in self.levels) or any(np.diff(self.levels) <= 0):
            raise ScaleError(f"the levels of a rating scale must be finite and ascending, found {self.levels}")
        if self.edges and len(self.edges) != len(self.levels) + 1:
            raise ScaleError(f"{len(self.levels)} bins need {len(self.levels) + 1} edges, found {len(self.edges)}")

    # -- making one ---------------------------------------------------------------------------------------------------

    @classmethod
    def discrete(cls, levels: ArrayLike) -> "RatingScale":
        """Scale of the given levels, in any order.

        Raises:
            ScaleError: if fewer than two distinct finite levels are given, or more than 21.
        """
        values = tuple(float(level) for level in np.unique(np.asarray(levels, dtype=np.float64)))
        if len(values) > MAX_LEVELS:
            raise ScaleError(f"a discrete scale has at most {MAX_LEVELS} levels, found {len(values)}; use low..high")
        if len(values) < 2:
            found = ", ".join(map(format_level, values)) or "none"
            raise ScaleError(f"a rating scale needs at least two levels, found {found}")
        return cls(levels=values, low=values[0], high=values[-1])

    @classmethod
    def continuous(cls, ratings: ArrayLike, low: float | None = None, high: float | None = None) -> "RatingScale":
        """Continuous scale whose bins hold about equally many of the given training ratings.

        Where nearly all ratings are equal, the bins hold about equally many different ones.

        Args:
            ratings: training ratings, shape ``(review,)``.
            low: lowest possible rating; the lowest seen by default.
            high: highest possible rating; the highest seen by default.

        Raises:
            ScaleError: if all ratings are equal, or one lies outside ``low..high``.
        """
        values = np.asarray(ratings, dtype=np.float64)
        low = float(values.min()) if low is None else low
        high = float(values.max()) if high is None else high
        if values.min() < low or values.max() > high:
            raise ScaleError(f"ratings from {values.min():g} to {values.max():g} do not fit the scale {low:g}..{high:g}")
        cuts = np.unique(np.quantile(values, np.linspace(0, 1, CONTINUOUS_BINS + 1)[1:-1]))
        cuts = cuts[(cuts > values.min()) & (cuts > low) & (cuts < high)]
        cuts = cuts if len(cuts) else _cuts_between(np.unique(values))
        edges = np.concatenate([[low], cuts, [high]])
        index = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
        filled = np.unique(index)  # a bin that no rating falls into is joined to the one below it
        edges = np.concatenate([edges[filled], [high]])
        edges[0] = low
        levels = tuple(_centre(values[index == bin_index]) for bin_index in filled)
        if len(levels) < 2:
            raise ScaleError(f"a continuous scale needs different ratings, found only {values[0]:g}")
        return cls(levels=levels, low=low, high=high, edges=tuple(float(edge) for edge in edges))

    @classmethod
    def parse(cls, text: str, ratings: ArrayLike | None = None) -> "RatingScale":
        """Scale from its written form.

        Args:
            text: ``1..5`` (whole steps), ``1..5/0.5`` (steps of a half), ``1,2,4,5`` (explicit levels). A range of more
                than 21 levels, such as ``0..100``, is continuous, as is ``1..5 (continuous)``. A step may be rounded, as in
                ``1..3/0.333``.
            ratings: training ratings, which a continuous scale takes its bins from.

        Raises:
            ScaleError: if the text has none of these forms, or is continuous and no ratings are given.
        """
        match = _RANGE.match(text)
        try:
            if match is None:
                return cls.discrete([float(part) for part in text.split(",")])
            low, high = Fraction(match[1]), Fraction(match[2])
            step = Fraction(match[3] or "1")
        except ValueError:
            raise ScaleError(
                f"cannot read the scale {text!r}; write 1..5, 1..5/0.5, 0..100 or levels such as 1,2,4,5"
            ) from None
        if high <= low or step <= 0 or step > high - low:
            raise ScaleError(f"the scale {text!r} is empty: the lower number comes first, and the step fits between the two")
        steps = round((high - low) / step)
        if abs((high - low) / step - steps) > _ROUNDED_STEPS:
            raise ScaleError(f"steps of {float(step):g} do not lead from {float(low):g} to {float(high):g}")
        if steps < MAX_LEVELS and match[4] is None:
            return cls.discrete([float(low + (high - low) * index / steps) for index in range(steps + 1)])
        if ratings is None:
            raise ScaleError(f"the scale {text!r} is continuous and takes its bins from ratings; none were given")
        return cls.continuous(ratings, float(low), float(high))

    @classmethod
    def infer(cls, ratings: ArrayLike) -> "RatingScale":
        """Scale that explains the given ratings best.

        Whole or evenly spaced ratings with few levels give a discrete scale, with the levels between them that nobody
        used filled in (1, 2, 4 and 5 stars give 1..5). Everything else gives a continuous one.

        Raises:
            ScaleError: if there are fewer than two different ratings.
        """
        values = np.unique(np.asarray(ratings, dtype=np.float64))
        if len(values) < 2:
            found = f"only the rating {values[0]:g}" if len(values) else "no rating"
            raise ScaleError(f"found {found}; learning needs at least two different ratings")
        if len(values) == 2:
            return cls.discrete(values)
        for step in (1.0, 0.5, 0.25):
            if np.allclose(values / step, np.round(values / step), rtol=0, atol=1e-6):
                low, high = _customary_ends(float(values[0]), float(values[-1]), step)
                count = round((high - low) / step) + 1
                if 2 <= count <= MAX_LEVELS:
                    return cls.discrete(low + step * np.arange(count))
        if len(values) <= MAX_LEVELS and len(values) * 20 <= np.size(ratings):
            return cls.discrete(values)
        return cls.continuous(ratings)

    # -- what it is ---------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.levels)

    @property
    def is_continuous(self) -> bool:
        """Whether ratings between the levels are possible."""
        return bool(self.edges)

    @property
    def labels(self) -> tuple[str, ...]:
        """Short name of each level, ``("1", "1.5", ...)``."""
        return tuple(format_level(level) for level in self.levels)

    def describe(self) -> str:
        """The scale in words that ``parse`` reads, for messages and reports; numbers have six digits at most."""
        if self.is_continuous:
            return f"{self.low:g}..{self.high:g} (continuous)"
        steps = np.diff(self.levels)
        if len(self.levels) > 2 and np.allclose(steps, steps[0]):
            step = "" if np.isclose(steps[0], 1) else f"/{steps[0]:g}"
            return f"{format_level(self.low)}..{format_level(self.high)}{step}"
        return ",".join(self.labels)

    def contains(self, ratings: ArrayLike) -> NDArray[np.bool_]:
        """Whether each rating is possible on this scale; same shape as ``ratings``."""
        values = np.asarray(ratings, dtype=np.float64)
        if self.is_continuous:
            return (values >= self.low) & (values <= self.high)
        with np.errstate(invalid="ignore"):
            return np.isclose(values, self.snap(np.nan_to_num(values)), rtol=0, atol=1e-6)

    def level_index(self, ratings: ArrayLike) -> IntArray:
        """Index of the level, or of the bin, that each rating belongs to; same shape as ``ratings``."""
        values = np.asarray(ratings, dtype=np.float64)
        inner = np.asarray(self.edges[1:-1], dtype=np.float64) if self.is_continuous else self._midpoints()
        side = "right" if self.is_continuous else "left"
        return np.searchsorted(inner, values, side=side).astype(np.int64)  # type: ignore[call-overload, no-any-return] # a side in a variable

    def snap(self, ratings: ArrayLike) -> FloatArray:
        """Nearest level of each rating (the bin's centre on a continuous scale); same shape as ``ratings``."""
        return self._levels()[self.level_index(ratings)]

    def cut_points(self) -> FloatArray:
        """Ratings at which one level ends and the next begins, shape ``(level - 1,)``."""
        return np.asarray(self.edges[1:-1], dtype=np.float64) if self.is_continuous else self._midpoints()

    def _levels(self) -> FloatArray:
        return np.asarray(self.levels, dtype=np.float64)

    def _midpoints(self) -> FloatArray:
        levels = self._levels()
        return (levels[1:] + levels[:-1]) / 2

    # -- what probabilities say ---------------------------------------------------------------------------------------

    def mean(self, probabilities: FloatArray) -> FloatArray:
        """Expected rating, which minimises squared error.

        Args:
            probabilities: shape ``(review, level)``, each row summing to one.

        Returns:
            Shape ``(review,)``, never outside the scale.
        """
        return np.clip(self._checked(probabilities) @ self._levels(), self.low, self.high)

    def median(self, probabilities: FloatArray) -> FloatArray:
        """Median rating, which minimises absolute error: a level, or a point within a bin on a continuous scale."""
        if self.is_continuous:
            return self.quantiles(probabilities, (0.5,))[:, 0]
        cumulative = np.cumsum(self._checked(probabilities), axis=1)
        index: IntArray = np.minimum((cumulative < 0.5 - 1e-9).sum(axis=1), len(self) - 1)
        return self._levels()[index]

    def mode(self, probabilities: FloatArray) -> FloatArray:
        """Most probable level, which maximises accuracy, shape ``(review,)``."""
        index: IntArray = np.argmax(self._checked(probabilities), axis=1)
        return self._levels()[index]

    def quantiles(self, probabilities: FloatArray, fractions: tuple[float, ...] = QUANTILES) -> FloatArray:
        """Quantiles of a continuous scale, taking ratings to be uniform within each bin.

        Returns:
            Shape ``(review, quantile)``.

        Raises:
            ScaleError: if the scale is discrete.
        """
        if not self.is_continuous:
            raise ScaleError("quantiles belong to a continuous scale; a discrete one has a probability for each level")
        checked = self._checked(probabilities)
        cumulative = np.concatenate([np.zeros((len(checked), 1)), np.cumsum(checked, axis=1)], axis=1)
        cumulative /= cumulative[:, -1:]
        rows = [np.interp(fractions, row, self.edges) for row in cumulative]
        return np.array(rows, dtype=np.float64).reshape(len(checked), len(fractions))

    def _checked(self, probabilities: FloatArray) -> FloatArray:
        array = np.asarray(probabilities, dtype=np.float64)
        if array.ndim != 2 or array.shape[1] != len(self):
            raise ShapeError(f"probabilities must have the shape (review, {len(self)}), found {array.shape}")
        return array

    # -- storing ------------------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """The scale as values that JSON can hold; `from_json` reads them."""
        return {"levels": list(self.levels), "low": self.low, "high": self.high, "edges": list(self.edges)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "RatingScale":
        """The scale that `to_json` described.

        Raises:
            ScaleError: if a part is missing or impossible.
        """
        try:
            return cls(
                levels=tuple(map(float, value["levels"])),
                low=float(value["low"]),
                high=float(value["high"]),
                edges=tuple(map(float, value["edges"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ScaleError(f"not a stored rating scale: {value!r} ({error})") from None


def format_level(level: float) -> str:
    """Shortest decimal form of a level: ``4`` for 4.0, ``4.5`` for 4.5."""
    return f"{level:.6g}"


def _centre(ratings: FloatArray) -> float:
    """Mean rating of a bin; summing rounds, which must not carry it out of the bin."""
    return float(np.clip(ratings.mean(), ratings.min(), ratings.max()))


def _cuts_between(different: FloatArray) -> FloatArray:
    """Cuts halfway between different ratings, at most as many as bins have; both ends are cut off from the others."""
    halfway = (different[1:] + different[:-1]) / 2
    chosen = np.linspace(0, len(halfway) - 1, min(len(halfway), CONTINUOUS_BINS - 1)).round().astype(np.int64)
    cuts: FloatArray = halfway[np.unique(chosen)]
    is_between: NDArray[np.bool_] = (cuts > different[0]) & (cuts < different[-1])  # not so halfway between neighbouring floats
    return cuts.compress(is_between)


def _customary_ends(low: float, high: float, step: float) -> tuple[float, float]:
    """Add the levels at the low end that nobody used: ratings from 2 to 5 are on the customary scale 1..5."""
    for customary_high in (5.0, 10.0):
        if high == customary_high and 1 + step <= low <= customary_high / 2:
            return 1.0, high
    return low, high
