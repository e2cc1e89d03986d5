"""Gradient checkpointing: the same gradients, with the layers computed twice."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel

from ratecast.config import AdapterConfig, BackboneConfig, FitConfig
from ratecast.errors import ConfigError
from ratecast.model.adapters import attach, create_method
from ratecast.model.backbone import load_backbone, set_trained, transformer_layers
from ratecast.model.precision import computing_in
from ratecast.records import Reviews
from ratecast.scale import RatingScale
from ratecast.train.checkpointing import is_checkpointed, set_checkpointing
from ratecast.train.finetune import finetune
from ratecast.train.loop import Run

SIZES: dict[str, Any] = {"vocab_size": 70, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
KINDS = ["bert", "roberta", "deberta-v2", "modernbert", "distilbert", "gpt2", "llama", "qwen2", "qwen3"]


def model_of(kind: str) -> nn.Module:
    own = {"gpt2": {"n_layer": 3, "n_head": 4, "n_embd": 32}, "distilbert": {"n_layers": 3, "dim": 32, "n_heads": 4}}
    sizes = {"vocab_size": 70} | own[kind] if kind in own else SIZES | {"intermediate_size": 64}
    if kind in {"llama", "qwen2", "qwen3"}:
        sizes = sizes | {"num_key_value_heads": 2}
    ends = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
    torch.manual_seed(0)
    model: nn.Module = AutoModel.from_config(AutoConfig.for_model(kind, **sizes, **ends))
    return model.train()


def gradients(model: nn.Module, precision: torch.dtype = torch.float32) -> tuple[dict[str, torch.Tensor], int]:
    """The gradients of a loss, whose backward pass is no part of what is computed in a precision, as when a rater trains.

    Also how often the lowest layer was computed.
    """
    calls: list[int] = []
    named = transformer_layers(model)[0].named_modules()
    inner = next(module for _, module in named if isinstance(module, nn.LayerNorm) or "RMSNorm" in type(module).__name__)
    handle = inner.register_forward_hook(lambda *_: calls.append(1))
    torch.manual_seed(1)
    ids = torch.arange(4, 18).view(2, 7)
    with computing_in(precision, torch.device("cpu")):
        output: Any = model(input_ids=ids, attention_mask=torch.ones_like(ids))
    output.last_hidden_state.square().mean().backward()
    handle.remove()
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}, len(calls)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_the_same_and_layers_are_computed_twice(kind: str) -> None:
    expected, once = gradients(model_of(kind))  # with the dropout that the architecture has
    model = model_of(kind)
    set_checkpointing(model, is_on=True)
    assert is_checkpointed(model)
    found, twice = gradients(model)
    assert (once, twice) == (1, 2)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, msg=name)
    set_checkpointing(model, is_on=False)
    assert gradients(model)[1] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_in_mixed_precision_too(kind: str) -> None:
    found = []
    for is_on in (False, True):
        model = model_of(kind)
        set_checkpointing(model, is_on=is_on)
        found.append(gradients(model, torch.bfloat16))
    assert [calls for _, calls in found] == [1, 2]
    (expected, _), (checkpointed, _) = found
    for name, gradient in expected.items():
        torch.testing.assert_close(checkpointed[name], gradient, msg=name)


@pytest.mark.parametrize("tune", ["lora", "adalora", "ia3", "prompt", "p-tuning", "bottleneck"])
def test_added_weights_get_the_same_gradients(tune: Any, tiny_backbone: Path) -> None:
    found = []
    for is_on in (False, True):
        method = create_method(AdapterConfig(tune=tune))
        assert method is not None
        backbone = load_backbone(BackboneConfig(backbone=str(tiny_backbone), max_tokens=24))
        torch.manual_seed(0)
        model = attach(backbone, method).model.train()
        set_checkpointing(model, is_on=is_on)
        found.append(gradients(model))
    assert [calls for _, calls in found] == [1, 2]
    (expected, _), (checkpointed, _) = found
    assert expected.keys() == checkpointed.keys() != set()
    for name, gradient in expected.items():
        torch.testing.assert_close(checkpointed[name], gradient, msg=name)


def test_layers_above_frozen_ones(tiny_backbone: Path) -> None:
    model = load_backbone(BackboneConfig(backbone=str(tiny_backbone), max_tokens=24)).model.train()
    set_trained(model, trained_layers=1, train_embeddings=False)
    expected, _ = gradients(model)
    expected = {name: gradient.clone() for name, gradient in expected.items()}
    model.zero_grad()
    set_checkpointing(model, is_on=True)
    found, _ = gradients(model)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, msg=name)


def test_architecture_that_cannot_be_checkpointed() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config = AutoConfig.for_model("bert", num_hidden_layers=1)
            self.layers = nn.ModuleList([nn.Linear(2, 2)])

    with pytest.raises(ConfigError, match="gradient_checkpointing does not work with the Linear of transformers: leave it off"):
        set_checkpointing(Bare(), is_on=True)


def test_prefix_tuning_is_refused() -> None:
    with pytest.raises(ConfigError, match="gradient_checkpointing does not go with tune=prefix"):
        FitConfig().with_values(tune="prefix", gradient_checkpointing=True)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"tune": "lora"}, {"trained_layers": 1}])
def test_training_ends_with_the_same_weights(
    settings: dict[str, Any], run_of: Callable[..., Run], parts: dict[str, Reviews]
) -> None:
    found = []
    for is_on in (False, True):
        run = run_of(steps=3, precision="float32", folder=f"run-{is_on}", gradient_checkpointing=is_on, **settings)
        tuned = finetune(parts, RatingScale.parse("1..5"), run, time_left=None, reviews_after=0)
        assert tuned is not None
        assert is_checkpointed(tuned.rater) == is_on
        found.append({name: weight for name, weight in tuned.rater.named_parameters() if weight.requires_grad})
    for name, weight in found[0].items():
        torch.testing.assert_close(found[1][name], weight, atol=1e-6, rtol=1e-5, msg=name)
