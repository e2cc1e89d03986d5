"""AdaLoRA's ranks: how they fall, what the penalty is, and that an interrupted training goes on with them."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from interruption import InterruptingReporter, StoppedError
from ratecast.config import BackboneConfig
from ratecast.model.adapters import attach
from ratecast.model.adapters.adalora import AdaLora
from ratecast.model.backbone import load_backbone
from ratecast.records import Reviews
from ratecast.scale import RatingScale
from ratecast.train import planning
from ratecast.train.finetune import finetune
from ratecast.train.finetuned import FineTuned
from ratecast.train.loop import Run
from ratecast.train.speed import Speed

METHOD = AdaLora(rank=6, final_rank=2)
SCALE = RatingScale.parse("1..5")


def adapted(folder: Path) -> torch.nn.Module:
    return attach(load_backbone(BackboneConfig(backbone=str(folder), max_tokens=24)), METHOD).model


def entries(model: torch.nn.Module) -> int:
    """How many entries of the diagonal matrices are not zero."""
    return sum(int((weight != 0).sum()) for name, weight in model.named_parameters() if ".lora_E." in name)


def test_ranks_fall_to_the_final_one(backbone_of: Callable[[str], Path]) -> None:
    model = adapted(backbone_of("bert"))
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=1e-2)
    memory: dict[str, torch.Tensor] = {}
    found = []
    for step in range(20):
        model(input_ids=torch.randint(5, 60, (2, 7))).last_hidden_state[..., 0].square().sum().backward()
        optimizer.step()
        memory = METHOD.after_step(model, step, 20, memory)
        optimizer.zero_grad()
        found.append(entries(model))
    first, last = 4 * METHOD.rank, 4 * METHOD.final_rank  # queries and values in two layers
    falling = [int(last + (first - last) * (1 - (step - 2) / 8) ** 3) for step in range(3, 10)]
    assert found == [first] * 3 + falling + [last] * 10


def test_penalty_by_hand(backbone_of: Callable[[str], Path]) -> None:
    model = adapted(backbone_of("bert"))
    norms = []
    for name, weight in model.named_parameters():
        matrix = weight.detach().numpy()
        if ".lora_A." in name:
            norms.append(np.sqrt(((matrix @ matrix.T - np.eye(METHOD.rank)) ** 2).sum()))
        elif ".lora_B." in name:
            norms.append(np.sqrt(((matrix.T @ matrix - np.eye(METHOD.rank)) ** 2).sum()))
    assert len(norms) == 8
    assert METHOD.penalty(model).item() == pytest.approx(0.1 * np.mean(norms), rel=1e-5)


def test_ranks_fall_within_the_steps_that_there_is_time_for(
    run_of: Callable[..., Run], parts: dict[str, Reviews], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "measure_speed", lambda *_: Speed(encoding=1e6, training=100.0, graph=1e6))
    asked: set[int] = set()
    original = AdaLora.after_step

    def after_step(self: AdaLora, model: torch.nn.Module, step: int, steps: int, memory: dict[str, torch.Tensor]) -> Any:
        asked.add(steps)
        return original(self, model, step, steps, memory)

    monkeypatch.setattr(AdaLora, "after_step", after_step)
    run, seconds = run_of(tune="adalora", steps=None, patience=1), 60.0
    plan = planning.plan_run(parts, SCALE, run, time_left=lambda: seconds, reviews_after=0).plan
    assert 0 < plan.epochs < 0.5 * plan.most_epochs
    finetune(parts, SCALE, run, time_left=lambda: seconds, reviews_after=0)
    batches = math.ceil(len(parts["train"]) / 8)
    assert len(asked) == 1
    assert asked.pop() == pytest.approx(plan.epochs * batches, abs=2)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [3, 9])
def test_resumed_training_goes_on_as_if_it_had_not_stopped(
    stop: int, run_of: Callable[..., Run], tuned_by: Callable[[Run], FineTuned]
) -> None:
    settings = {"tune": "adalora", "steps": 12, "checkpoint_seconds": 1e-9, "patience": 50, "adapter_dropout": 0.0}
    whole = tuned_by(run_of(folder="whole", **settings))
    with pytest.raises(StoppedError):
        tuned_by(replace(run_of(**settings), reporter=InterruptingReporter(stop)))
    resumed = tuned_by(run_of(resume=True, **settings))
    assert resumed.result.curve[-1]["validation_rmse"] == whole.result.curve[-1]["validation_rmse"]
    found = dict(resumed.rater.named_parameters())
    for name, weight in whole.rater.named_parameters():
        assert torch.equal(weight, found[name]), name
