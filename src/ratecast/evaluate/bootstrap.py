"""How sure a metric is, given that other reviews could have been drawn: bootstrap intervals and paired differences.

A resample is a vector of weights: how often each review was drawn. Nearly every metric is a function of sums over reviews
(MSE of squared errors, QWK of moments of level indices, ECE of gaps in bins of confidence), so that a thousand resamples of
it are one matrix product. Only Spearman's ranks have to be found anew in each resample.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from ratecast.errors import DataError
from ratecast.evaluate.metrics import DISCRETE_METRICS, METRICS
from ratecast.evaluate.weighted import MetricTerms
from ratecast.scale import FloatArray, IntArray, RatingScale

MIN_REVIEWS: Final = 10
"""With fewer reviews, or groups of them, there is no interval (NaN): a handful would claim a certainty that is not there."""

_CHUNK_WEIGHTS: Final = 2_000_000  # weights held at once: 16 MB, near the caches and flat in memory


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Metric of model A minus that of model B on the same reviews.

    Attributes:
        metric: name of the metric in `METRICS`.
        difference: metric of A minus metric of B.
        low, high: ends of the interval of the difference; NaN with fewer than 10 reviews.
        probability_better: share of the resamples in which A is better, draws counting half; NaN with fewer than 10 reviews.
        confidence: share of intervals that hold the true difference.
    """

    metric: str
    difference: float
    low: float
    high: float
    probability_better: float
    confidence: float = 0.95

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out zero, so that the data can tell the two apart."""
        return self.low > 0 or self.high < 0

    @property
    def is_better(self) -> bool:
        """Whether A is better, and clearly so."""
        return self.is_clear and (self.difference < 0) == (METRICS[self.metric].better == "lower")

    def summary(self, scale: RatingScale | None = None) -> str:
        """The difference in words, with A as the subject: ``0.031 lower RMSE (95 % interval 0.012 to 0.050)``."""
        info = METRICS[self.metric]

        def number(value: float) -> str:
            return info.format(abs(value), scale)

        size = f"{number(self.difference)} {_direction(self.difference)} {info.label}"
        if math.isnan(self.low):
            return f"{size} (too few reviews for an interval: the data cannot tell)"
        interval = f"{100 * self.confidence:.4g} % interval"
        if self.is_clear:
            near, far = sorted((abs(self.low), abs(self.high)))
            return f"{size} ({interval} {number(near)} to {number(far)})"
        span = f"{number(self.low)} {_direction(self.low)} to {number(self.high)} {_direction(self.high)}"
        return f"{size} ({interval} {span}: the data cannot tell)"

    def to_json(self) -> dict[str, Any]:
        """The difference as values that JSON can hold."""
        numbers = {name: getattr(self, name) for name in ("difference", "low", "high", "probability_better", "confidence")}
        return {"metric": self.metric} | {name: None if math.isnan(value) else value for name, value in numbers.items()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Difference":
        """The difference that `to_json` described.

        Raises:
            DataError: if a part is missing or no number.
        """
        try:
            numbers = {
                name: math.nan if value[name] is None else float(value[name])
                for name in ("difference", "low", "high", "probability_better", "confidence")
            }
            return cls(metric=_known_metric(str(value["metric"])), **numbers)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"expected a stored difference, found {value!r} ({error})") from None


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """Metrics of one or more models on the same resampled reviews.

    Attributes:
        whole: each metric on all reviews, by model and metric.
        drawn: each metric on each resample, by model and metric, shape ``(sample,)``; NaN where undefined.
    """

    whole: Mapping[str, Mapping[str, float]]
    drawn: Mapping[str, Mapping[str, FloatArray]]

    def intervals(self, model: str, *, confidence: float = 0.95) -> dict[str, tuple[float, float]]:
        """Low and high end of the percentile interval of each of a model's metrics; NaN where undefined."""
        return {name: _interval(values, confidence) for name, values in self.drawn[model].items()}

    def difference(self, a: str, b: str, *, metric: str = "rmse", confidence: float = 0.95) -> Difference:
        """A metric of model ``a`` minus that of model ``b``, with the percentile interval of the difference."""
        differences = self.drawn[a][metric] - self.drawn[b][metric]
        low, high = _interval(differences, confidence)
        wins = np.sign(differences[np.isfinite(differences)]) * (-1 if METRICS[metric].better == "lower" else 1)
        return Difference(
            metric=metric,
            difference=self.whole[a][metric] - self.whole[b][metric],
            low=low,
            high=high,
            probability_better=float((wins.mean() + 1) / 2) if len(wins) else math.nan,
            confidence=confidence,
        )


