"""Whether prediction intervals hold as many ratings as they were asked to, and how wide they are."""

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ratecast.errors import DataError, ShapeError


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """How prediction intervals did on rated reviews.

    Attributes:
        asked: share of ratings that the intervals should hold.
        reviews: number of reviews.
        covered_fraction: share of ratings that they held.
        low, high: Wilson interval of that share.
        mean_width: mean width of the intervals, in rating units.
        confidence: share of Wilson intervals that hold the true share.
    """

    asked: float
    reviews: int
    covered_fraction: float
    low: float
    high: float
    mean_width: float
    confidence: float = 0.95

    @property
    def is_short(self) -> bool:
        """Whether the intervals clearly hold fewer ratings than asked."""
        return self.high < self.asked

    def summary(self) -> str:
        """The coverage in words: ``90 % intervals hold 89.5 % (95 % interval 86.1 to 92.1) of 400 ratings, 1.4 wide``."""
        ends = f"{100 * self.low:.1f} to {100 * self.high:.1f}"
        verdict = ": fewer than asked" if self.is_short else ""
        return (
            f"{100 * self.asked:g} % intervals hold {100 * self.covered_fraction:.1f} % "
            f"({100 * self.confidence:g} % interval {ends}) of {self.reviews} "
            f"{'rating' if self.reviews == 1 else 'ratings'}{verdict}; they are {self.mean_width:.3g} wide on average"
        )

    def to_json(self) -> dict[str, Any]:
        """The coverage as values that JSON can hold."""
        return asdict(self)


def interval_coverage(ratings: ArrayLike, intervals: ArrayLike, asked: float, *, confidence: float = 0.95) -> Coverage:
    """Measure prediction intervals on rated reviews that had no part in making them.

    The interval of the share is that of Wilson 1927, "Probable inference, the law of succession, and statistical inference".

    Args:
        ratings: true ratings, shape ``(review,)``.
        intervals: lowest and highest rating of each interval, shape ``(review, 2)``; both ends belong to it.
        asked: share of ratings that the intervals should hold.
        confidence: share of Wilson intervals that would hold the true share.

    Raises:
        ShapeError: if there is not one interval for each rating, or no review.
        DataError: if a rating or an end is not finite, or an interval ends below its beginning.

    Example:
        >>> interval_coverage([1, 2, 5], [[1, 2], [1, 2], [3, 4]], asked=0.9).mean_width
        1.0
    """
    truth, ends = np.asarray(ratings, dtype=np.float64), np.asarray(intervals, dtype=np.float64)
    if truth.ndim != 1 or ends.shape != (len(truth), 2) or not len(truth):
        raise ShapeError(f"expected ratings (review,) and intervals (review, 2), found {truth.shape} and {ends.shape}")
    if not np.isfinite(truth).all() or not np.isfinite(ends).all() or (ends[:, 0] > ends[:, 1]).any():
        raise DataError("expected finite ratings and intervals from low to high, found some that are not")
    covered = float(np.mean((truth >= ends[:, 0]) & (truth <= ends[:, 1])))
    low, high = _wilson(covered, len(truth), confidence)
    return Coverage(
        asked=asked,
        reviews=len(truth),
        covered_fraction=covered,
        low=low,
        high=high,
        mean_width=float(np.mean(ends[:, 1] - ends[:, 0])),
        confidence=confidence,
    )


def _wilson(share: float, reviews: int, confidence: float) -> tuple[float, float]:
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = share + z * z / (2 * reviews)
    half = z * math.sqrt(share * (1 - share) / reviews + z * z / (4 * reviews * reviews))
    below = 1 + z * z / reviews
    return max((centre - half) / below, 0.0), min((centre + half) / below, 1.0)
