"""A tiny network and reviews that it can learn."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from ratecast.config import FitConfig
from ratecast.model.rater import Rater
from ratecast.progress import SilentReporter
from ratecast.records import Reviews, strings
from ratecast.train.loop import Run

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
def untrained_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training starts from a random head: a fitted one would know these words already, and its weights would be kept."""
    monkeypatch.setattr("ratecast.train.probe._minimise", lambda *_, **__: None)


@dataclass
class Clock:
    """A clock that stands still but for what is put on it."""

    now: float = 0.0

    def read(self) -> float:
        """Seconds since the beginning."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What fine-tuning takes for the time: a tenth of a second for each batch that the network reads."""
    made, original = Clock(), Rater.vectors

    def vectors(self: Rater, input_ids: Tensor, attention_mask: Tensor, windows: Tensor | None = None) -> Tensor:
        made.now += 0.1
        return original(self, input_ids, attention_mask, windows)

    monkeypatch.setattr(Rater, "vectors", vectors)
    for module in ("finetune", "loop", "speed"):
        monkeypatch.setattr(f"ratecast.train.{module}.time", SimpleNamespace(monotonic=made.read, perf_counter=made.read))
    return made


@pytest.fixture(scope="session")
def deep_backbone(tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with an untrained BERT like the tiny one, of four layers."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("deep")
    shutil.copytree(tiny_backbone, folder, dirs_exist_ok=True)
    torch.manual_seed(0)
    BertModel(BertConfig.from_pretrained(str(folder), num_hidden_layers=4)).save_pretrained(str(folder))
    return folder


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
