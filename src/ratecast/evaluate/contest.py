"""The proof: a model beside its baselines on the same reviews, and a plain sentence about who wins."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from numpy.typing import ArrayLike

from ratecast.errors import DataError
from ratecast.evaluate.bootstrap import Bootstrap, Difference, bootstrap
from ratecast.evaluate.metrics import METRICS, Metrics, compute_metrics
from ratecast.scale import IntArray, RatingScale

Outcome = Literal["better", "unclear", "worse", "alone"]
"""What a contest says of the model: it beats every baseline; ahead of all, but not clearly of each; behind one; no baseline."""

TEACHER: Final = "teacher"
"""Name of the entry that a smaller model learned from."""

FEW_REVIEWS: Final = 100
"""With fewer test reviews the verdict says how few they are."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One model in a contest.

    Attributes:
        name: what the model is called in tables.
        metrics: its metrics on the contest's reviews.
        intervals: low and high end of each metric's bootstrap interval, by the metric's name.
        seconds: what fitting it took; None where unknown.
    """

    name: str
    metrics: Metrics
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The entry as values that JSON can hold."""
        intervals = {name: [_or_none(end) for end in ends] for name, ends in self.intervals.items()}
        return {"name": self.name, "metrics": self.metrics.to_json(), "intervals": intervals, "seconds": self.seconds}


@dataclass(frozen=True, kw_only=True)
class Standings:
    """Models measured on the same reviews, as a table.

    Attributes:
        entries: the models, in the order of the table's rows.
        scale: the scale of the ratings.
    """

    entries: tuple[Entry, ...]
    scale: RatingScale

    def columns(self) -> tuple[str, ...]:
        """Names of the metrics that the table shows: those that are defined for at least one entry."""
        return tuple(name for name in METRICS if any(_value(entry, name) is not None for entry in self.entries))

    def best(self) -> dict[str, frozenset[str]]:
        """Names of the entries that are best in each metric, as far as the shown decimals tell."""
        return {name: self._best(name) for name in self.columns()}

    def _best(self, metric: str) -> frozenset[str]:
        info = METRICS[metric]
        values = {entry.name: value for entry in self.entries if (value := _value(entry, metric)) is not None}
        top = (min if info.better == "lower" else max)(values.values())
        return frozenset(
            name for name, value in values.items() if info.format(value, self.scale) == info.format(top, self.scale)
        )

    def header(self) -> list[str]:
        """Titles of the columns of `rows`."""
        timed = ["Seconds"] if self._timed() else []
        return ["Model", *(METRICS[name].label for name in self.columns()), *timed]

    def rows(self, mark: str = "*") -> list[list[str]]:
        """The table as strings, a row for each entry, for a terminal.

        Args:
            mark: what is put behind the best value of each column.

        Returns:
            Rows that fit `header`: the name, RMSE with its interval, the other metrics, and seconds if any are known.
        """
        best = self.best()
        rows = []
        for entry in self.entries:
            cells = [entry.name]
            for name in self.columns():
                value = METRICS[name].format(_value(entry, name), self.scale) + (mark if entry.name in best[name] else "")
                interval = self.interval_text(entry, name) if name == "rmse" else ""
                cells.append(f"{value} ({interval})" if interval else value)
            rows.append(cells + ([format_seconds(entry.seconds)] if self._timed() else []))
        return rows

    def interval_text(self, entry: Entry, metric: str) -> str:
        """An entry's interval of a metric, ``0.581–0.644``; empty where there is none."""
        low, high = entry.intervals.get(metric, (math.nan, math.nan))
        info = METRICS[metric]
        separator = " to " if low < 0 else "–"
        return "" if math.isnan(low) else f"{info.format(low, self.scale)}{separator}{info.format(high, self.scale)}"

    def _timed(self) -> bool:
        return any(entry.seconds is not None for entry in self.entries)


