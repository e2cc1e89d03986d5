"""One rating from a distribution: which one is best depends on the metric that it is judged by."""

from typing import Final, get_args

import numpy as np
from numpy.typing import ArrayLike

from ratecast.combine.folds import FOLDS, stratified_folds
from ratecast.config import Optimise
from ratecast.errors import ConfigError, ShapeError
from ratecast.evaluate.calibration import check_probabilities
from ratecast.evaluate.metrics import expected_ratings
from ratecast.scale import FloatArray, IntArray, RatingScale

_ROUNDS: Final = 50  # a round in which no threshold moves ends the search, mostly the third or fourth
_GAIN: Final = 1e-9  # a smaller gain in kappa is rounding


def decide(probabilities: ArrayLike, scale: RatingScale, optimise: Optimise, thresholds: ArrayLike | None = None) -> FloatArray:
    """The rating to give for each review if a certain metric counts.

    The mean minimises squared error (rmse), the median absolute error (mae), and the most probable level is right most often
    (accuracy). Quadratic weighted kappa (qwk) rewards using all levels as often as people do, so the expected rating, which
    keeps to the middle, is cut into levels at thresholds.

    Args:
        probabilities: shape ``(review, level)``, each row summing to one.
        scale: the scale of the levels.
        optimise: the metric.
        thresholds: for qwk the expected ratings at which one level ends and the next begins, ascending, shape
            ``(level - 1,)``, from `fit_thresholds`; half-way between the levels by default.

    Returns:
        Shape ``(review,)``, in units of the scale.

    Raises:
        ConfigError: if the metric is unknown, or needs levels on a continuous scale.
        ShapeError: if the probabilities or thresholds do not fit the scale.

    Example:
        >>> scale = RatingScale.parse("1..5")
        >>> polar = [[0.4, 0.0, 0.0, 0.25, 0.35]]
        >>> [float(decide(polar, scale, metric)[0]) for metric in ("rmse", "mae", "accuracy", "qwk")]
        [3.15, 4.0, 1.0, 3.0]
    """
    array = np.asarray(probabilities, dtype=np.float64)
    check_optimise(optimise, scale)
    if optimise == "rmse":
        return scale.mean(array)
    if optimise == "mae":
        return scale.median(array)
    if optimise == "accuracy":
        return scale.mode(array)
    cuts = scale.cut_points() if thresholds is None else np.asarray(thresholds, dtype=np.float64)
    if cuts.shape != (len(scale) - 1,):
        raise ShapeError(f"{len(scale)} levels need {len(scale) - 1} thresholds, found the shape {cuts.shape}")
    return np.asarray(scale.levels)[np.searchsorted(cuts, expected_ratings(array, scale), side="left")]


def fit_thresholds(ratings: ArrayLike, probabilities: ArrayLike, scale: RatingScale) -> FloatArray:
    """Expected ratings at which levels should begin, so that quadratic weighted kappa is highest.

    From half-way between the levels one threshold after another moves to its best place among the held-out reviews (of equally
    good places the nearest), until none moves. Thresholds that were fitted on four fifths of the reviews and used on the last,
    in turn, must not have a lower kappa than those half-way; else these are returned. Makes no random choice.

    Source: Cohen 1968, "Weighted kappa", and Fleiss and Cohen 1973, whose moments make a move cheap to judge; the search is
    coordinate ascent, as in the rounding of regressions that essay-scoring systems use.

    Args:
        ratings: true ratings of held-out reviews, shape ``(review,)``, in units of the scale.
        probabilities: the model's, shape ``(review, level)``.
        scale: the scale of the ratings and the levels.

    Returns:
        Ascending, shape ``(level - 1,)``.

    Raises:
        ConfigError: if the scale is continuous.
        ShapeError: if the shapes do not fit each other or the scale, or there is no review.
        DataError: if a rating is not finite, or a row is not a probability distribution.
    """
    check_optimise("qwk", scale)
    truth, checked = check_probabilities(ratings, probabilities, scale)
    true_levels, means = scale.level_index(truth), expected_ratings(checked, scale)
    plain = scale.cut_points()
    if len(truth) < 2 * FOLDS:
        return plain
    tried = np.empty_like(true_levels)
    folds = stratified_folds(true_levels, means)  # alike in their means too, whatever the order of the reviews
    for held_out in (folds == fold for fold in range(FOLDS)):
        cuts = _best_cuts(true_levels[~held_out], means[~held_out], plain)
        tried[held_out] = np.searchsorted(cuts, means[held_out], side="left")
    if _agreement(true_levels, tried) < _agreement(true_levels, np.searchsorted(plain, means, side="left")):
        return plain
    return _best_cuts(true_levels, means, plain)


