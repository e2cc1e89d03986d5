"""What is measured of a machine before its time is shared out."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ratecast import job
from ratecast.config import FitConfig
from ratecast.model.adapters.fourbit import FourBitLinear
from ratecast.model.backbone import load_backbone
from ratecast.scale import RatingScale
from ratecast.train import planning, speed
from ratecast.train.network import create_rater
from ratecast.train.speed import measure_speed, sample_rows, weight_count

STARS = RatingScale.parse("1..5")
LAYER = 4 * (32 * 32 + 32) + 2 * 32 * 64 + 64 + 32 + 2 * 2 * 32
"""Weights of a layer that is 32 wide: attention, a feed-forward part of 64, and two norms."""


def test_the_sample_that_is_timed_has_all_lengths() -> None:
    lengths = np.random.default_rng(0).permutation(np.arange(1, 161))
    rows = sample_rows(lengths)
    assert len(rows) == 8
    assert lengths[rows].min() == 1
    assert lengths[rows].max() == 160
    assert abs(lengths[rows].mean() - lengths.mean()) < 2
    assert len(sample_rows(np.array([5, 4]))) == 2


def test_the_graph_is_reckoned_by_the_products_of_the_layers(tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "_product_speed", lambda: 1e9)
    config = FitConfig().with_values(backbone=str(tiny_backbone), precision="float32")
    backbone = load_backbone(config.backbone)
    rater = create_rater(backbone, STARS, np.array([1.0, 2.0, 5.0]), config)
    texts = backbone.encoder.encode(["good", "a very bad thing"])
    found = measure_speed(rater, texts, backbone.encoder.settings)
    assert texts.lengths.tolist() == [3, 10]
    attention = 4 * (3 * 3 + 10 * 10) / (3 + 10) * 32  # other tokens, weighted by how many tokens look at them
    assert found.graph == pytest.approx(0.45 * 1e9 / (2 * (2 * LAYER + attention)))
    assert found.encoding > 0
    assert found.training > 0


def test_onnx_runtime_multiplies_on_any_processor() -> None:
    assert 1e8 < speed._product_speed() < 1e15


@pytest.mark.parametrize(("took", "expected"), [(0.01, 16.0), (0.03, 24.0), (9.0, 32.0)])
def test_writing_takes_longer_where_python_is_slower(monkeypatch: pytest.MonkeyPatch, took: float, expected: float) -> None:
    now = iter(np.cumsum([0.0, took] * 5).tolist())
    monkeypatch.setattr(job, "time", SimpleNamespace(perf_counter=lambda: next(now)))
    slowness = job._slowness.__wrapped__()
    monkeypatch.setattr(job, "_slowness", lambda: slowness)
    assert job.writing_seconds() == pytest.approx(expected)
    assert job.more_writing_seconds(6, 0.05) == 0.0
    assert job.more_writing_seconds(16, 1.1) == pytest.approx(10 * 0.7 * expected / 16 + 10)


def test_what_a_backbone_takes_longer_to_write_is_kept(tiny_backbone: Path) -> None:
    loaded = planning.load_network(FitConfig().with_values(backbone=str(tiny_backbone)), STARS)
    found: Any = SimpleNamespace(loaded=loaded, layers=2)
    left = planning._left_beside(lambda: 100.0, lambda layers, gigabytes: layers + 1e9 * gigabytes / 4, found)
    assert left is not None
    assert left() == pytest.approx(98 - sum(weight.numel() for weight in loaded.backbone.model.parameters()))
    assert planning._left_beside(None, lambda *_: 1.0, found) is None


def test_weights_in_four_bits_count_as_what_they_stand_for() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(64, 32)
    assert weight_count(torch.nn.Sequential(FourBitLinear(layer), layer)) == 2 * (64 * 32 + 32)