@dataclass(frozen=True, kw_only=True)
class Contest(Standings):
    """A model and its baselines, measured on the same reviews.

    Attributes:
        entries: the baselines, then the model itself.
        scale: the scale of the ratings.
        differences: the model's RMSE minus that of each baseline, on the same resampled reviews, by the baseline's name.
        judged_on: what the reviews are: "test", which took no part in fitting, or "validation", which training was stopped by.

    Raises:
        DataError: if there is no entry, or a baseline without its difference.
    """

    differences: Mapping[str, Difference]
    judged_on: str = "test"

    def __post_init__(self) -> None:
        if not self.entries or set(self.differences) != {entry.name for entry in self.baselines}:
            raise DataError(
                f"expected models and a difference for every baseline, found {[entry.name for entry in self.entries]} "
                f"and differences for {list(self.differences)}"
            )

    @property
    def model(self) -> Entry:
        """The model that the contest is about."""
        return self.entries[-1]

    @property
    def baselines(self) -> tuple[Entry, ...]:
        """What the model has to beat."""
        return self.entries[:-1]

    @property
    def rivals(self) -> tuple[Entry, ...]:
        """The baselines without the model's teacher: a smaller model is not expected to beat what it learned from."""
        return tuple(entry for entry in self.baselines if entry.name != TEACHER)

    @property
    def strongest(self) -> Entry | None:
        """The baseline with the lowest RMSE, the teacher apart; None without baselines."""
        return min(self.rivals, key=lambda entry: entry.metrics.rmse, default=None)

    @property
    def outcome(self) -> Outcome:
        """The verdict in one word."""
        if self.strongest is None:
            return "alone"
        if self.model.metrics.rmse >= self.strongest.metrics.rmse:
            return "worse"
        return "better" if all(self.differences[entry.name].is_better for entry in self.rivals) else "unclear"

    def verdict(self) -> str:
        """A plain sentence or two: does the model beat every baseline by RMSE, and if not, what could help."""
        reviews = self.model.metrics.reviews
        found = f"{self._finding()}{self._beside_teacher()}"
        if reviews >= FEW_REVIEWS:
            return found
        return f"{found} Only {reviews} {'review was' if reviews == 1 else 'reviews were'} tested; read this with care."

    def _beside_teacher(self) -> str:
        if TEACHER not in self.differences:
            return ""
        return f" Against its teacher it has {self.differences[TEACHER].summary(self.scale)}."

    def _finding(self) -> str:
        name, rmse = _subject(self.model.name), self._rmse(self.model)
        if self.strongest is None:
            return f"{name} has an RMSE of {rmse}, but there is no baseline here to say whether that is good."
        rival, gap = self.strongest.name, self.differences[self.strongest.name]
        against = f"its RMSE of {rmse} against {self._rmse(self.strongest)}"
        summary = gap.summary(self.scale)
        if self.outcome == "better":
            return f"{name} beats every baseline. Against the strongest, {rival}, it has {summary}."
        if self.outcome == "unclear":
            level = ", ".join(one.name for one in self.rivals if not self.differences[one.name].is_better)
            lead = "" if level == rival else f" Not clearly beaten: {level}."
            return (
                f"{name} is ahead of every baseline, but not clearly: against the strongest, {rival}, it has {summary}.{lead}"
                f" More {self.judged_on} reviews would decide it; more rated reviews or more training may widen the lead."
            )
        if gap.difference == 0:
            return f"{name} does not beat the baseline {rival}: both have an RMSE of {rmse}. {_help('does as well')}"
        if gap.is_clear:
            return f"{name} does not beat the baseline {rival}; it is worse: {summary}. {_help('is the better choice')}"
        return f"{name} does not beat the baseline {rival}: {against}, {summary}. {_help('does as well')}"

    def _rmse(self, entry: Entry) -> str:
        return METRICS["rmse"].format(entry.metrics.rmse, self.scale)

    def to_json(self) -> dict[str, Any]:
        """The contest as values that JSON can hold, among them the verdict; `from_json` reads them."""
        return {
            "verdict": self.verdict(),
            "outcome": self.outcome,
            "scale": self.scale.to_json(),
            "entries": [entry.to_json() for entry in self.entries],
            "differences": {name: difference.to_json() for name, difference in self.differences.items()},
            "judged_on": self.judged_on,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Contest":
        """The contest that `to_json` described.

        Raises:
            DataError: if a part is missing or of the wrong kind.
            ScaleError: if the scale is not one.
        """
        try:
            scale = RatingScale.from_json(value["scale"])
            entries = tuple(
                Entry(
                    name=str(entry["name"]),
                    metrics=Metrics.from_json(entry["metrics"], scale),
                    intervals={name: (_or_nan(low), _or_nan(high)) for name, (low, high) in entry["intervals"].items()},
                    seconds=None if entry["seconds"] is None else float(entry["seconds"]),
                )
                for entry in value["entries"]
            )
            differences = {str(name): Difference.from_json(part) for name, part in value["differences"].items()}
            judged_on = str(value.get("judged_on", "test"))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"expected stored metrics of models, found something else ({error!r})") from None
        return cls(entries=entries, scale=scale, differences=differences, judged_on=judged_on)