def check_optimise(optimise: Optimise, scale: RatingScale) -> None:
    """Refuse a metric that is unknown, or that needs levels on a continuous scale.

    Raises:
        ConfigError: saying so.
    """
    if optimise not in get_args(Optimise):
        raise ConfigError(f"cannot choose ratings for {optimise!r}; known are {', '.join(get_args(Optimise))}")
    if scale.is_continuous and optimise in {"qwk", "accuracy"}:
        raise ConfigError(
            f"{optimise} compares levels, and the scale {scale.describe()} has none; choose ratings for rmse or mae, or fit "
            "with a scale of levels (--scale 1..10)"
        )


def _agreement(true_levels: IntArray, levels: IntArray) -> float:
    """Quadratic weighted kappa of level indices; 0 where it is undefined."""
    t, p = true_levels.astype(np.float64), levels.astype(np.float64)
    return float(_kappa(t, np.array([p.mean()]), np.array([(p * p).mean()]), np.array([(t * p).mean()]))[0])


def _kappa(t: FloatArray, p: FloatArray, pp: FloatArray, tp: FloatArray) -> FloatArray:
    """Kappa from the true levels and the means of p, p² and t·p, each of shape ``(candidate,)``; 0 where undefined."""
    by_chance = np.mean(t * t) + pp - 2 * t.mean() * p
    defined = by_chance > 1e-12
    return np.where(defined, 2 * (tp - t.mean() * p) / np.where(defined, by_chance, 1.0), 0.0)


def _best_cuts(true_levels: IntArray, means: FloatArray, start: FloatArray) -> FloatArray:
    """Coordinate ascent in kappa from ``start``, shape ``(level - 1,)``."""
    order = np.argsort(means, kind="stable")
    means, t = means[order], true_levels[order].astype(np.float64)
    cuts = start.copy()
    for _ in range(_ROUNDS):
        before = cuts.copy()
        for index in range(len(cuts)):
            cuts[index] = _best_place(t, means, cuts, index)
        if np.array_equal(before, cuts):
            break
    return cuts


def _best_place(t: FloatArray, means: FloatArray, cuts: FloatArray, index: int) -> float:
    """Where one threshold is best while the others stand, for reviews in the order of their expected ratings.

    A threshold that moves down over a review raises its level by one, so that the sums of all candidates are running sums.
    """
    low = cuts[index - 1] if index else -np.inf
    high = cuts[index + 1] if index + 1 < len(cuts) else np.inf
    begin, end = np.searchsorted(means, [low, high], side="right")
    different = np.flatnonzero(np.diff(means[begin:end]) > 0) + begin + 1  # a candidate lies below each of these reviews
    here = int(np.searchsorted(means, cuts[index], side="right"))
    places = np.unique(np.append(different, here))
    levels = np.searchsorted(cuts, means, side="left").astype(np.float64)
    levels[begin:end] = index
    raised = [np.append(np.cumsum(values[::-1])[::-1], 0.0)[places] for values in _raises(t, levels, begin, end)]
    sums = (levels.sum(), levels @ levels, t @ levels)
    p, pp, tp = ((base + more) / len(t) for base, more in zip(sums, raised, strict=True))
    kappa = _kappa(t, p, pp, tp)
    candidates = np.where(places == here, cuts[index], (means[places - 1] + means[np.minimum(places, len(means) - 1)]) / 2)
    good = np.flatnonzero(kappa >= kappa.max() - _GAIN)
    return float(candidates[good[np.argmin(np.abs(candidates[good] - cuts[index]))]])


def _raises(t: FloatArray, levels: FloatArray, begin: int, end: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What a level more for each review between ``begin`` and ``end`` adds to the sums of p, p² and t·p."""
    moves = np.zeros(len(t))
    moves[begin:end] = 1.0
    return moves, moves * (2 * levels + 1), moves * t