def bootstrap(
    ratings: ArrayLike,
    probabilities: Mapping[str, ArrayLike],
    scale: RatingScale,
    *,
    metrics: Sequence[str] = tuple(METRICS),
    for_qwk: Mapping[str, ArrayLike] | None = None,
    groups: IntArray | None = None,
    samples: int = 1000,
    seed: int = 0,
) -> Bootstrap:
    """Resample reviews, the same for every model, and measure each model on each resample.

    Source: Efron 1979, "Bootstrap Methods". Resampling all models at once makes differences paired: what makes a review hard
    for every model cancels out. Reviews that are copies of each other know no more than one of them, so that whole groups are
    drawn where groups are given (the cluster bootstrap, Davison and Hinkley 1997, "Bootstrap Methods and their Application",
    section 3.8).

    Args:
        ratings: true ratings, shape ``(review,)``, in units of the scale.
        probabilities: of each model by its name, shape ``(review, level)``, each row summing to one.
        scale: the scale of the ratings and the levels.
        metrics: names of the metrics in `METRICS`; those that the scale does not have are left out.
        for_qwk: ratings that a model gives where QWK counts, by its name, shape ``(review,)``; its expected ratings by default.
        groups: group number of each review, from 0, shape ``(review,)``; groups are drawn whole. By default every review is one
            of its own; `copy_groups` puts copies of a text together.
        samples: number of resamples.
        seed: seed of the resampling; the same seed and number of groups draw the same groups.

    Raises:
        ShapeError: if the shapes do not fit each other or the scale, or there is no review.
        DataError: if a rating is not finite, a row is not a probability distribution, or a metric is unknown.
    """
    wanted = [_known_metric(name) for name in metrics]
    given = for_qwk or {}
    terms = {name: MetricTerms.of(ratings, array, scale, wanted, given.get(name)) for name, array in probabilities.items()}
    reviews = np.size(ratings)
    all_once = np.ones((1, reviews))
    owners = np.arange(reviews) if groups is None else groups
    if np.unique(owners).size < MIN_REVIEWS:
        drawn = {model: {name: np.full(samples, np.nan) for name in part.names} for model, part in terms.items()}
    else:
        chunks = [
            {model: part.metrics(weights) for model, part in terms.items()} for weights in _resamples(owners, samples, seed)
        ]
        drawn = {
            model: {name: np.concatenate([chunk[model][name] for chunk in chunks]) for name in part.names}
            for model, part in terms.items()
        }
    whole = {
        model: {name: float(values[0]) for name, values in part.metrics(all_once).items()} for model, part in terms.items()
    }
    return Bootstrap(whole=whole, drawn=drawn)


def bootstrap_intervals(
    ratings: ArrayLike,
    probabilities: ArrayLike,
    scale: RatingScale,
    *,
    samples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Percentile interval of every metric over resampled reviews.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13. Resamples in which a metric is
    undefined (all ratings drawn equal) are left out of its interval. The ECE of a resample is biased upwards, as is the ECE
    itself of few reviews, so its value lies in the lower part of its interval, or even below it.

    Args:
        ratings: true ratings, shape ``(review,)``, in units of the scale.
        probabilities: shape ``(review, level)``, each row summing to one.
        scale: the scale of the ratings and the levels.
        samples: number of resamples.
        confidence: share of such intervals that would hold the true value.
        seed: seed of the resampling.

    Returns:
        Low and high end by the metric's name; without those that a continuous scale does not have; NaN where undefined, and
        everywhere with fewer than 10 reviews.

    Raises:
        ShapeError: if the shapes do not fit each other or the scale, or there is no review.
        DataError: if a rating is not finite, or a row is not a probability distribution.
    """
    drawn = bootstrap(ratings, {"model": probabilities}, scale, samples=samples, seed=seed)
    return drawn.intervals("model", confidence=confidence)


def paired_difference(
    ratings: ArrayLike,
    probabilities_a: ArrayLike,
    probabilities_b: ArrayLike,
    scale: RatingScale,
    *,
    metric: str = "rmse",
    samples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Whether model A or model B is better on the same reviews, by resampling the reviews for both at once.

    Source: Koehn 2004, "Statistical Significance Tests for Machine Translation Evaluation" (the paired bootstrap).

    Args:
        ratings: true ratings, shape ``(review,)``, in units of the scale.
        probabilities_a: of model A, shape ``(review, level)``.
        probabilities_b: of model B, same shape.
        scale: the scale of the ratings and the levels.
        metric: name of the metric in `METRICS`.
        samples: number of resamples.
        confidence: share of such intervals that would hold the true difference.
        seed: seed of the resampling.

    Raises:
        ShapeError: if the shapes do not fit each other or the scale, or there is no review.
        DataError: if a rating is not finite, a row is not a probability distribution, or the metric is unknown or not
            defined on the scale.
    """
    if scale.is_continuous and metric in DISCRETE_METRICS:
        raise DataError(f"the metric {metric!r} is not defined on a continuous scale; use rmse, mae, spearman, nll, rps or ece")
    models = {"a": probabilities_a, "b": probabilities_b}
    drawn = bootstrap(ratings, models, scale, metrics=(metric,), samples=samples, seed=seed)
    return drawn.difference("a", "b", metric=metric, confidence=confidence)


def _resamples(groups: IntArray, samples: int, seed: int) -> Iterator[FloatArray]:
    """Weight of each review in each resample, in chunks of shape ``(sample, review)``; a row adds up to the reviews.

    It is how often the review's group was drawn: groups differ in size, so that resamples do before they are made the same.
    """
    generator = np.random.default_rng(seed)
    reviews, count = len(groups), int(groups.max()) + 1
    size = max(1, min(samples, _CHUNK_WEIGHTS // reviews))
    for start in range(0, samples, size):
        rows = min(size, samples - start)
        # Counting drawn row numbers is many times faster than drawing from a multinomial distribution of as many parts.
        drawn = generator.integers(count, size=(rows, count)) + np.arange(rows)[:, None] * count
        weights = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)[:, groups].astype(np.float64)
        yield weights * (reviews / weights.sum(axis=1, keepdims=True))


def _interval(values: FloatArray, confidence: float) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return math.nan, math.nan
    low, high = np.quantile(finite, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _known_metric(name: str) -> str:
    if name not in METRICS:
        raise DataError(f"unknown metric {name!r}; known are {', '.join(METRICS)}")
    return name


def _direction(value: float) -> str:
    return "higher" if value > 0 else "lower"
