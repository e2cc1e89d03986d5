"""Tables of a contest: every model's metrics with bootstrap intervals, and ratecast against each peer on the same reviews."""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from record import RATINGS_LACK, Run, Shelf
from setting import listed, markdown
from task import Setting

from ratecast.evaluate.bootstrap import Bootstrap, Difference, bootstrap
from ratecast.evaluate.calibration import CalibrationTest, calibration_test
from ratecast.evaluate.contest import format_seconds
from ratecast.evaluate.coverage import Coverage, interval_coverage
from ratecast.evaluate.metrics import METRICS
from ratecast.scale import RatingScale

RATECAST = "ratecast"
SHOWN = ("rmse", "mae", "accuracy", "qwk", "nll", "ece")
COMPARED = ("rmse", "mae", "accuracy")
ASKED = 0.9
"""Share of ratings that intervals are asked to hold."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One model in a contest.

    Attributes:
        peer: its name.
        runs: its finished runs, one for each seed.
        metrics: mean of each metric over them.
        intervals: of that mean, over resampled test reviews.
    """

    peer: str
    runs: tuple[Run, ...]
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]

    def text(self, metric: str, scale: RatingScale) -> str:
        """A metric as tables show it, with its interval."""
        info, value = METRICS[metric], self.metrics.get(metric)
        if metric not in self.intervals:
            return info.format(value, scale)
        low, high = (info.format(end, scale) for end in self.intervals[metric])
        return f"{info.format(value, scale)} ({low}–{high})"

    def seconds(self) -> float:
        """Mean wall time."""
        return statistics.fmean(run.seconds or 0.0 for run in self.runs)

    def peak_mb(self) -> float:
        """Most memory of any run."""
        return max(run.peak_mb or 0.0 for run in self.runs)


@dataclass(frozen=True, kw_only=True)
class Contest:
    """A setting on a data set, measured.

    Attributes:
        shelf: the runs' data set.
        setting: wall time and training rows.
        standings: the models that finished, the least RMSE first.
        differences: ratecast's metrics minus a peer's, by peer and metric; empty if ratecast did not finish.
        absent: runs that gave nothing.
        calibration: whether the probabilities of ratecast's first seed are calibrated; None if it did not finish.
        coverage: how many ratings the intervals of each of its seeds hold, as far as these were kept.
    """

    shelf: Shelf
    setting: Setting
    standings: Sequence[Standing]
    differences: Mapping[str, Mapping[str, Difference]]
    absent: Sequence[Run]
    calibration: CalibrationTest | None
    coverage: Sequence[Coverage]

    @property
    def late(self) -> list[Run]:
        """Runs that took longer than the wall time, though not by so much that they were ended."""
        runs = [run for standing in self.standings for run in standing.runs]
        return [run for run in runs if (run.seconds or 0.0) > 60 * self.setting.minutes]

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.shelf.dataset.name}-{self.setting.name}"

    def standing(self, peer: str) -> Standing | None:
        """A model's standing, None if it did not finish."""
        return next((standing for standing in self.standings if standing.peer == peer), None)

    def strongest_peer(self) -> Standing | None:
        """The best model that is not ratecast."""
        return next((standing for standing in self.standings if standing.peer != RATECAST), None)


def measure(shelf: Shelf, setting: Setting) -> Contest | None:
    """The contest of a setting, None where no model finished."""
    runs = list(shelf.runs(setting))
    finished = [run for run in runs if run.status == "finished"]
    if not finished:
        return None
    predicted = {(run.peer, run.seed): shelf.probabilities(setting, run) for run in finished}
    bare = {peer for (peer, _), (_, is_bare) in predicted.items() if is_bare}
    named = {f"{peer}/{seed}": probabilities for (peer, seed), (probabilities, _) in predicted.items()}
    drawn = _over_seeds(bootstrap(shelf.ratings, named, shelf.scale, metrics=SHOWN, groups=shelf.groups))
    standings = []
    for peer, whole in drawn.whole.items():
        kept = [name for name in whole if not (peer in bare and name in RATINGS_LACK)]
        intervals = drawn.intervals(peer)
        standings.append(
            Standing(
                peer=peer,
                runs=tuple(run for run in finished if run.peer == peer),
                metrics={name: whole[name] for name in kept},
                intervals={name: intervals[name] for name in kept},
            )
        )
    standings.sort(key=lambda standing: standing.metrics["rmse"])
    peers = [standing.peer for standing in standings if standing.peer != RATECAST] if RATECAST in drawn.whole else []
    differences = {
        peer: {name: drawn.difference(RATECAST, peer, metric=name) for name in COMPARED if name in drawn.whole[peer]}
        for peer in peers
    }
    absent = [run for run in runs if run.status != "finished"]
    own = next((found for (peer, _), (found, _) in predicted.items() if peer == RATECAST), None)
    calibration = None if own is None else calibration_test(shelf.ratings, own, shelf.scale, groups=shelf.groups)
    ends = [shelf.interval(setting, run) for run in finished if run.peer == RATECAST]
    coverage = [interval_coverage(shelf.ratings, each, asked=ASKED) for each in ends if each is not None]
    return Contest(
        shelf=shelf,
        setting=setting,
        standings=standings,
        differences=differences,
        absent=absent,
        calibration=calibration,
        coverage=coverage,
    )


