"""What all steps of one fit share."""

import hashlib
import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Final

from ratecast.config import FitConfig
from ratecast.data import DataReport
from ratecast.data.split import sampled_rows, stopping_rows
from ratecast.progress import Reporter
from ratecast.records import Reviews
from ratecast.scale import RatingScale
from ratecast.text import Augmentation

_WRITING_SECONDS: Final = 16.0
"""Time that export, bootstrap, report and model card take together; measured at 8 s, for MiniLM, on two idle cores and
on one of them."""
_MINILM_LAYERS: Final = 6
_MINILM_GIGABYTES: Final = 0.1
_LAYER_SECONDS: Final = 0.7
"""What each further layer takes to export; measured at 0.5 s there."""
_GIGABYTE_SECONDS: Final = 10.0
"""What each further gigabyte of weights takes to write twice, hash and load."""
_LINEAR_WRITING_SECONDS: Final = 3.0
"""The same for a linear model, which is not exported; measured at 1 s on an idle core."""
LEAST_SECONDS: Final = 12.0
"""Time left below which loading a backbone and measuring its speed would use all of it."""
_MARGIN: Final = 0.03
"""Share of the budget that is kept for a machine that slows down."""
_SLOWEST: Final = 2.0
"""How many times as long writing is reckoned to take at most, on a machine where Python is slower."""
_STRINGS: Final = 100_000
_STRINGS_SECONDS: Final = 0.02
"""What making so many strings takes on the machine that writing was measured on, an AMD EPYC with AVX-512 BF16."""


@dataclass(frozen=True, kw_only=True)
class Clock:
    """The time budget.

    Attributes:
        started: when the command began, in seconds of ``time.monotonic``.
        budget_seconds: time from there to the folder written; None without a limit.
        writing: seconds of it that are kept for writing a model with a network; `writing_seconds` by default.
    """

    started: float
    budget_seconds: float | None
    writing: float | None = None

    @property
    def fitting_seconds(self) -> float:
        """The part of the budget that is for fitting; infinite without a limit."""
        return float("inf") if self.budget_seconds is None else self.budget_seconds * (1 - _MARGIN) - self._kept()

    def spent(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def left(self) -> float:
        """Seconds that are left for fitting; infinite without a limit."""
        return self.fitting_seconds - self.spent()

    def left_linear(self) -> float:
        """Seconds that are left for fitting where the model is linear, which is written sooner."""
        if self.budget_seconds is None:
            return float("inf")
        return self.budget_seconds * (1 - _MARGIN) - _LINEAR_WRITING_SECONDS - self.spent()

    @property
    def can_finetune(self) -> bool:
        """Whether there is time enough to try."""
        return self.left() > LEAST_SECONDS

    def least_to_finetune(self) -> float:
        """The least budget, in seconds, that something could be fine-tuned in from here on."""
        return (self.spent() + LEAST_SECONDS + self._kept()) / (1 - _MARGIN)

    def least_linear(self) -> float:
        """The least budget, in seconds, that a linear model which is fitted now could have been made in."""
        return (self.spent() + _LINEAR_WRITING_SECONDS) / (1 - _MARGIN)

    def _kept(self) -> float:
        return writing_seconds() if self.writing is None else self.writing


def writing_seconds() -> float:
    """What writing a model with MiniLM takes on this machine: 16 s, and up to 32 s where Python is slow."""
    return _WRITING_SECONDS * _slowness()


def more_writing_seconds(layers: int, gigabytes: float) -> float:
    """What writing a backbone of so many layers and gigabytes (in float32) takes more than MiniLM."""
    exporting = _LAYER_SECONDS * max(0, layers - _MINILM_LAYERS) * _slowness()
    return exporting + _GIGABYTE_SECONDS * max(0.0, gigabytes - _MINILM_GIGABYTES)


@cache
def _slowness() -> float:
    """How many times as long as on the machine that writing was measured on Python takes here, from 1 to 2."""
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        _ = {str(number): number for number in range(_STRINGS)}
        seconds.append(time.perf_counter() - started)
    return min(_SLOWEST, max(1.0, statistics.median(seconds) / _STRINGS_SECONDS))


@dataclass(frozen=True, kw_only=True)
class Job:
    """One fit: settings, reviews and places.

    Attributes:
        config: the settings.
        clock: the time budget.
        reporter: shows messages and progress.
        folder: where the model goes.
        scale: the rating scale.
        parts: the reviews under "train", "validation" and "test".
        report: what was found in the data.
        used: columns besides the text that the model may use.
        fingerprint: hash of everything that decides the weights of a run of fixed steps.
        left_out: ids of reviews that are in no part.
        notes: what a reader of the report should know about how the settings came about, a sentence or two each.
        documents: text of further files for the model folder, by name.
    """

    config: FitConfig
    clock: Clock
    reporter: Reporter
    folder: Path
    scale: RatingScale
    parts: dict[str, Reviews]
    report: DataReport
    used: tuple[str, ...]
    fingerprint: str
    left_out: list[str]
    notes: tuple[str, ...] = ()
    documents: Mapping[str, str] = field(default_factory=dict)

    def with_config(self, config: FitConfig) -> "Job":
        """The same job with other settings for training; those that decide the split must be the same."""
        return replace(self, config=config, fingerprint=fingerprint(self.parts, config))

    @property
    def working(self) -> Path:
        """Where checkpoints lie until the model is written."""
        return working_place(self.folder)

    @property
    def judged_name(self) -> str:
        """The part that the final table is about: the test part, or if none was set apart the validation reviews."""
        return "test" if len(self.parts["test"]) else "validation"

    def judged(self, most: int) -> Reviews:
        """The reviews of that part that the table is about: all, or a random sample where the time is short.

        Of the validation reviews it is those at `stopping_rows`.

        Args:
            most: how many test reviews the time allows.
        """
        part = self.parts[self.judged_name]
        rows = sampled_rows(len(part), most, self.config.seed) if self.judged_name == "test" else stopping_rows(len(part))
        return part.take(rows)


def working_place(folder: Path) -> Path:
    """Where the unfinished work on a model folder lies."""
    return folder.parent / f"{folder.name}.training"


def fingerprint(parts: dict[str, Reviews], config: FitConfig) -> str:
    """Hash of everything that decides the weights of a run of fixed steps."""
    deciding = {
        name: value for name, value in config.to_mapping().items() if name not in {"track", "time_budget", "threads", "answer"}
    }
    digest = hashlib.sha256(json.dumps(deciding, sort_keys=True).encode())
    if augmentation := Augmentation.create(config.strengthen, config.seed):
        digest.update(repr(augmentation).encode())  # with all synonyms: the thesaurus may be another one under the same name
    for name, part in parts.items():
        digest.update(f"\0{name}\0".encode())
        digest.update(part.rated().tobytes())
        digest.update(b"" if part.weight is None else part.weight.tobytes())
        for text in part.joined():
            digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()
