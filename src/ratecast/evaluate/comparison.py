"""Which of several models is better: the best of them against each other one on the same reviews, and a plain sentence."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from numpy.typing import ArrayLike

from ratecast.errors import DataError
from ratecast.evaluate.bootstrap import Difference, bootstrap
from ratecast.evaluate.contest import FEW_REVIEWS, Entry, Standings, measured
from ratecast.evaluate.metrics import DISCRETE_METRICS, METRICS
from ratecast.scale import IntArray, RatingScale

ComparisonOutcome = Literal["better", "unclear"]
"""What a comparison says: the best model clearly beats every other one; or the data cannot tell."""

CONFIDENCE: Final = 0.95
"""Share of comparisons in which all intervals of the differences hold."""

_SAMPLES: Final = 2000
_MOST_SAMPLES: Final = 10_000
_SAMPLES_A_PAIR: Final = 800  # leaves 20 resamples beyond each end of a corrected interval


@dataclass(frozen=True, kw_only=True)
class Comparison(Standings):
    """Models measured on the same reviews, the best of them against each other one.

    Attributes:
        entries: the models, in the order they were given.
        scale: the scale of the ratings.
        metric: name of the metric in `METRICS` that decides which model is best.
        differences: by the other model's name and the metric's, the metric of the best model minus that of the other.
        warnings: what to know before trusting the comparison.

    Raises:
        DataError: if there are fewer than two models, or differences for others than all but the best.
    """

    metric: str
    differences: Mapping[str, Mapping[str, Difference]]
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.entries) < 2 or set(self.differences) != {entry.name for entry in self.others}:
            raise DataError(
                f"expected two models or more and a difference for each but the best, found "
                f"{[entry.name for entry in self.entries]} and differences for {list(self.differences)}"
            )

    @property
    def winner(self) -> Entry:
        """The model with the best value of the metric, the first of equals."""
        return self._in_order()[0]

    @property
    def others(self) -> tuple[Entry, ...]:
        """The other models, the next best first."""
        return tuple(self._in_order()[1:])

    @property
    def pairs(self) -> int:
        """Number of pairs of models: any of them could have turned out to be the best and another."""
        return len(self.entries) * (len(self.entries) - 1) // 2

    @property
    def outcome(self) -> ComparisonOutcome:
        """The verdict in one word."""
        return "better" if all(self._gap(other).is_better for other in self.others) else "unclear"

    def verdict(self) -> str:
        """A plain sentence or two: which model is better by the metric, or that the data cannot tell."""
        reviews = self.winner.metrics.reviews
        corrected = f" {self.correction()}" if self.pairs > 1 else ""
        few = f" Only {reviews} {'review was' if reviews == 1 else 'reviews were'} compared; read this with care."
        return f"{self._finding()}{corrected}{few if reviews < FEW_REVIEWS else ''}"

    def correction(self) -> str:
        """How the intervals of the differences are corrected for the number of models; empty for two."""
        if self.pairs == 1:
            return ""
        return (
            f"Between {len(self.entries)} models there are {self.pairs} differences, so each has a "
            f"{_percent(corrected_confidence(len(self.entries)))} % interval (Bonferroni): all hold at once in "
            f"{_percent(CONFIDENCE)} % of such comparisons."
        )

    def difference_header(self) -> list[str]:
        """Titles of the columns of `difference_rows`."""
        level = _percent(corrected_confidence(len(self.entries)))
        of_others = [[f"minus {other.name}", f"{level} % interval", f"{self.winner.name} is"] for other in self.others]
        return [self.winner.name, *(title for titles in of_others for title in titles)]

    def difference_rows(self) -> list[list[str]]:
        """The differences as strings, a row for each metric: for each other model the difference, its interval and a word.

        The word is "better", "worse" or "cannot tell", of the best model by this row's metric.
        """
        return [
            [METRICS[name].label, *(cell for other in self.others for cell in self.difference_cells(other, name))]
            for name in self.columns()
        ]

    def difference_cells(self, other: Entry, metric: str) -> tuple[str, str, str]:
        """Difference to another model, its interval and whether the best model is better, worse or cannot be told apart."""
        found, info = self.differences[other.name][metric], METRICS[metric]
        ends = [info.format(end, self.scale) for end in (found.low, found.high)]
        word = "cannot tell" if not found.is_clear else "better" if found.is_better else "worse"
        return info.format(found.difference, self.scale), "–" if math.isnan(found.low) else " to ".join(ends), word

    def to_json(self) -> dict[str, Any]:
        """The comparison as values that JSON can hold, among them the verdict."""
        return {
            "verdict": self.verdict(),
            "outcome": self.outcome,
            "metric": self.metric,
            "best": self.winner.name,
            "scale": self.scale.to_json(),
            "entries": [entry.to_json() for entry in self.entries],
            "differences": {
                name: {metric: difference.to_json() for metric, difference in by_metric.items()}
                for name, by_metric in self.differences.items()
            },
            "warnings": list(self.warnings),
        }

    def _in_order(self) -> list[Entry]:
        return sorted(self.entries, key=lambda entry: _rank(entry, self.metric))

    def _gap(self, other: Entry) -> Difference:
        return self.differences[other.name][self.metric]

    def _finding(self) -> str:
        best, rival, label = self.winner.name, self.others[0], METRICS[self.metric].label
        gap = self._gap(rival)
        if math.isnan(gap.difference):
            return (
                f"The data cannot tell which model is better: {label} is undefined where all ratings or predictions are equal."
            )
        if gap.difference == 0:
            value = METRICS[self.metric].format(getattr(rival.metrics, self.metric), self.scale)
            return f"The data cannot tell {best} and {rival.name} apart: both have the same {label} of {value}."
        summary = gap.summary(self.scale)
        if len(self.entries) == 2:
            lead = (
                f"{best} is better than {rival.name}" if gap.is_better else f"{best} is ahead of {rival.name}, but not clearly"
            )
            return f"{lead}: {summary}."
        if self.outcome == "better":
            return f"{best} is better than every other model. Against the next, {rival.name}, it has {summary}."
        level = ", ".join(other.name for other in self.others if not self._gap(other).is_better)
        lead = "" if level == rival.name else f" Not clearly beaten: {level}."
        return f"{best} is ahead of every other model, but not clearly: against the next, {rival.name}, it has {summary}.{lead}"


def run_comparison(
    ratings: ArrayLike,
    probabilities: Mapping[str, ArrayLike],
    scale: RatingScale,
    *,
    metric: str = "rmse",
    for_qwk: Mapping[str, ArrayLike] | None = None,
    warnings: Sequence[str] = (),
    groups: IntArray | None = None,
    seed: int = 0,
) -> Comparison:
    """Measure models on the same reviews, and the best of them against each other one.

    The reviews are resampled for all models at once (the paired bootstrap, Koehn 2004). Which model is best is decided by the
    same reviews, so that intervals are corrected for every pair of models (Dunn 1961, "Multiple comparisons among means", the
    Bonferroni correction): the confidence of each is ``1 − 0.05 / pairs``. They are not corrected for the number of metrics;
    the verdict reads only one, which is to be chosen beforehand.

    Args:
        ratings: true ratings, shape ``(review,)``, in units of the scale.
        probabilities: of each model by its name, shape ``(review, level)``; two models or more.
        scale: the scale of the ratings and the levels.
        metric: name of the metric in `METRICS` that decides which model is best.
        for_qwk: ratings that a model gives where QWK counts, by its name, shape ``(review,)``; its expected ratings by default.
        warnings: what to know before trusting the comparison.
        groups: group number of each review that is resampled whole, as for `bootstrap`.
        seed: seed of the bootstrap.

    Raises:
        ShapeError: if the shapes do not fit each other or the scale, or there is no review.
        DataError: if there are fewer than two models, a rating is not finite, a row is not a probability distribution, or the
            metric is unknown or not defined on the scale.
    """
    check_metric(metric, scale)
    confidence = corrected_confidence(len(probabilities))
    samples = round(_SAMPLES_A_PAIR * (1 - CONFIDENCE) / (1 - confidence))
    samples = min(max(_SAMPLES, samples), _MOST_SAMPLES)
    drawn = bootstrap(ratings, probabilities, scale, for_qwk=for_qwk, groups=groups, samples=samples, seed=seed)
    entries = measured(probabilities, ratings, scale, drawn, for_qwk=for_qwk)
    best, *others = sorted(entries, key=lambda entry: _rank(entry, metric))
    differences = {
        other.name: {
            name: drawn.difference(best.name, other.name, metric=name, confidence=confidence) for name in drawn.whole[best.name]
        }
        for other in others
    }
    return Comparison(entries=entries, scale=scale, metric=metric, differences=differences, warnings=tuple(warnings))


def check_metric(metric: str, scale: RatingScale) -> None:
    """Find out before long work whether models can be compared by a metric.

    Raises:
        DataError: if the metric is unknown, or not defined on the scale.
    """
    known = [name for name in METRICS if not (scale.is_continuous and name in DISCRETE_METRICS)]
    if metric not in known:
        what = "unknown" if metric not in METRICS else f"not defined on the scale {scale.describe()}"
        raise DataError(f"the metric {metric!r} is {what}; choose one of {', '.join(known)}")


def corrected_confidence(models: int) -> float:
    """Confidence of each interval, so that those of all pairs of models hold at once as often as `CONFIDENCE` says."""
    if models < 2:
        raise DataError(f"expected two models or more to compare, found {models}")
    return 1 - (1 - CONFIDENCE) / (models * (models - 1) / 2)


def _rank(entry: Entry, metric: str) -> float:
    """What sorts entries from the best to the worst by a metric, those where it is undefined last."""
    value = getattr(entry.metrics, metric)
    if value is None or math.isnan(value):
        return math.inf
    return float(value if METRICS[metric].better == "lower" else -value)


def _percent(share: float) -> str:
    return f"{100 * share:.4g}"
