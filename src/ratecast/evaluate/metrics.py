"""How good predicted ratings and probabilities are: every metric that ratecast reports, in plain NumPy."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ratecast.errors import DataError, ShapeError
from ratecast.evaluate.calibration import check_probabilities, expected_calibration_error
from ratecast.scale import FloatArray, RatingScale

PROBABILITY_FLOOR: Final = 1e-6
"""A smaller probability counts as this in the NLL, so that one impossible rating costs 13.8 and not infinity."""


class MetricInfo(NamedTuple):
    """What a reader needs to know of a metric."""

    label: str
    better: Literal["lower", "higher"]
    decimals: int
    explanation: str
    in_rating_units: bool = False

    def format(self, value: float | None, scale: RatingScale | None = None) -> str:
        """The value with the metric's decimals, fewer on a wide scale and more on a narrow one; a dash where undefined."""
        if value is None or math.isnan(value):
            return "–"
        decimals = self.decimals
        if self.in_rating_units and scale is not None:
            decimals = max(0, decimals - math.floor(math.log10((scale.high - scale.low) / 4)))
        return f"{round(value, decimals) + 0.0:.{decimals}f}"  # adding zero turns -0.0 into 0.0


METRICS: Final[Mapping[str, MetricInfo]] = {
    "rmse": MetricInfo("RMSE", "lower", 3, "root mean squared error of the expected rating, in rating units", True),
    "mse": MetricInfo("MSE", "lower", 3, "mean squared error of the expected rating", True),
    "mae": MetricInfo("MAE", "lower", 3, "mean absolute error of the median rating, in rating units", True),
    "accuracy": MetricInfo("Accuracy", "higher", 3, "share of reviews whose most probable level is the true one"),
    "within_one": MetricInfo("Within 1", "higher", 3, "share of reviews whose median is at most one level from the true one"),
    "qwk": MetricInfo("QWK", "higher", 3, "quadratic weighted kappa: agreement beyond chance, 1 is perfect, 0 is chance"),
    "spearman": MetricInfo("Spearman", "higher", 3, "rank correlation of expected and true ratings, 1 is the same order"),
    "nll": MetricInfo("NLL", "lower", 3, "mean negative log-probability of the true level"),
    "rps": MetricInfo("RPS", "lower", 3, "ranked probability score: error of the whole distribution, 0 to 1"),
    "ece": MetricInfo("ECE", "lower", 3, "expected calibration error: gap between stated confidence and accuracy, 0 to 1"),
}
"""Every metric by its name in `Metrics`, in the order in which tables show them."""

DISCRETE_METRICS: Final = ("accuracy", "within_one", "qwk")
"""Metrics that only a discrete scale has; None on a continuous one."""


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """All metrics of one set of predictions.

    Attributes:
        reviews: number of reviews.
        mse, rmse: errors of the expected rating.
        mae: error of the median rating.
        accuracy: of the most probable level; None on a continuous scale.
        within_one: of the median; None on a continuous scale.
        qwk: of the expected rating snapped to the nearest level, or of ratings that were decided for it; None on a continuous
            scale, NaN where it is undefined.
        spearman: of the expected rating; NaN if all ratings or all predictions are equal.
        nll, rps, ece: of the probabilities, over bins on a continuous scale.
    """

    reviews: int
    mse: float
    rmse: float
    mae: float
    accuracy: float | None
    within_one: float | None
    qwk: float | None
    spearman: float
    nll: float
    rps: float
    ece: float

    def to_json(self) -> dict[str, Any]:
        """The metrics as values that JSON can hold: None for what is undefined."""
        return {name: None if _undefined(value) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any], scale: RatingScale) -> "Metrics":
        """The metrics that `to_json` described, on the scale they were measured on.

        Raises:
            DataError: if a metric is missing or no number.
        """
        try:
            read = {name: math.nan if value[name] is None else float(value[name]) for name in METRICS}
            absent: dict[str, Any] = dict.fromkeys(DISCRETE_METRICS) if scale.is_continuous else {}
            return cls(reviews=int(value["reviews"]), **(read | absent))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"expected stored metrics, found {value!r} ({error})") from None


