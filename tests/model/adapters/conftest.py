"""A tiny untrained backbone of each architecture, and reviews that it can learn."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from architectures import write_tiny
from ratecast.config import BackboneConfig, FitConfig
from ratecast.model.adapters import Adapter, attach, create_method
from ratecast.model.backbone import Backbone, load_backbone
from ratecast.model.heads import create_head
from ratecast.model.rater import Rater
from ratecast.progress import SilentReporter
from ratecast.records import Reviews, strings
from ratecast.scale import RatingScale
from ratecast.text import TextEncoder
from ratecast.train.finetune import finetune
from ratecast.train.finetuned import FineTuned
from ratecast.train.loop import Run

SCALE = RatingScale.parse("1..5")
GRADES = ("awful", "bad", "fine", "good", "great")
FAMILIES = (
    "bert",
    "roberta",
    "xlm-roberta",
    "deberta-v2",
    "modernbert",
    "distilbert",
    "gpt2",
    "llama",
    "qwen2",
    "qwen3",
    "smollm3",
)


def reviews_of(count: int, seed: int) -> Reviews:
    """Reviews whose rating is that of the one grading word in them."""
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 5, count)
    texts = [f"the food is {GRADES[level]} " + "and so " * rng.integers(0, 6) for level in levels]
    return Reviews(text=strings(texts), rating=levels.astype(np.float64) + 1)


@pytest.fixture(scope="session")
def backbone_of(tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the folder of a tiny backbone of an architecture, with the tokenizer that all of them share."""
    made: dict[str, Path] = {}

    def make(family: str) -> Path:
        if family not in made:
            made[family] = write_tiny(tmp_path_factory.mktemp(family), family, tiny_backbone)
        return made[family]

    return make


@pytest.fixture(scope="session")
def base_of(backbone_of: Callable[[str], Path]) -> Callable[[str], Backbone]:
    """Gives a tiny backbone of an architecture with a model of its own, which is read from its folder only once."""
    loaded: dict[str, Backbone] = {}

    def make(family: str) -> Backbone:
        if family not in loaded:
            loaded[family] = load_backbone(BackboneConfig(backbone=str(backbone_of(family)), max_tokens=24))
        return replace(loaded[family], model=copy.deepcopy(loaded[family].model))

    return make


@pytest.fixture(scope="session")
def network_of(base_of: Callable[[str], Backbone]) -> Callable[..., tuple[Rater, TextEncoder, Adapter]]:
    """Makes a tiny network with added weights, its tokenizer and the added weights, which are moved from where they start.

    Settings are given by their flat names; nothing is trained.
    """

    def make(family: str = "bert", **settings: object) -> tuple[Rater, TextEncoder, Adapter]:
        config = FitConfig().with_values(**settings)
        method, base = create_method(config.adapter), base_of(family)
        assert method is not None
        adapter = attach(base, method)
        head = create_head(config.backbone.head, base.width, SCALE, np.asarray(SCALE.levels))
        rater = Rater(adapter.model, head, pooling=config.backbone.pooling or base.pooling)
        with torch.no_grad():
            for weight in adapter.model.parameters():
                if weight.requires_grad:
                    weight.add_(torch.randn_like(weight) * 0.1)
        return rater.eval(), base.encoder, adapter

    return make


@pytest.fixture
def parts() -> dict[str, Reviews]:
    return {"train": reviews_of(120, 0), "validation": reviews_of(60, 1), "test": reviews_of(40, 2)}


@pytest.fixture
def run_of(backbone_of: Callable[[str], Path], tmp_path: Path) -> Callable[..., Run]:
    """Makes a run of two steps with a tiny backbone, settings by their flat names."""

    def make(family: str = "bert", *, resume: bool = False, folder: str = "run", **settings: object) -> Run:
        defaults: dict[str, object] = {"backbone": str(backbone_of(family)), "max_tokens": 24, "batch_reviews": 8, "steps": 2}
        defaults["precision"] = "float32"
        config = FitConfig().with_values(**(defaults | settings))
        return Run(
            config=config,
            folder=tmp_path / folder,
            fingerprint="same",
            resume=resume,
            reporter=SilentReporter(),
            log_folder=tmp_path / "logs",
        )

    return make


@pytest.fixture
def tuned_by(parts: dict[str, Reviews]) -> Callable[[Run], FineTuned]:
    """Fine-tunes through the real loop."""

    def tune(run: Run) -> FineTuned:
        tuned = finetune(parts, SCALE, run, time_left=None, reviews_after=0)
        assert tuned is not None
        return tuned

    return tune
