"""How far stated probabilities can be trusted: reliability by confidence, and the expected calibration error."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from ratecast.errors import DataError, ShapeError
from ratecast.scale import FloatArray, IntArray, RatingScale

CALIBRATION_BINS: Final = 15
"""Number of equal-width bins of confidence, as in Guo et al. 2017."""

_RESAMPLES: Final = 1000
_CRITICAL_QUANTILE: Final = 0.95
_SUM_TOLERANCE: Final = 1e-3  # float32 probabilities of 21 levels, written with a few decimals, still pass


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """Confidence and accuracy of the most probable level, in bins of equal width.

    Attributes:
        edges: bin edges from 0 to 1, shape ``(bin + 1,)``; a bin includes its upper edge.
        reviews: number of reviews in each bin, shape ``(bin,)``.
        confidence: mean probability of the most probable level, shape ``(bin,)``; NaN where a bin is empty.
        accuracy: share of reviews whose rating is the most probable level, shape ``(bin,)``; NaN where a bin is empty.
    """

    edges: FloatArray
    reviews: IntArray
    confidence: FloatArray
    accuracy: FloatArray


def reliability(
    ratings: ArrayLike, probabilities: ArrayLike, scale: RatingScale, *, bins: int = CALIBRATION_BINS
) -> Reliability:
    """Confidence against accuracy, the numbers behind a reliability diagram.

    Source: Guo, Pleiss, Sun and Weinberger 2017, "On Calibration of Modern Neural Networks", section 2.

    Args:
        ratings: true ratings, shape ``(review,)``, in units of the scale.
        probabilities: shape ``(review, level)``; on a continuous scale a level is a bin of ratings.
        scale: the scale of the ratings and the levels.
        bins: number of equal-width bins of confidence.

    Raises:
        ShapeError: if the shapes do not fit each other or the scale, or there is no review.
        DataError: if a rating is not finite, or a row is not a probability distribution.
    """
    truth, checked = check_probabilities(ratings, probabilities, scale)
    confidence, correct = confidence_and_correctness(truth, checked, scale)
    index = confidence_bins(confidence, bins)
    reviews = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        return Reliability(
            edges=np.linspace(0, 1, bins + 1),
            reviews=reviews.astype(np.int64),
            confidence=np.bincount(index, confidence, bins) / reviews,
            accuracy=np.bincount(index, correct, bins) / reviews,
        )


def expected_calibration_error(
    ratings: ArrayLike, probabilities: ArrayLike, scale: RatingScale, *, bins: int = CALIBRATION_BINS
) -> float:
    """Mean gap between confidence and accuracy over bins of confidence, weighted by their reviews; in 0..1.

    ``ECE = Σ_b n_b / n · |accuracy_b − confidence_b|``, where confidence is the probability of the most probable level.

    Source: Guo et al. 2017, equation 3; the bins are ``(0, 1/15], (1/15, 2/15], ...``.

    Args:
        ratings: true ratings, shape ``(review,)``, in units of the scale.
        probabilities: shape ``(review, level)``; on a continuous scale a level is a bin of ratings.
        scale: the scale of the ratings and the levels.
        bins: number of equal-width bins of confidence.

    Raises:
        ShapeError: if the shapes do not fit each other or the scale, or there is no review.
        DataError: if a rating is not finite, or a row is not a probability distribution.

    Example:
        >>> scale = RatingScale.parse("1..2")
        >>> error = expected_calibration_error([1, 1, 1, 2], [[0.9, 0.1]] * 4, scale)  # says 90 %, is right in 75 %
        >>> round(error, 6)
        0.15
    """
    found = reliability(ratings, probabilities, scale, bins=bins)
    gaps = np.nan_to_num(np.abs(found.accuracy - found.confidence))
    return float(gaps @ found.reviews / found.reviews.sum())


@dataclass(frozen=True, kw_only=True)
class CalibrationTest:
    """An expected calibration error beside those that perfectly calibrated probabilities would show on as many reviews.

    Attributes:
        error: the expected calibration error, in 0..1.
        chance: mean error of perfectly calibrated probabilities, which only chance makes larger than 0.
        critical: what their error stays below in 95 of 100 cases.
        reviews: number of reviews.
        bias: mean confidence less accuracy, in -1..1; positive if too sure.
    """

    error: float
    chance: float
    critical: float
    reviews: int
    bias: float

    @property
    def is_clear(self) -> bool:
        """Whether the error is larger than chance explains."""
        return self.error > self.critical

    def summary(self) -> str:
        """The test in words: ``an ECE of 0.033 is within chance: perfect calibration would show 0.025 on ...``."""
        tendency = f", {'too sure' if self.bias > 0 else 'too modest'} by {100 * abs(self.bias):.1f} points on average"
        verdict = f"is beyond chance{tendency}" if self.is_clear else "is within chance"
        reviews = f"{self.reviews:,} {'review' if self.reviews == 1 else 'reviews'}"
        return (
            f"an ECE of {self.error:.3f} {verdict}: perfect calibration would show {self.chance:.3f} on {reviews}, "
            f"and at most {self.critical:.3f} in 95 of 100 cases"
        )


def calibration_test(
    ratings: ArrayLike,
    probabilities: ArrayLike,
    scale: RatingScale,
    *,
    groups: IntArray | None = None,
    bins: int = CALIBRATION_BINS,
    resamples: int = _RESAMPLES,
    seed: int = 0,
) -> CalibrationTest:
    """Whether an expected calibration error is larger than chance explains.

    The error of few reviews is never 0, however well the probabilities are calibrated. So outcomes are drawn from the
    probabilities themselves, again and again, and their errors are what perfect calibration looks like.

    Source: consistency resampling, Bröcker and Smith 2007, "Increasing the Reliability of Reliability Diagrams"; as a test of
    the expected calibration error, Vaicenavicius et al. 2019, "Evaluating model calibration in classification".

    Args:
        ratings: true ratings, shape ``(review,)``, in units of the scale.
        probabilities: shape ``(review, level)``; on a continuous scale a level is a bin of ratings.
        scale: the scale of the ratings and the levels.
        groups: group number of each review, from 0, shape ``(review,)``; a group, of copies say, is right or wrong together.
            By default every review is one of its own.
        bins: number of equal-width bins of confidence.
        resamples: how often outcomes are drawn.
        seed: seed of the draws.

    Raises:
        ShapeError: if the shapes do not fit each other or the scale, or there is no review.
        DataError: if a rating is not finite, or a row is not a probability distribution.
    """
    truth, checked = check_probabilities(ratings, probabilities, scale)
    confidence, correct = confidence_and_correctness(truth, checked, scale)
    index = confidence_bins(confidence, bins)
    owners = np.arange(len(truth)) if groups is None else groups
    draw = np.random.default_rng(seed)

    def error(right: FloatArray) -> float:
        return float(np.abs(np.bincount(index, right - confidence, bins)).sum() / len(truth))

    drawn = [error((draw.random(int(owners.max()) + 1)[owners] < confidence).astype(float)) for _ in range(resamples)]
    return CalibrationTest(
        error=error(correct),
        chance=float(np.mean(drawn)),
        critical=float(np.quantile(drawn, _CRITICAL_QUANTILE)),
        reviews=len(truth),
        bias=float((confidence - correct).mean()),
    )


def confidence_and_correctness(
    ratings: FloatArray, probabilities: FloatArray, scale: RatingScale
) -> tuple[FloatArray, FloatArray]:
    """Probability of the most probable level, and 1.0 where that level is the rating's (else 0.0), each ``(review,)``."""
    correct = np.argmax(probabilities, axis=1) == scale.level_index(ratings)
    return probabilities.max(axis=1), correct.astype(np.float64)


