"""The optimiser's groups and the learning rate's course."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, LlamaConfig, get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from ratecast.config import BackboneConfig, FitConfig, TrainConfig
from ratecast.model.backbone import load_backbone, set_trained
from ratecast.model.heads import create_head
from ratecast.model.rater import Rater
from ratecast.scale import RatingScale
from ratecast.train.optim import (
    RULES,
    create_optimizer,
    learning_rates,
    schedule,
    set_learning_rates,
    with_learning_rate,
)


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


@pytest.mark.parametrize("name", RULES)
def test_every_optimizer_takes_its_own_step(tiny_backbone: Path, name: str) -> None:
    backbone = load_backbone(BackboneConfig(backbone=str(tiny_backbone), max_tokens=16))
    head = create_head("softmax", 32, RatingScale.parse("1..5"), np.array([1.0, 5.0]))
    rater = Rater(backbone.model, head, pooling="mean")
    config = with_learning_rate(FitConfig().with_values(optimizer=name, weight_decay=0.0)).train
    optimizer = create_optimizer(rater, config)
    peers: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adamw": torch.optim.AdamW,
        "sgd": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
        "adafactor": torch.optim.Adafactor,
    }
    weight = rater.backbone.get_parameter("encoder.layer.1.output.dense.weight")
    expected = weight.detach().clone().requires_grad_()
    peer = peers[name]([{"params": [expected], "lr": config.learning_rate, "weight_decay": 0.0}])
    for seed in range(3):
        weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed))
        expected.grad = weight.grad.clone()
        optimizer.step()
        peer.step()
    torch.testing.assert_close(weight, expected, rtol=1e-5, atol=1e-7)


def test_layer_rates_by_name(tiny_backbone: Path) -> None:
    backbone = load_backbone(BackboneConfig(backbone=str(tiny_backbone), max_tokens=16))
    head = create_head("softmax", 32, RatingScale.parse("1..5"), np.array([1.0, 5.0]))
    set_trained(backbone.model, trained_layers=None, train_embeddings=False)
    rater = Rater(backbone.model, head, pooling="mean")
    config = TrainConfig(learning_rate=1e-4, head_learning_rate=3e-3)
    rates = learning_rates(rater, config, 0.5)
    assert rates["head.linear.weight"] == rates["head.linear.bias"] == 3e-3
    parts = {"embeddings.": 0.25e-4, "encoder.layer.0.": 0.5e-4, "encoder.layer.1.": 1e-4}
    for part, rate in parts.items():
        found = {name: value for name, value in rates.items() if name.startswith(f"backbone.{part}")}
        assert found
        assert set(found.values()) == {rate}, part
    assert "backbone.embeddings.word_embeddings.weight" not in rates
    assert len(rates) == sum(weight.requires_grad for weight in rater.parameters())
    assert set(learning_rates(rater, config).values()) == {1e-4, 3e-3}
    optimizer = create_optimizer(rater, config, 0.5)
    of_weight = {id(weight): group["lr"] for group in optimizer.param_groups for weight in group["params"]}
    assert of_weight == {id(rater.get_parameter(name)): rate for name, rate in rates.items()}
    set_learning_rates(optimizer, TrainConfig(schedule="cosine", warmup_fraction=0.5), 0.25)
    assert {group["lr"] for group in optimizer.param_groups} == {0.125e-4, 0.25e-4, 0.5e-4, 1.5e-3}


@pytest.mark.parametrize(
    ("trained_layers", "train_embeddings", "expected"),
    [
        (1, False, {"encoder.layer.1.": 1e-4}),
        (
            None,
            True,
            {
                "encoder.layer.1.": 1e-4,
                "encoder.layer.0.": 0.5e-4,
                "embeddings.word_": 0.25e-4,
                "embeddings.position_": 0.25e-4,
                "embeddings.token_type_": 0.25e-4,
                "embeddings.LayerNorm.": 0.25e-4,
            },
        ),
    ],
)
def test_layer_rates_of_the_top_alone_and_with_embeddings(
    tiny_backbone: Path, trained_layers: int | None, train_embeddings: bool, expected: dict[str, float]
) -> None:
    backbone = load_backbone(BackboneConfig(backbone=str(tiny_backbone), max_tokens=16))
    set_trained(backbone.model, trained_layers=trained_layers, train_embeddings=train_embeddings)
    head = create_head("softmax", 32, RatingScale.parse("1..5"), np.array([1.0, 5.0]))
    rates = learning_rates(Rater(backbone.model, head, pooling="mean"), TrainConfig(learning_rate=1e-4), 0.5)
    of_backbone = {name.removeprefix("backbone."): rate for name, rate in rates.items() if name.startswith("backbone.")}
    for name, rate in of_backbone.items():
        (part,) = (part for part in expected if name.startswith(part))
        assert rate == expected[part], name
    assert all(any(name.startswith(part) for name in of_backbone) for part in expected)


def test_what_follows_the_layers_has_the_rate_of_the_top() -> None:
    config = LlamaConfig(hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=64, vocab_size=100)
    head = create_head("softmax", 32, RatingScale.parse("1..5"), np.array([1.0, 5.0]))
    rates = learning_rates(Rater(AutoModel.from_config(config), head, pooling="mean"), TrainConfig(learning_rate=1.0), 0.5)
    assert rates["backbone.norm.weight"] == rates["backbone.layers.2.mlp.up_proj.weight"] == 1.0
    assert rates["backbone.layers.0.input_layernorm.weight"] == 0.25
    assert rates["backbone.embed_tokens.weight"] == 0.125
