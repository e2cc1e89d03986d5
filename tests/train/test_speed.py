"""What is measured of a machine before its time is shared out."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ratecast import job
from ratecast.config import FitConfig
from ratecast.model.backbone import load_backbone
from ratecast.scale import RatingScale
from ratecast.train import planning, speed
from ratecast.train.network import create_rater
from ratecast.train.speed import measure_speed, sample_rows

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
    found = measure_speed(rater, backbone.encoder.encode(["good", "a very bad thing"]), backbone.encoder.settings)
    assert found.graph == pytest.approx(0.45 * 1e9 / (2 * 2 * LAYER))
    assert found.encoding > 0
    assert found.training > 0


def test_onnx_runtime_multiplies_on_any_processor() -> None:
    assert 1e8 < speed._product_speed() < 1e15


@pytest.mark.parametrize(("took", "expected"), [(0.01, 12.0), (0.03, 18.0), (9.0, 30.0)])
def test_writing_takes_longer_where_python_is_slower(monkeypatch: pytest.MonkeyPatch, took: float, expected: float) -> None:
    now = iter(np.cumsum([0.0, took] * 5).tolist())
    monkeypatch.setattr(job, "time", SimpleNamespace(perf_counter=lambda: next(now)))
    assert job.writing_seconds.__wrapped__() == pytest.approx(expected)


def test_a_larger_backbone_leaves_less_time_for_it_takes_longer_to_write(
    tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = FitConfig().with_values(backbone=str(tiny_backbone))
    loaded = planning.load_network(config, STARS)

    def left(layers: int) -> float:
        found: Any = SimpleNamespace(loaded=loaded, layers=layers)
        return planning._kept_for_writing(lambda: 100.0, found)()

    assert left(6) == 100.0
    assert left(16) == pytest.approx(93.0)
    monkeypatch.setattr(planning, "_MINILM_GIGABYTES", 0.0)
    gigabytes = sum(weight.nbytes for weight in loaded.backbone.model.parameters()) / 1e9
    assert left(6) == pytest.approx(100 - 10 * gigabytes, abs=1e-12)