def confidence_bins(confidence: FloatArray, bins: int = CALIBRATION_BINS) -> IntArray:
    """Index of the bin of each confidence, shape ``(review,)``; a bin includes its upper edge."""
    # Rounding keeps 0.6, which is 9/15, in the bin that ends there in spite of its binary form.
    index = np.ceil(np.round(confidence * bins, 9)) - 1
    return np.asarray(np.clip(index, 0, bins - 1), dtype=np.int64)


def check_probabilities(ratings: ArrayLike, probabilities: ArrayLike, scale: RatingScale) -> tuple[FloatArray, FloatArray]:
    """Ratings ``(review,)`` and probabilities ``(review, level)`` as arrays of floats that fit each other and the scale.

    Raises:
        ShapeError: if they do not fit, or there is no review.
        DataError: if a rating is not finite, or a row is not a probability distribution.
    """
    truth = np.asarray(ratings, dtype=np.float64)
    array = np.asarray(probabilities, dtype=np.float64)
    if truth.ndim != 1 or array.shape != (len(truth), len(scale)):
        raise ShapeError(
            f"expected ratings (review,) and probabilities (review, {len(scale)}), found {truth.shape} and {array.shape}"
        )
    if not len(truth):
        raise ShapeError("expected at least one rated review, found none")
    if not np.isfinite(truth).all():
        raise DataError("expected a rating for every review, found some that are missing or infinite")
    faulty = ~((array >= 0).all(axis=1) & (np.abs(array.sum(axis=1) - 1) <= _SUM_TOLERANCE))
    if faulty.any():
        row = int(np.argmax(faulty))
        raise DataError(
            f"expected probabilities of at least 0 that sum to one for each review, found {array[row].tolist()} in row {row}"
        )
    return truth, array
