"""What the settings leave open where reviews are few."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from finetuned import SCALE, Parts, RunOf, tune
from interruption import InterruptingReporter, StoppedError
from ratecast.config import BackboneConfig, FitConfig
from ratecast.model.backbone import load_backbone
from ratecast.train import planning
from ratecast.train.few import FEW_REVIEWS, PAIR_PASSES, planned_for_few
from ratecast.train.plan import Plan
from ratecast.train.speed import Speed


def found(
    reviews: int = 100,
    *,
    layers: int = 6,
    trained: int = 6,
    seconds: float | None = None,
    is_taught: bool = False,
    **given: Any,
) -> tuple[int, float]:
    """Layers that start anew, and passes over pairs, of a plan that takes a minute."""
    plan = Plan(
        max_tokens=128,
        trained_layers=trained,
        layers=layers,
        epochs=10.0,
        most_epochs=10.0,
        reviews=reviews,
        precision="float32",
        seconds=60.0,
    )
    config = FitConfig().with_values(**{"pooling": "mean"} | given)
    resolved = planned_for_few(plan, config, seconds=seconds, is_taught=is_taught).resolve(config)
    assert resolved.strengthen.reinitialised_layers is not None
    assert resolved.few.contrastive_passes is not None
    return resolved.strengthen.reinitialised_layers, resolved.few.contrastive_passes


def test_few_reviews_begin_with_pairs_and_a_new_topmost_layer() -> None:
    assert found() == found(seconds=121.0) == (1, PAIR_PASSES)
    assert found(FEW_REVIEWS) == (0, 0)
    assert found(seconds=119.0) == found(steps=5) == found(epochs=2.0) == (1, 0)
    assert found(trained=3) == (1, 0)  # what the frozen layers give is computed once


@pytest.mark.parametrize(
    "given",
    [
        {"layers": 3, "trained": 3},
        {"trained": 0},
        {"is_taught": True},
        {"tune": "lora"},
        {"prompt": "default", "pooling": None},
        {"pooling": "last"},
    ],
    ids=str,
)
def test_nothing_is_added_to_what_it_was_not_measured_with(given: dict[str, Any]) -> None:
    assert found(**given) == (0, 0)


def test_what_is_given_stays() -> None:
    assert found(reinitialised_layers=0, contrastive_passes=0.0) == (0, 0)
    assert found(10**6, reinitialised_layers=2, contrastive_passes=3.0, seconds=1.0) == (2, 3)


def test_a_resumed_run_keeps_to_what_was_planned(
    parts: Parts, run_of: RunOf, deep_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "measure_speed", lambda *_: Speed(encoding=1e6, training=500.0, graph=1e6))
    settings: dict[str, Any] = {"backbone": str(deep_backbone), "checkpoint_seconds": 1e-9}
    seconds = planning.plan_run(parts, SCALE, run_of(**settings), time_left=None).plan.seconds
    with pytest.raises(StoppedError):  # in a time that is enough for all passes, but not for pairs
        tune(parts, replace(run_of(**settings), reporter=InterruptingReporter(2)), time_left=lambda: 1.5 * seconds)
    resumed = tune(parts, run_of(resume=True, patience=1, **settings), time_left=lambda: 10 * seconds)
    assert resumed.config.backbone.trained_layers is None
    assert resumed.pairs is None


def test_a_run_that_was_stopped_among_pairs_keeps_its_plan(
    parts: Parts, run_of: RunOf, deep_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "measure_speed", lambda *_: Speed(encoding=1e6, training=500.0, graph=1e6))
    settings: dict[str, Any] = {"backbone": str(deep_backbone), "checkpoint_seconds": 1e-9}
    with pytest.raises(StoppedError):
        tune(parts, replace(run_of(**settings), reporter=InterruptingReporter(2)))
    monkeypatch.setattr(planning, "measure_speed", lambda *_: Speed(encoding=100.0, training=1.0, graph=1e6))  # so busy
    planned = planning.plan_run(parts, SCALE, run_of(resume=True, **settings), time_left=lambda: 60.0).plan
    assert (planned.trained_layers, planned.pair_passes) == (4, PAIR_PASSES)


def test_what_was_pretrained_is_kept_where_nothing_learnt_is_better(
    parts: Parts, run_of: RunOf, deep_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretrained = load_backbone(BackboneConfig(backbone=str(deep_backbone))).model.state_dict()

    def forget(model: torch.nn.Module, layers: Any, seed: int) -> None:
        for weight in filter(lambda weight: weight.requires_grad, model.parameters()):
            weight.data.zero_()  # far worse than new weights: every review has the same vector

    monkeypatch.setattr("ratecast.train.finetune.reinitialise", forget)
    tuned = tune(parts, run_of(backbone=str(deep_backbone), steps=2))
    assert tuned.is_untrained
    assert tuned.result.best_step == 0
    kept = tuned.backbone.model.state_dict()
    assert all(torch.equal(weight, kept[name]) for name, weight in pretrained.items())
    rmse = np.sqrt(((SCALE.mean(tuned.validation) - parts["validation"].rated()) ** 2).mean())
    assert rmse == pytest.approx(tuned.result.best_score)
    assert rmse < 0.9 * parts["validation"].rated().std()


def test_a_fit_begins_so_by_itself(parts: Parts, run_of: RunOf, deep_backbone: Path) -> None:
    tuned = tune(parts, run_of(backbone=str(deep_backbone), patience=1, learning_rate=1e-5))
    assert tuned.config.strengthen.reinitialised_layers == 1
    assert tuned.pairs is not None
    assert not tuned.is_untrained
    short = tune(parts, run_of(backbone=str(deep_backbone), steps=1))  # as long as was asked for
    assert (short.pairs, short.config.strengthen.reinitialised_layers) == (None, 1)


def test_the_time_for_pairs_is_reckoned_with(
    parts: Parts, run_of: RunOf, deep_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "measure_speed", lambda *_: Speed(encoding=1e6, training=1e5, graph=1e6))
    plain, paired = (
        planning.estimated_seconds(parts, SCALE, run_of(backbone=str(deep_backbone), contrastive_passes=passes))
        for passes in (0.0, 10.0)
    )
    assert math.isclose(paired, 2 * plain)
