"""What all steps of one fit share."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ratecast.config import FitConfig
from ratecast.data import DataReport
from ratecast.progress import Reporter
from ratecast.records import Reviews
from ratecast.scale import RatingScale

_WRITING_SECONDS: Final = 25.0
"""Time that export, bootstrap, report and model card take together; measured at 15 to 20 s on two idle cores."""
_MARGIN: Final = 0.03
"""Share of the budget that is kept for a machine that slows down."""


@dataclass(frozen=True, kw_only=True)
class Clock:
    """The time budget.

    Attributes:
        started: when the command began, in seconds of ``time.monotonic``.
        budget_seconds: time from there to the folder written; None without a limit.
    """

    started: float
    budget_seconds: float | None

    def left(self) -> float:
        """Seconds that are left for fitting; infinite without a limit."""
        spent = time.monotonic() - self.started
        if self.budget_seconds is None:
            return float("inf")
        return self.budget_seconds * (1 - _MARGIN) - spent - _WRITING_SECONDS


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

    @property
    def working(self) -> Path:
        """Where checkpoints lie until the model is written."""
        return self.folder.parent / f"{self.folder.name}.training"

    @property
    def judged_name(self) -> str:
        """The part that the final table is about: the test part, or if none was set apart the validation reviews."""
        return "test" if len(self.parts["test"]) else "validation"
