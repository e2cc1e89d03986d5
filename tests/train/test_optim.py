"""The optimiser's groups and the learning rate's course."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from ratecast.config import BackboneConfig, TrainConfig
from ratecast.model.backbone import load_backbone, set_trained
from ratecast.model.heads import create_head
from ratecast.model.rater import Rater
from ratecast.scale import RatingScale
from ratecast.train.optim import create_optimizer, schedule, set_learning_rates


@pytest.mark.parametrize(
    ("name", "reference"), [("linear", get_linear_schedule_with_warmup), ("cosine", get_cosine_schedule_with_warmup)]
)
def test_schedule_is_that_of_transformers(name: str, reference: object) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = reference(optimizer, num_warmup_steps=10, num_training_steps=100)  # type: ignore[operator]
    config = TrainConfig(warmup_fraction=0.1, schedule=name)  # type: ignore[arg-type]
    for step in range(100):
        assert schedule(step / 100, config) == pytest.approx(scheduler.get_last_lr()[0], abs=1e-6)
        optimizer.step()
        scheduler.step()


def test_only_trained_matrices_decay(tiny_backbone: Path) -> None:
    backbone = load_backbone(BackboneConfig(backbone=str(tiny_backbone), max_tokens=16))
    head = create_head("softmax", 32, RatingScale.parse("1..5"), np.array([1.0, 5.0]))
    set_trained(backbone.model, trained_layers=1, train_embeddings=False)
    rater = Rater(backbone.model, head, pooling="mean")
    optimizer = create_optimizer(rater, TrainConfig(weight_decay=0.5))
    assert all(
        (weight.ndim >= 2) == (group["weight_decay"] == 0.5) for group in optimizer.param_groups for weight in group["params"]
    )
    inside = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
    assert inside == {id(weight) for weight in rater.parameters() if weight.requires_grad}
    set_learning_rates(optimizer, TrainConfig(schedule="constant"), 0.5)
    assert {group["lr"] for group in optimizer.param_groups} == {1e-4, 1e-3}