def compute_metrics(
    ratings: ArrayLike, probabilities: ArrayLike, scale: RatingScale, *, for_qwk: ArrayLike | None = None
) -> Metrics:
    """Every metric of the given probabilities.

    Args:
        ratings: true ratings, shape ``(review,)``, in units of the scale.
        probabilities: shape ``(review, level)``, each row summing to one.
        scale: the scale of the ratings and the levels.
        for_qwk: the ratings that are given where QWK counts, shape ``(review,)``; the expected ratings by default.

    Raises:
        ShapeError: if the shapes do not fit each other or the scale, or there is no review.
        DataError: if a rating is not finite, or a row is not a probability distribution.

    Example:
        >>> scale = RatingScale.parse("1..3")
        >>> metrics = compute_metrics([1, 3], [[0.8, 0.2, 0.0], [0.0, 0.2, 0.8]], scale)
        >>> round(metrics.mse, 6), metrics.accuracy
        (0.04, 1.0)
    """
    truth, checked = check_probabilities(ratings, probabilities, scale)
    mean, median = expected_ratings(checked, scale), scale.median(checked)
    mse = mean_squared_error(truth, mean)
    discrete = not scale.is_continuous
    return Metrics(
        reviews=len(truth),
        mse=mse,
        rmse=math.sqrt(mse),
        mae=mean_absolute_error(truth, median),
        accuracy=accuracy(truth, scale.mode(checked), scale) if discrete else None,
        within_one=within_one_level(truth, median, scale) if discrete else None,
        qwk=quadratic_weighted_kappa(truth, mean if for_qwk is None else for_qwk, scale) if discrete else None,
        spearman=spearman_correlation(truth, mean),
        nll=negative_log_likelihood(truth, checked, scale),
        rps=ranked_probability_score(truth, checked, scale),
        ece=expected_calibration_error(truth, checked, scale),
    )


def expected_ratings(probabilities: FloatArray, scale: RatingScale) -> FloatArray:
    """Expected rating of each review, shape ``(review,)``, without the noise of the last bits.

    A matrix product may give equal rows results that differ in the last bit, and ranks would see a difference there.
    """
    return np.round(scale.mean(probabilities), 10)


# -- of predicted ratings ---------------------------------------------------------------------------------------------


def mean_squared_error(ratings: ArrayLike, predictions: ArrayLike) -> float:
    """``1/n Σ (ŷ − y)²``, in squared rating units (Gauss 1809; minimised by the mean).

    Args:
        ratings: true ratings, shape ``(review,)``.
        predictions: predicted ratings, same shape.

    Raises:
        ShapeError: if the two shapes differ, or there is no review.
    """
    truth, predicted = _checked(ratings, predictions)
    return float(np.mean((predicted - truth) ** 2))


def root_mean_squared_error(ratings: ArrayLike, predictions: ArrayLike) -> float:
    """``√MSE``, in rating units. Arguments and errors as in `mean_squared_error`."""
    return math.sqrt(mean_squared_error(ratings, predictions))


def mean_absolute_error(ratings: ArrayLike, predictions: ArrayLike) -> float:
    """``1/n Σ |ŷ − y|``, in rating units (Laplace 1774; minimised by the median).

    Args:
        ratings: true ratings, shape ``(review,)``.
        predictions: predicted ratings, same shape.

    Raises:
        ShapeError: if the two shapes differ, or there is no review.
    """
    truth, predicted = _checked(ratings, predictions)
    return float(np.mean(np.abs(predicted - truth)))


def accuracy(ratings: ArrayLike, predictions: ArrayLike, scale: RatingScale) -> float:
    """Share of predictions whose nearest level is that of the rating, in 0..1.

    Args:
        ratings: true ratings, shape ``(review,)``, in units of the scale.
        predictions: predicted ratings, same shape; snapped to the nearest level first.
        scale: the scale of the ratings and the levels.

    Raises:
        ShapeError: if the two shapes differ, or there is no review.
    """
    truth, predicted = _checked(ratings, predictions)
    return float(np.mean(scale.level_index(truth) == scale.level_index(predicted)))


def within_one_level(ratings: ArrayLike, predictions: ArrayLike, scale: RatingScale) -> float:
    """Share of predictions at most one level from the rating, in 0..1: half a star on a scale of half stars.

    Source: Gaudette and Japkowicz 2009, "Evaluation Methods for Ordinal Classification" (accuracy within n).

    Args:
        ratings: true ratings, shape ``(review,)``, in units of the scale.
        predictions: predicted ratings, same shape; snapped to the nearest level first.
        scale: the scale of the ratings and the levels.

    Raises:
        ShapeError: if the two shapes differ, or there is no review.
    """
    truth, predicted = _checked(ratings, predictions)
    return float(np.mean(np.abs(scale.level_index(truth) - scale.level_index(predicted)) <= 1))


def quadratic_weighted_kappa(ratings: ArrayLike, predictions: ArrayLike, scale: RatingScale) -> float:
    """Agreement beyond chance, where a miss by d levels counts d²; at most 1, and 0 for chance.

    ``κ = 1 − Σ (i − j)² O_ij / Σ (i − j)² E_ij`` over the confusion matrix O and the one E that independent ratings and
    predictions with the same marginals would give. With quadratic weights both sums are moments of the level indices t
    and p: ``κ = 1 − mean((t − p)²) / (var t + var p + (mean t − mean p)²)``, so no matrix is built.

    Source: Cohen 1968, "Weighted kappa"; Fleiss and Cohen 1973 for the moments.

    Args:
        ratings: true ratings, shape ``(review,)``, in units of the scale.
        predictions: predicted ratings, same shape; snapped to the nearest level first.
        scale: the scale of the ratings and the levels.

    Returns:
        NaN if every rating and every prediction is one and the same level: chance alone would agree then.

    Raises:
        ShapeError: if the two shapes differ, or there is no review.
    """
    truth, predicted = _checked(ratings, predictions)
    t, p = scale.level_index(truth).astype(np.float64), scale.level_index(predicted).astype(np.float64)
    by_chance = np.var(t) + np.var(p) + (np.mean(t) - np.mean(p)) ** 2
    return float(1 - np.mean((t - p) ** 2) / by_chance) if by_chance > 0 else math.nan