def _over_seeds(drawn: Bootstrap) -> Bootstrap:
    """Metrics of each model as the mean over its seeds, in every resample; models are called ``<peer>/<seed>`` before."""
    seeds: dict[str, list[str]] = {}
    for name in drawn.whole:
        seeds.setdefault(name.rpartition("/")[0], []).append(name)

    def mean(values: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        return {
            peer: {metric: np.mean([values[name][metric] for name in names], axis=0) for metric in values[names[0]]}
            for peer, names in seeds.items()
        }

    whole = {peer: {name: float(value) for name, value in part.items()} for peer, part in mean(drawn.whole).items()}
    return Bootstrap(whole=whole, drawn=mean(drawn.drawn))


# -- writing ----------------------------------------------------------------------------------------------------------


def write(contest: Contest, folder: Path) -> None:
    """Write a contest as ``<name>.md`` and ``<name>.json``."""
    dataset, scale = contest.shelf.dataset, contest.shelf.scale
    lines = [f"# {dataset.name}: {contest.setting.title}", "", *_ranking(contest, scale), ""]
    lines += _against(contest, scale)
    lines += [f"- {run.peer} (seed {run.seed}) {run.status}: {run.reason}" for run in contest.absent]
    lines += [f"- {run.peer} (seed {run.seed}) took {run.seconds:.0f} s, longer than the wall time" for run in contest.late]
    lines += listed(_facts(contest))
    (folder / f"{contest.name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    content = {
        "dataset": dataset.name,
        "minutes": contest.setting.minutes,
        "training_rows": contest.setting.rows or dataset.training_rows(),
        "models": [
            {
                "name": standing.peer,
                "metrics": _finite(standing.metrics),
                "intervals": {name: [_or_none(end) for end in ends] for name, ends in standing.intervals.items()},
                "seconds": round(standing.seconds(), 1),
                "peak_mb": round(standing.peak_mb()),
                "seeds": [run.seed for run in standing.runs],
                "packages": standing.runs[0].packages,
            }
            for standing in contest.standings
        ],
        "ratecast_minus_peer": {
            peer: {name: difference.to_json() for name, difference in parts.items()}
            for peer, parts in contest.differences.items()
        },
        "absent": [{"name": run.peer, "seed": run.seed, "status": run.status, "reason": run.reason} for run in contest.absent],
        "facts": _facts(contest),
    }
    (folder / f"{contest.name}.json").write_text(json.dumps(content, indent=1) + "\n")


def _ranking(contest: Contest, scale: RatingScale) -> list[str]:
    header = ["Model", *(METRICS[name].label for name in SHOWN), "Wall seconds", "Peak memory, MB"]
    rows = []
    for standing in contest.standings:
        name = f"**{standing.peer}**" if standing.peer == RATECAST else standing.peer
        measured = [standing.text(metric, scale) for metric in SHOWN]
        rows.append([name, *measured, format_seconds(standing.seconds()), f"{standing.peak_mb():.0f}"])
    return markdown(header, rows)


def _against(contest: Contest, scale: RatingScale) -> list[str]:
    """Table of ratecast's metrics minus each peer's; none where there is nothing to compare."""
    if not contest.differences:
        return []
    header = ["ratecast minus", *(METRICS[name].label for name in COMPARED), "RMSE says"]
    rows = [
        [peer, *(_signed(parts[name], scale) if name in parts else "–" for name in COMPARED), verdict(parts["rmse"])]
        for peer, parts in contest.differences.items()
    ]
    return [*markdown(header, rows), ""]


def verdict(difference: Difference) -> str:
    """A difference in a word."""
    if not difference.is_clear:
        return "the data cannot tell"
    return "ratecast is better" if difference.is_better else "ratecast is worse"


def _signed(difference: Difference, scale: RatingScale) -> str:
    info = METRICS[difference.metric]

    def number(value: float) -> str:
        text = info.format(abs(value), scale)
        return text if value >= 0 or float(text) == 0 else f"−{text}"

    return f"{number(difference.difference)} ({number(difference.low)} to {number(difference.high)})"


def _facts(contest: Contest) -> dict[str, Any]:
    """What a reader needs to know beside the numbers."""
    dataset, scale = contest.shelf.dataset, contest.shelf.scale
    runs = [run for standing in contest.standings for run in standing.runs]
    packages = {f"{name} {version}" for run in runs for name, version in run.packages.items()}
    facts: dict[str, Any] = {
        "reviews": f"{contest.setting.rows or dataset.training_rows()} training, {len(contest.shelf.ratings)} test",
        "scale": scale.describe(),
        "wall time": f"{contest.setting.time} from the start of a model's process to its predictions, two cores",
        "intervals": "95 % over 1,000 resamples of the test reviews, copies of a text drawn together, the same for every model",
        "seeds": ", ".join(map(str, sorted({run.seed for run in runs}))),
        "versions": ", ".join(sorted(packages, key=str.lower)),
    }
    if contest.calibration is not None:
        facts["calibration of ratecast's first seed"] = contest.calibration.summary()
    for number, coverage in enumerate(contest.coverage):
        facts["intervals of ratecast" + (f", {number + 1}" if number else "")] = coverage.summary()
    machines = [run.machine for run in runs]
    for name in dict.fromkeys(name for machine in machines for name in machine):
        values = dict.fromkeys(str(machine[name]) for machine in machines if name in machine)
        facts[name] = ", ".join(values)
    return facts


def _finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _or_none(value) for name, value in metrics.items()}


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
