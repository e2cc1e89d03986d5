"""Gradual unfreezing: which weights learn when, and that neither a stop nor stored layers change that."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from finetuned import ComputingNetwork, Parts, RunOf, assert_resumes_exactly, tune
from ratecast.config import BackboneConfig, FitConfig
from ratecast.errors import ConfigError
from ratecast.model.backbone import load_backbone, set_trained, transformer_layers
from ratecast.train.learner import RatingLearner
from ratecast.train.optim import RULES
from ratecast.train.unfreezing import Unfreezing

TOP_DOWN = ("layer.3", "layer.2", "layer.1", "layer.0")
Learning = list[tuple[set[str], set[str]]]


@pytest.fixture
def deep_run(run_of: RunOf, deep_backbone: Path) -> RunOf:
    """Makes a run with that backbone, the layers of which join over three quarters of the training."""

    def make(**settings: Any) -> Any:
        defaults = {"backbone": str(deep_backbone), "gradual_unfreezing": 0.75, "schedule": "constant", "warmup_fraction": 0.0}
        return run_of(**(defaults | settings))

    return make


def part_of(name: str) -> str:
    """What a weight belongs to."""
    found = re.search(r"layer\.\d|word_embeddings|head", name)
    return "embeddings" if found is None else found.group()


@pytest.mark.parametrize("optimizer", RULES)
def test_every_optimizer_takes_layers_that_join_later(parts: Parts, deep_run: RunOf, optimizer: str) -> None:
    assert tune(parts, deep_run(optimizer=optimizer, steps=8)).result.steps == 8


@pytest.fixture
def learning(monkeypatch: pytest.MonkeyPatch) -> Learning:
    """The parts that have a gradient in each step, and those that have moved since the first."""
    found: Learning = []
    start: dict[str, torch.Tensor] = {}
    original = RatingLearner.create_optimizer

    def create_optimizer(self: RatingLearner) -> torch.optim.Optimizer:
        start.update({name: weight.detach().clone() for name, weight in self.network.named_parameters()})
        return original(self)

    def after_step(self: RatingLearner, step: int) -> None:
        weights = dict(self.network.named_parameters())
        with_gradient = {part_of(name) for name, weight in weights.items() if weight.grad is not None}
        moved = {part_of(name) for name, weight in weights.items() if not torch.equal(weight, start[name])}
        found.append((with_gradient, moved))

    monkeypatch.setattr(RatingLearner, "create_optimizer", create_optimizer)
    monkeypatch.setattr(RatingLearner, "after_step", after_step)
    return found


def test_a_waiting_layer_is_outside_of_what_gradients_pass_through(deep_backbone: Path) -> None:
    model: Any = load_backbone(BackboneConfig(backbone=str(deep_backbone), max_tokens=24)).model
    set_trained(model, trained_layers=None, train_embeddings=False)
    unfreezing = Unfreezing(model, 0.6)
    passed: list[bool] = []
    for layer in transformer_layers(model):
        layer.register_forward_hook(lambda *call: passed.append(call[2].requires_grad))
    for progress, joined in ((0.0, 1), (0.19, 1), (0.2, 2), (0.39, 2), (0.4, 3), (0.59, 3), (0.6, 4), (1.0, 4)):
        unfreezing.advance(progress)
        passed.clear()
        model(input_ids=torch.ones(1, 4, dtype=torch.long)).last_hidden_state.square().sum().backward()
        assert passed == [False] * (4 - joined) + [True] * joined
        learning = [all(weight.grad is not None for weight in layer.parameters()) for layer in transformer_layers(model)]
        assert learning == passed
        assert (model.embeddings.LayerNorm.weight.grad is not None) == (joined == 4)
        assert model.embeddings.word_embeddings.weight.grad is None
        model.zero_grad()


@pytest.mark.usefixtures("untrained_head")
@pytest.mark.parametrize(
    "settings", [{}, {"train_embeddings": True}, {"trained_layers": 2}, {"ensemble": 2, "layer_decay": 0.5}], ids=str
)
def test_a_layer_learns_from_the_step_at_which_it_joins(
    parts: Parts, deep_run: RunOf, learning: Learning, settings: dict[str, Any]
) -> None:
    tune(parts, deep_run(steps=12, patience=50, **settings))
    groups = [{part} for part in TOP_DOWN[: settings.get("trained_layers", 4)]]
    if "trained_layers" not in settings:
        groups[-1] |= {"embeddings", "word_embeddings"} if settings.get("train_embeddings") else {"embeddings"}
    joins = [0, 9] if "trained_layers" in settings else [0, 3, 6, 9]
    expected = [
        {"head"}.union(*(group for group, join in zip(groups, joins, strict=True) if step >= join)) for step in range(12)
    ]
    networks = 3 if "ensemble" in settings else 1
    assert [with_gradient for with_gradient, _ in learning] == expected * networks
    assert [moved for _, moved in learning] == expected * networks


@pytest.mark.usefixtures("untrained_head")
@pytest.mark.parametrize(
    "settings", [{"average_decay": 0.9, "layer_decay": 0.7}, {"trained_layers": 3}, {"adversarial": 0.3}], ids=str
)
def test_a_run_that_was_killed_ends_with_the_same_weights(parts: Parts, deep_run: RunOf, settings: dict[str, Any]) -> None:
    fixed = {"steps": 24, "patience": 50, "checkpoint_seconds": 1e-9, "dropout": 0.3, "reinitialised_layers": 0, **settings}
    whole = assert_resumes_exactly(parts, deep_run, (4, 11), **fixed)  # killed before and after layers have joined
    assert whole.result.best_step > 15


@pytest.mark.usefixtures("untrained_head")
def test_the_best_weights_come_back_in_layers_that_joined_later_too(
    parts: Parts, deep_run: RunOf, deep_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([9.0, *(float(number) for number in range(1, 20))])  # the best one is the first after some steps
    monkeypatch.setattr(RatingLearner, "score", lambda *_: next(scores))
    tuned = tune(parts, deep_run(steps=12, evaluations_per_epoch=10, patience=50))
    assert tuned.result.best_step == 3
    start = load_backbone(BackboneConfig(backbone=str(deep_backbone), max_tokens=24)).model.state_dict()
    moved = {part_of(name) for name, value in tuned.backbone.model.state_dict().items() if not torch.equal(value, start[name])}
    assert moved == {"layer.3"}


def test_training_on_stored_layers_is_training(parts: Parts, deep_run: RunOf, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"steps": 30, "trained_layers": 2, "dropout": 0.0}
    stored = tune(parts, deep_run(**settings)).result.curve
    monkeypatch.setattr("ratecast.train.finetune.Network", ComputingNetwork)
    computed = tune(parts, deep_run(**settings)).result.curve
    assert [point["validation_rmse"] for point in stored] == pytest.approx(
        [point["validation_rmse"] for point in computed], rel=0.02
    )


def test_where_the_time_ends_before_the_steps_do_all_layers_have_joined(
    parts: Parts, deep_run: RunOf, learning: Learning, clock: Any
) -> None:
    tuned = tune(parts, deep_run(epochs=10_000.0, patience=10_000, gradual_unfreezing=0.5), lambda: 30 - clock.now)
    assert tuned.result.stopped_by == "time budget"
    assert clock.now < 30.5
    joined = [len(with_gradient & set(TOP_DOWN)) for with_gradient, _ in learning]
    assert joined == sorted(joined)
    for number in (1, 2, 3):
        assert joined.count(number) == pytest.approx(len(joined) / 6, rel=0.35)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trained_layers": 0}, "but trained_layers=0 trains none: leave one of the two unset"),
        ({"trained_layers": 1}, "but trained_layers=1 trains that one alone: leave one of the two unset"),
        ({"reinitialised_layers": 2}, "would leave others of the reinitialised_layers=2 at random weights"),
        ({"tune": "lora"}, "gradual_unfreezing is for the backbone's own weights, which tune=lora leaves as they are"),
        ({"gradual_unfreezing": 1.0}, "gradual_unfreezing must be at least 0 and below 1, found 1.0"),
    ],
)
def test_what_it_cannot_be_combined_with_is_told(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        FitConfig().with_values(**({"gradual_unfreezing": 0.5} | settings))


def test_embeddings_below_frozen_layers_are_refused(run_of: Callable[..., Any], parts: Parts) -> None:
    with pytest.raises(ConfigError, match="needs all 2 layers of the backbone trained, found trained_layers=1"):
        tune(parts, run_of(train_embeddings=True, trained_layers=1))