def spearman_correlation(ratings: ArrayLike, predictions: ArrayLike) -> float:
    """Pearson's correlation of the ranks, in -1..1; ties share their average rank.

    Source: Spearman 1904, "The proof and measurement of association between two things"; Kendall 1945 for ties.

    Args:
        ratings: true ratings, shape ``(review,)``.
        predictions: predicted ratings, same shape.

    Returns:
        NaN if all ratings or all predictions are equal (one review is the smallest such case): there is no order then.

    Raises:
        ShapeError: if the two shapes differ, or there is no review.
    """
    truth, predicted = _checked(ratings, predictions)
    x, y = average_ranks(truth), average_ranks(predicted)
    x, y = x - x.mean(), y - y.mean()
    spread = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / spread if spread > 0 else math.nan


def average_ranks(values: FloatArray) -> FloatArray:
    """Rank of each value from 1, equal values sharing the average of theirs; shape ``(review,)``."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse], dtype=np.float64)


# -- of probabilities -------------------------------------------------------------------------------------------------


def negative_log_likelihood(ratings: ArrayLike, probabilities: ArrayLike, scale: RatingScale) -> float:
    """``−1/n Σ log p(true level)``, in nats; probabilities below `PROBABILITY_FLOOR` count as that.

    Source: Good 1952, "Rational decisions" (the logarithmic score).

    Args:
        ratings: true ratings, shape ``(review,)``, in units of the scale.
        probabilities: shape ``(review, level)``; on a continuous scale a level is a bin of ratings.
        scale: the scale of the ratings and the levels.

    Raises:
        ShapeError: if the shapes do not fit each other or the scale, or there is no review.
        DataError: if a rating is not finite, or a row is not a probability distribution.
    """
    return float(np.mean(log_losses(*check_probabilities(ratings, probabilities, scale), scale)))


def ranked_probability_score(ratings: ArrayLike, probabilities: ArrayLike, scale: RatingScale) -> float:
    """Squared distance of the cumulative distributions, in 0..1: mass far from the true level costs more than mass near.

    ``RPS = 1/n Σ 1/(K − 1) Σ_{k<K} (P(ŷ ≤ k) − 1[y ≤ k])²`` over K levels; **normalised** by K − 1, so that scales of
    different lengths compare; two levels give half of the (two-sided) Brier score.

    Source: Epstein 1969, "A scoring system for probability forecasts of ranked categories", in the form of Murphy 1971
    (0 is best).

    Args:
        ratings: true ratings, shape ``(review,)``, in units of the scale.
        probabilities: shape ``(review, level)``; on a continuous scale a level is a bin of ratings.
        scale: the scale of the ratings and the levels.

    Raises:
        ShapeError: if the shapes do not fit each other or the scale, or there is no review.
        DataError: if a rating is not finite, or a row is not a probability distribution.
    """
    return float(np.mean(ranked_losses(*check_probabilities(ratings, probabilities, scale), scale)))


def log_losses(ratings: FloatArray, probabilities: FloatArray, scale: RatingScale) -> FloatArray:
    """The NLL's part of each review, shape ``(review,)``."""
    chosen = probabilities[np.arange(len(ratings)), scale.level_index(ratings)]
    return np.asarray(-np.log(np.clip(chosen, PROBABILITY_FLOOR, 1.0)), dtype=np.float64)


def ranked_losses(ratings: FloatArray, probabilities: FloatArray, scale: RatingScale) -> FloatArray:
    """The RPS's part of each review, shape ``(review,)``."""
    cumulative = np.cumsum(probabilities, axis=1)[:, :-1]
    reached = scale.level_index(ratings)[:, None] <= np.arange(len(scale) - 1)
    return np.asarray(np.mean((cumulative - reached) ** 2, axis=1), dtype=np.float64)


def _checked(ratings: ArrayLike, predictions: ArrayLike) -> tuple[FloatArray, FloatArray]:
    truth, predicted = np.asarray(ratings, dtype=np.float64), np.asarray(predictions, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != predicted.shape:
        raise ShapeError(f"expected one prediction for each rating, both (review,), found {predicted.shape} and {truth.shape}")
    if not len(truth):
        raise ShapeError("expected at least one rated review, found none")
    return truth, predicted


def _undefined(value: float | None) -> bool:
    return value is None or math.isnan(value)
