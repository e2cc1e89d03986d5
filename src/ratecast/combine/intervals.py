"""Prediction intervals that hold the true rating as often as they say: split conformal prediction over an ordered scale."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ratecast.errors import ConfigError, ModelFolderError
from ratecast.evaluate.calibration import check_probabilities
from ratecast.scale import FloatArray, IntArray, RatingScale

_SCORE: Final = "mass before"
"""Which score a file holds. Before, it was the mass with the level itself in it, by which intervals would be too wide now."""

_ROUNDING: Final = 1e-9
"""A rating whose score equals the quantile belongs to its interval, also when the last digits differ."""


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """Conformal prediction intervals of ratings, without gaps.

    Every held-out review has a score: how far from the centre of its predicted distribution its true rating lay, in
    probability. The interval of a new review reaches as far as the scores of ``coverage`` of the held-out reviews do. If
    held-out and new reviews are exchangeable (drawn alike, in no particular order) and the model learned from neither, then::

        P(the rating lies in the interval) >= coverage

    over reviews as a whole, whatever the model is worth and however many held-out reviews there are; a worse model has wider
    intervals. It is no promise for one kind of review (long ones, one product), nor for reviews of another time or place.

    Discrete scale: sets grow from the most probable level, each time by the more probable neighbour, and the score of a level
    is the mass of the set just before it. So a set grows until its mass exceeds the quantile of the scores. The most probable
    level, whose score is 0, always belongs: a coverage below the accuracy is exceeded.
    Continuous scale: the score of a rating y is ``|F(y) − 1/2|``, with F linear within each bin.

    Source: Vovk, Gammerman and Shafer 2005, "Algorithmic Learning in a Random World", for the guarantee; Lu, Angelopoulos and
    Pomerantz 2022, "Improving Trustworthiness of AI Disease Severity Rating in Medical Imaging with Ordinal Conformal
    Prediction Sets", algorithm 1; Chernozhukov, Wüthrich and Zhu 2021, "Distributional conformal prediction".

    Saved as one file, ``<name>.safetensors``, with the tensor ``scores``; the coverage in the metadata, and which score it is.

    Attributes:
        scores: scores of held-out reviews, ascending, shape ``(review,)``.
        coverage: share of ratings that intervals hold unless another one is asked for, above 0 and below 1.

    Raises:
        ConfigError: if the coverage is not between 0 and 1.
    """

    scores: FloatArray
    coverage: float = 0.9

    def __post_init__(self) -> None:
        check_coverage(self.coverage)

    @classmethod
    def fit(cls, ratings: ArrayLike, probabilities: ArrayLike, scale: RatingScale, coverage: float = 0.9) -> "Intervals":
        """Intervals from held-out reviews, which the model and everything after it must not have learned from.

        Args:
            ratings: their true ratings, shape ``(review,)``, on the scale.
            probabilities: the model's, shape ``(review, level)``.
            scale: the scale of the ratings and the levels.
            coverage: share of ratings that intervals hold by default.

        Raises:
            ConfigError: if the coverage is not between 0 and 1.
            ShapeError: if the shapes do not fit each other or the scale, or there is no review.
            DataError: if a rating is not finite, or a row is not a probability distribution.
        """
        truth, checked = check_probabilities(ratings, probabilities, scale)
        if scale.is_continuous:
            scores = np.abs(_cumulative_at(truth, checked, scale) - 0.5)
        else:
            scores = _level_scores(checked)[np.arange(len(truth)), scale.level_index(truth)]
        return cls(scores=np.sort(scores), coverage=coverage)

    def intervals(self, probabilities: ArrayLike, scale: RatingScale, coverage: float | None = None) -> FloatArray:
        """Lowest and highest rating of each review's interval.

        Args:
            probabilities: shape ``(review, level)``, each row summing to one.
            scale: the scale of the levels.
            coverage: share of ratings that the intervals hold; the default one if None.

        Returns:
            Shape ``(review, 2)``, in units of the scale; levels of a discrete one.

        Raises:
            ConfigError: if the coverage is not between 0 and 1.
            ShapeError: if the probabilities do not fit the scale.
            DataError: if a row is not a probability distribution.
        """
        array = np.asarray(probabilities, dtype=np.float64)
        if not len(array):
            return np.empty((0, 2))
        _, checked = check_probabilities(np.full(len(array), scale.low), array, scale)
        reach = self.quantile(coverage) + _ROUNDING
        if not math.isfinite(reach):
            return np.tile([scale.low, scale.high], (len(checked), 1))
        return _between_quantiles(checked, scale, reach) if scale.is_continuous else _level_sets(checked, scale, reach)

    def quantile(self, coverage: float | None = None) -> float:
        """The score up to which ratings belong to an interval; infinite if the held-out reviews are too few to say.

        It is the ``⌈(n + 1) · coverage⌉``-th smallest of n scores: the new review counts as one more.

        Raises:
            ConfigError: if the coverage is not between 0 and 1.
        """
        asked = self.coverage if coverage is None else check_coverage(coverage)
        place = math.ceil((len(self.scores) + 1) * asked - _ROUNDING)
        return float(self.scores[place - 1]) if place <= len(self.scores) else math.inf

    def warning(self, coverage: float | None = None) -> str | None:
        """What to know where the held-out reviews are too few, so that every interval is the whole scale; else None."""
        if math.isfinite(self.quantile(coverage)):
            return None
        asked = self.coverage if coverage is None else coverage
        needed = math.ceil(asked / (1 - asked) - _ROUNDING)
        return (
            f"every interval is the whole scale: intervals that hold {100 * asked:g} % of the ratings need {needed} held-out "
            f"reviews, found {len(self.scores)}; hold out more reviews or ask for less coverage"
        )

    def save(self, folder: Path, name: str) -> list[str]:
        """Write the intervals into a folder and return the names of the files written."""
        file = f"{name}.safetensors"
        about = json.dumps({"coverage": self.coverage, "score": _SCORE})
        save_file({"scores": self.scores}, folder / file, metadata={"ratecast": about})
        return [file]

    @classmethod
    def load(cls, folder: Path, files: Sequence[str]) -> "Intervals":
        """The intervals that `save` wrote.

        Raises:
            ModelFolderError: if the file is missing or damaged.
        """
        try:
            with safe_open(folder / files[0], framework="numpy") as stored:
                scores = stored.get_tensor("scores").astype(np.float64)
                about = json.loads(stored.metadata()["ratecast"])
            found = cls(scores=scores, coverage=float(about["coverage"]))
            if about.get("score") != _SCORE:
                raise ValueError("another version of ratecast wrote them, with another score")
        except (OSError, ValueError, LookupError, TypeError, SafetensorError, ConfigError) as error:
            raise ModelFolderError(f"cannot read the intervals in {folder} ({error}); fit the model again") from None
        if scores.ndim != 1 or not np.isfinite(scores).all() or (np.diff(scores) < 0).any():
            raise ModelFolderError(f"the intervals in {folder} have no ascending scores; fit the model again")
        return found


def check_coverage(coverage: float) -> float:
    """The coverage itself.

    Raises:
        ConfigError: if it is not between 0 and 1.
    """
    if not 0 < coverage < 1:
        raise ConfigError(f"the coverage of intervals must be above 0 and below 1, found {coverage:g}; 0.9 holds 90 %")
    return coverage


# -- a discrete scale -------------------------------------------------------------------------------------------------


def _level_scores(probabilities: FloatArray) -> FloatArray:
    """Mass of the contiguous set to which each level comes next, 0 for the most probable one, shape ``(review, level)``.

    Sets grow from the most probable level by the more probable neighbour; of equal ones the lower comes first.
    """
    reviews, levels = probabilities.shape
    rows = np.arange(reviews)
    walled = np.pad(probabilities, ((0, 0), (1, 1)), constant_values=-1.0)  # beyond the ends there is nothing to grow to
    low: IntArray = np.argmax(probabilities, axis=1) + 1
    high = low.copy()
    mass = walled[rows, low]
    scores = np.zeros_like(probabilities)
    for _ in range(levels - 1):
        below, above = walled[rows, low - 1], walled[rows, high + 1]
        goes_down = below >= above
        low, high = low - goes_down, high + ~goes_down
        scores[rows, np.where(goes_down, low, high) - 1] = mass
        mass = mass + np.where(goes_down, below, above)
    return scores


def _level_sets(probabilities: FloatArray, scale: RatingScale, reach: float) -> FloatArray:
    """Ends of the levels whose score is at most ``reach``, shape ``(review, 2)``."""
    belongs = _level_scores(probabilities) <= reach
    levels = np.asarray(scale.levels)
    lowest, highest = np.argmax(belongs, axis=1), len(levels) - 1 - np.argmax(belongs[:, ::-1], axis=1)
    return np.stack([levels[lowest], levels[highest]], axis=1)


# -- a continuous scale -----------------------------------------------------------------------------------------------


def _cumulative(probabilities: FloatArray) -> FloatArray:
    """Probability of a rating below each edge, from 0 to exactly 1, shape ``(review, edge)``."""
    sums = np.cumsum(probabilities, axis=1)
    return np.concatenate([np.zeros((len(sums), 1)), sums / sums[:, -1:]], axis=1)


def _cumulative_at(ratings: FloatArray, probabilities: FloatArray, scale: RatingScale) -> FloatArray:
    """F(y) of each review's rating y, linear within the bins, shape ``(review,)``."""
    edges, rows = np.asarray(scale.edges), np.arange(len(ratings))
    lower = scale.level_index(ratings)
    inside = np.clip((ratings - edges[lower]) / (edges[lower + 1] - edges[lower]), 0.0, 1.0)
    cumulative = _cumulative(probabilities)
    below = cumulative[rows, lower]
    return np.asarray(below + inside * (cumulative[rows, lower + 1] - below), dtype=np.float64)


