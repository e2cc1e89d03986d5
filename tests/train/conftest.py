"""A tiny network and reviews that it can learn."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ratecast.config import FitConfig
from ratecast.progress import SilentReporter
from ratecast.records import Reviews, strings
from ratecast.scale import RatingScale
from ratecast.train.loop import Run

SCALE = RatingScale.parse("1..5")
GRADES = ("awful", "bad", "fine", "good", "great")


def reviews_of(count: int, seed: int = 0) -> Reviews:
    """Reviews whose rating is that of the one grading word in them."""
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 5, count)
    filler = ("the food", "the staff of this hotel", "room and service", "it", "this phone again")
    texts = [f"{filler[rng.integers(5)]} is {GRADES[level]} " + "and so " * rng.integers(0, 6) for level in levels]
    return Reviews(text=strings(texts), rating=levels.astype(np.float64) + 1)


@pytest.fixture
def parts() -> dict[str, Reviews]:
    return {
        name: reviews_of(count, seed) for seed, (name, count) in enumerate({"train": 240, "validation": 60, "test": 40}.items())
    }


@pytest.fixture
def run_of(tiny_backbone: Path, tmp_path: Path) -> Callable[..., Run]:
    """Makes a run with the tiny backbone, settings by their flat names."""

    def make(*, resume: bool = False, fingerprint: str = "same", folder: str = "run", **settings: object) -> Run:
        defaults: dict[str, object] = {
            "backbone": str(tiny_backbone),
            "max_tokens": 24,
            "learning_rate": 1e-3,
            "batch_reviews": 8,
        }
        config = FitConfig().with_values(**(defaults | settings))
        return Run(
            config=config,
            folder=tmp_path / folder,
            fingerprint=fingerprint,
            resume=resume,
            reporter=SilentReporter(),
            log_folder=tmp_path / "logs",
        )

    return make