def run_contest(
    ratings: ArrayLike,
    probabilities: Mapping[str, ArrayLike],
    scale: RatingScale,
    *,
    model: str,
    seconds: Mapping[str, float] | None = None,
    groups: IntArray | None = None,
    judged_on: str = "test",
    seed: int = 0,
) -> Contest:
    """Measure a model and its baselines on the same reviews.

    Args:
        ratings: true ratings, shape ``(review,)``, in units of the scale.
        probabilities: of each entry by its name, shape ``(review, level)``; every entry but the model is a baseline. There
            may be none.
        scale: the scale of the ratings and the levels.
        model: name of the entry that the verdict is about.
        seconds: what fitting each entry took, where known.
        groups: group number of each review that is resampled whole, as for `bootstrap`.
        judged_on: what the reviews are, "test" or "validation".
        seed: seed of the bootstrap.

    Raises:
        ShapeError: if the shapes do not fit each other or the scale, or there is no review.
        DataError: if no entry has the model's name, a rating is not finite, or a row is not a probability distribution.
    """
    if model not in probabilities:
        raise DataError(f"expected an entry named {model!r} in the contest, found {', '.join(probabilities) or 'none'}")
    names = [*(name for name in probabilities if name != model), model]
    drawn = bootstrap(ratings, probabilities, scale, groups=groups, seed=seed)
    entries = measured({name: probabilities[name] for name in names}, ratings, scale, drawn, seconds=seconds)
    differences = {name: drawn.difference(model, name) for name in names[:-1]}
    return Contest(entries=entries, scale=scale, differences=differences, judged_on=judged_on)


def measured(
    probabilities: Mapping[str, ArrayLike],
    ratings: ArrayLike,
    scale: RatingScale,
    drawn: Bootstrap,
    *,
    seconds: Mapping[str, float] | None = None,
    for_qwk: Mapping[str, ArrayLike] | None = None,
) -> tuple[Entry, ...]:
    """An entry for each model, with the intervals of its metrics from resamples that were given the same."""
    return tuple(
        Entry(
            name=name,
            metrics=compute_metrics(ratings, of_model, scale, for_qwk=(for_qwk or {}).get(name)),
            intervals=drawn.intervals(name),
            seconds=(seconds or {}).get(name),
        )
        for name, of_model in probabilities.items()
    )


def format_seconds(seconds: float | None) -> str:
    """Seconds for a table: a decimal below ten, none above; a dash where unknown."""
    if seconds is None:
        return "–"
    return f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"


def _value(entry: Entry, metric: str) -> float | None:
    value: float | None = getattr(entry.metrics, metric)
    return None if value is None or math.isnan(value) else value


def _subject(name: str) -> str:
    return f"The {name}" if name[:1].islower() else name


def _help(standing: str) -> str:
    what = "More rated reviews, more epochs, training all layers or a larger backbone may help"
    return f"{what}; until then the baseline {standing}."


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)