def _between_quantiles(probabilities: FloatArray, scale: RatingScale, reach: float) -> FloatArray:
    """Lowest and highest rating y with ``|F(y) − 1/2| <= reach``, shape ``(review, 2)``.

    Where F is level (bins without probability) the interval takes in all of the level part, as the score does.
    """
    cumulative, edges = _cumulative(probabilities), np.asarray(scale.edges)
    first, last = max(0.5 - reach, 0.0), min(0.5 + reach, 1.0)
    from_edge = (cumulative < first).sum(axis=1)  # F reaches `first` in the bin below this edge
    to_edge = (cumulative <= last).sum(axis=1) - 1  # F passes `last` in the bin above this edge
    low = _crossing(cumulative, edges, np.maximum(from_edge - 1, 0), first)
    high = _crossing(cumulative, edges, np.minimum(to_edge, len(edges) - 2), last)
    return np.stack([np.where(from_edge == 0, edges[0], low), np.where(to_edge == len(edges) - 1, edges[-1], high)], axis=1)


def _crossing(cumulative: FloatArray, edges: FloatArray, lower: IntArray, value: float) -> FloatArray:
    """Rating at which F, in the bin above the edge ``lower``, is ``value``; shape ``(review,)``."""
    rows = np.arange(len(lower))
    below, above = cumulative[rows, lower], cumulative[rows, lower + 1]
    rise = above - below
    inside = np.clip((value - below) / np.where(rise > 0, rise, 1.0), 0.0, 1.0)
    return np.asarray(edges[lower] + inside * (edges[lower + 1] - edges[lower]), dtype=np.float64)
