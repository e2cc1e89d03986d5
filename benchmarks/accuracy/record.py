"""What is kept of each model's run, each by itself, so that a contest can stop and go on, and tables be made anew."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from task import Dataset, Setting

from ratecast.data import copy_groups
from ratecast.errors import RatecastError
from ratecast.scale import FloatArray, IntArray, RatingScale

RATINGS_LACK = ("nll", "ece")
"""Metrics that bare ratings do not have."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One model's run.

    Attributes:
        peer: the model's name.
        seed: decided its training rows and its random choices.
        status: "finished", or "did not finish", "failed" or "not installed" for the given reason.
        seconds: wall time from the start of its process to the end.
        peak_mb: most resident memory of all its processes at once.
        packages: versions of the packages that matter.
        machine: facts of the machine that it ran on.
    """

    peer: str
    seed: int
    status: str
    reason: str = ""
    seconds: float | None = None
    peak_mb: float | None = None
    packages: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)


class Shelf:
    """The runs on one version of a data set: records and predictions, which are part of the project's results.

    The true ratings and the texts are not: they are the data set's, and read from it each time.

    Args:
        root: folder of all shelves.
        dataset: the data set.
    """

    def __init__(self, root: Path, dataset: Dataset) -> None:
        self.folder = root / dataset.key
        self.dataset = dataset

    @property
    def scale(self) -> RatingScale:
        """The scale of the ratings."""
        return self.dataset.scale

    @cached_property
    def ratings(self) -> FloatArray:
        """The true ratings of the test reviews, shape ``(review,)``."""
        ratings: FloatArray = self.dataset.ratings[self.dataset.is_test]
        return ratings

    @cached_property
    def groups(self) -> IntArray:
        """The groups of copied texts among the test reviews, shape ``(review,)``."""
        return copy_groups(self.dataset.texts[self.dataset.is_test].tolist())

    def settings(self) -> list[Setting]:
        """The settings that have runs, short ones and few rows first."""
        if not self.folder.exists():
            return []
        found = [Setting.parse(path.name) for path in self.folder.iterdir() if path.is_dir() and any(path.glob("*.json"))]
        return sorted(found, key=lambda setting: (setting.minutes, setting.rows or np.inf))

    def path(self, setting: Setting, peer: str, seed: int, ending: str) -> Path:
        """Where a part of a run is kept: its record (json) or its predictions (npz)."""
        return self.folder / setting.name / f"{peer}-seed{seed}.{ending}"

    def keep(self, setting: Setting, run: Run, predictions: Path | None = None) -> None:
        """Store a run's record and, in single precision, what a finished one predicted."""
        record = self.path(setting, run.peer, run.seed, "json")
        record.parent.mkdir(parents=True, exist_ok=True)
        if predictions is not None:
            with np.load(predictions) as content:
                single = {name: np.asarray(content[name], dtype=np.float32) for name in content}
            np.savez_compressed(self.path(setting, run.peer, run.seed, "npz"), allow_pickle=False, **single)
        record.write_text(json.dumps(asdict(run), indent=1) + "\n")

    def run(self, setting: Setting, peer: str, seed: int) -> Run | None:
        """A run's record, None if it has not been held."""
        path = self.path(setting, peer, seed, "json")
        return Run(**json.loads(path.read_text())) if path.exists() else None

    def runs(self, setting: Setting) -> Iterator[Run]:
        """Every run of a setting."""
        for path in sorted((self.folder / setting.name).glob("*.json")):
            yield Run(**json.loads(path.read_text()))

    def probabilities(self, setting: Setting, run: Run) -> tuple[FloatArray, bool]:
        """What a finished run predicted, shape ``(review, level)``, and whether these are bare ratings in that form."""
        with np.load(self.path(setting, run.peer, run.seed, "npz")) as content:
            return on_scale(dict(content), self.scale, len(self.ratings))

    def interval(self, setting: Setting, run: Run) -> FloatArray | None:
        """The lowest and highest rating of each 90 % interval, shape ``(review, 2)``; None where a run has none."""
        with np.load(self.path(setting, run.peer, run.seed, "npz")) as content:
            return content["interval"].astype(np.float64) if "interval" in content else None


def on_scale(content: dict[str, np.ndarray], scale: RatingScale, reviews: int) -> tuple[FloatArray, bool]:
    """Predictions over the levels of a scale, shape ``(review, level)``, and whether they were bare ratings.

    Raises:
        ValueError: if they are not one finite prediction for each review, or have levels that the scale has not.
    """
    name = "ratings" if "ratings" in content else "probabilities"
    predicted, levels = content.get(name, np.empty(0)), content.get("levels", np.empty(0))
    if len(predicted) != reviews or not np.isfinite(predicted).all():
        raise ValueError(f"expected finite probabilities or ratings of {reviews} reviews, found {_described(content)}")
    if not len(levels) or not scale.contains(levels).all():
        raise ValueError(f"expected levels of the scale {scale.describe()}, found {levels}")
    over = between_levels(predicted, levels) if name == "ratings" else np.clip(predicted, 0, None)
    found = np.zeros((reviews, len(scale)))
    found[:, scale.level_index(levels)] = over
    return found / found.sum(axis=1, keepdims=True), name == "ratings"


def between_levels(ratings: np.ndarray, levels: np.ndarray) -> FloatArray:
    """Bare ratings as probabilities of the two nearest of ascending levels, shape ``(review, level)``.

    Their mean is the rating, clipped to the levels; their median and their most probable level are the nearest one. So
    every metric of a rating is that of these probabilities; metrics of probabilities as such say nothing.
    """
    clipped = np.clip(ratings, levels[0], levels[-1])
    upper = np.clip(np.searchsorted(levels, clipped), 1, len(levels) - 1)
    share = (clipped - levels[upper - 1]) / (levels[upper] - levels[upper - 1])
    found = np.zeros((len(ratings), len(levels)))
    rows = np.arange(len(ratings))
    found[rows, upper - 1], found[rows, upper] = 1 - share, share
    return found


def _described(content: dict[str, np.ndarray]) -> str:
    return ", ".join(f"{name} {array.shape}" for name, array in content.items()) or "nothing"


def faults(path: Path, shelf: Shelf) -> str:
    """What is wrong with the predictions in a file; empty if nothing."""
    try:
        with np.load(path) as content:
            on_scale(dict(content), shelf.scale, len(shelf.ratings))
    except (OSError, ValueError, RatecastError) as error:
        return str(error)
    return ""
