"""Metrics as functions of weighted reviews: those of a thousand resamples are one matrix product."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from ratecast.evaluate.calibration import (
    CALIBRATION_BINS,
    check_probabilities,
    confidence_and_correctness,
    confidence_bins,
)
from ratecast.evaluate.metrics import expected_ratings, log_losses, ranked_losses
from ratecast.scale import FloatArray, RatingScale


@dataclass(frozen=True, kw_only=True)
class MetricTerms:
    """What each review adds to each metric of one model.

    Attributes:
        summed: terms whose sums decide a metric, by the metric's name, shape ``(review, term)``.
        ranked: the two columns whose ranks Spearman correlates, shape ``(review,)`` each; None if it is not wanted.
    """

    summed: Mapping[str, FloatArray]
    ranked: tuple[FloatArray, FloatArray] | None

    @classmethod
    def of(
        cls,
        ratings: ArrayLike,
        probabilities: ArrayLike,
        scale: RatingScale,
        wanted: Sequence[str],
        for_qwk: ArrayLike | None = None,
    ) -> "MetricTerms":
        """Those of the wanted metrics that the scale has; arguments and errors as for `bootstrap`."""
        truth, checked = check_probabilities(ratings, probabilities, scale)
        mean = expected_ratings(checked, scale)
        given = mean if for_qwk is None else for_qwk
        makers: dict[str, Callable[[], ArrayLike]] = {
            "rmse": lambda: (mean - truth) ** 2,
            "mse": lambda: (mean - truth) ** 2,
            "mae": lambda: np.abs(scale.median(checked) - truth),
            "nll": lambda: log_losses(truth, checked, scale),
            "rps": lambda: ranked_losses(truth, checked, scale),
            "ece": lambda: _gaps(truth, checked, scale),
        }
        if not scale.is_continuous:
            level = scale.level_index(truth)
            makers |= {
                "accuracy": lambda: np.argmax(checked, axis=1) == level,
                "within_one": lambda: np.abs(scale.level_index(scale.median(checked)) - level) <= 1,
                "qwk": lambda: _moments(level.astype(np.float64), scale.level_index(given).astype(np.float64)),
            }
        chosen = [name for name in wanted if name in makers]
        summed = {name: np.asarray(makers[name](), dtype=np.float64).reshape(len(truth), -1) for name in chosen}
        return cls(summed=summed, ranked=(truth, mean) if "spearman" in wanted else None)

    @property
    def names(self) -> list[str]:
        """Names of the metrics."""
        return [*self.summed, *(["spearman"] if self.ranked else [])]

    def metrics(self, weights: FloatArray) -> dict[str, FloatArray]:
        """Every metric of weighted reviews: weights ``(sample, review)`` give values ``(sample,)``."""
        values = {}
        if self.summed:
            means = weights @ np.concatenate(list(self.summed.values()), axis=1) / weights.shape[1]
            ends = np.cumsum([terms.shape[1] for terms in self.summed.values()])
            parts = zip(self.summed, np.split(means, ends[:-1], axis=1), strict=True)
            values = {name: _FROM_MEANS.get(name, _only)(part) for name, part in parts}
        if self.ranked:
            values["spearman"] = _rank_correlation(weights, *self.ranked)
        return values


def _moments(x: FloatArray, y: FloatArray) -> FloatArray:
    return np.stack([x, y, x * x, y * y, x * y], axis=1)


def _gaps(ratings: FloatArray, probabilities: FloatArray, scale: RatingScale) -> FloatArray:
    confidence, correct = confidence_and_correctness(ratings, probabilities, scale)
    gaps = np.zeros((len(ratings), CALIBRATION_BINS))
    gaps[np.arange(len(ratings)), confidence_bins(confidence)] = correct - confidence
    return gaps


def _only(means: FloatArray) -> FloatArray:
    return means[:, 0]


def _root(means: FloatArray) -> FloatArray:
    return np.asarray(np.sqrt(means[:, 0]), dtype=np.float64)


def _gap_sum(means: FloatArray) -> FloatArray:
    return np.asarray(np.abs(means).sum(axis=1), dtype=np.float64)


def _kappa(means: FloatArray) -> FloatArray:
    x, y, xx, yy, xy = means.T
    return _ratio(2 * (xy - x * y), (xx - x * x) + (yy - y * y) + (x - y) ** 2)


_FROM_MEANS: Final[Mapping[str, Callable[[FloatArray], FloatArray]]] = {"rmse": _root, "qwk": _kappa, "ece": _gap_sum}
"""How a metric follows from the means of its terms ``(sample, term)``, where it is not simply the mean of its only term."""


def _rank_correlation(weights: FloatArray, ratings: FloatArray, predictions: FloatArray) -> FloatArray:
    x, y = _centred_ranks(weights, ratings), _centred_ranks(weights, predictions)
    xy, xx, yy = (np.einsum("sr,sr,sr->s", weights, a, b) / len(ratings) ** 3 for a, b in ((x, y), (x, x), (y, y)))
    return _ratio(xy, np.sqrt(xx * yy))


def _centred_ranks(weights: FloatArray, values: FloatArray) -> FloatArray:
    """Average rank, less the mean rank, of each review in each resample, shape ``(sample, review)``."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    starts = np.cumsum(counts) - counts
    drawn = np.add.reduceat(weights[:, np.argsort(group, kind="stable")], starts, axis=1)  # of each distinct value
    ranks = np.cumsum(drawn, axis=1) - drawn / 2 - len(values) / 2
    return np.asarray(ranks[:, group], dtype=np.float64)


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    defined = below > 1e-12  # what is left of a variance of zero after rounding
    return np.where(defined, above / np.where(defined, below, 1), np.nan)
