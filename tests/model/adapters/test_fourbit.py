"""The backbone's own weights in four bits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from ratecast.config import AdapterConfig, BackboneConfig
from ratecast.errors import ConfigError
from ratecast.model.adapters import attach, create_method, load_adapter
from ratecast.model.adapters.fourbit import FourBitLinear, normal_float_levels
from ratecast.model.backbone import load_backbone
from ratecast.model.export import export_rater
from ratecast.model.graph import OnnxGraph
from ratecast.model.rater import torch_probabilities
from ratecast.model.store import Manifest, write_manifest
from ratecast.scale import RatingScale
from ratecast.train.finetuned import FineTuned
from ratecast.train.loop import Run

BackboneOf = Callable[[str], Path]

PUBLISHED = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334),
    *(-0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
    *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)
"""The values of NF4 in Dettmers et al. 2023, appendix E."""


def test_levels_are_the_published_ones() -> None:
    np.testing.assert_allclose(normal_float_levels().numpy(), PUBLISHED, atol=1e-6)


@pytest.mark.parametrize("shape", [(8, 64), (5, 48), (3, 7)])
def test_each_weight_becomes_the_nearest_level_of_its_block(shape: tuple[int, int]) -> None:
    layer = nn.Linear(shape[1], shape[0])
    weight = layer.weight.detach().numpy().ravel()
    expected = np.empty_like(weight)
    for start in range(0, len(weight), 64):
        block = weight[start : start + 64]
        scale = np.abs(block).max()
        nearest = np.abs(block[:, None] / scale - np.array(PUBLISHED)).argmin(1)
        expected[start : start + 64] = np.array(PUBLISHED)[nearest] * scale
    found = FourBitLinear(layer)
    np.testing.assert_allclose(found.unpacked().numpy().ravel(), expected, atol=1e-6)
    np.testing.assert_array_equal(found.restored().weight.detach().numpy(), found.unpacked().numpy())


def test_zeros_stay_zeros() -> None:
    layer = nn.Linear(64, 2)
    nn.init.zeros_(layer.weight)
    assert torch.equal(FourBitLinear(layer).unpacked(), torch.zeros(2, 64))


def test_memory_of_a_weight() -> None:
    layer = FourBitLinear(nn.Linear(512, 512, bias=False))
    assert (layer.weight.nbytes + layer.scales.nbytes) / 512**2 == 0.5 + 4 / 64


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_output_and_gradient_are_those_of_the_unpacked_weights(precision: torch.dtype) -> None:
    layer = FourBitLinear(nn.Linear(48, 5))
    states = torch.randn(2, 3, 48, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision is torch.bfloat16):
        found = layer(states)
        expected = functional.linear(states, layer.unpacked(), layer.bias)
    assert found.dtype == expected.dtype == precision
    tolerance = {"atol": 1e-6, "rtol": 1e-5} if precision is torch.float32 else {"atol": 0.02, "rtol": 0.02}
    torch.testing.assert_close(found, expected, **tolerance)  # type: ignore[arg-type]
    (gradient,) = torch.autograd.grad(found.float().square().sum(), states)
    (true,) = torch.autograd.grad(expected.float().square().sum(), states)
    assert gradient.dtype is torch.float32
    torch.testing.assert_close(gradient, true, **tolerance)  # type: ignore[arg-type]


def test_unpacked_weights_are_not_kept_for_the_backward_pass() -> None:
    kept: list[int] = []
    layer, states = FourBitLinear(nn.Linear(64, 64)), torch.randn(1, 64, requires_grad=True)

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        layer(states)
    assert max(kept, default=0) < 64 * 64


@pytest.mark.parametrize("family", ["bert", "llama", "modernbert"])
def test_all_linear_layers_of_the_backbone_but_not_the_added_ones(family: str, backbone_of: BackboneOf) -> None:
    method = create_method(AdapterConfig(tune="lora", base_bits=4))
    assert method is not None
    adapter = attach(load_backbone(BackboneConfig(backbone=str(backbone_of(family)), max_tokens=24)), method)
    plain = create_method(AdapterConfig(tune="lora"))
    assert plain is not None
    base = attach(load_backbone(BackboneConfig(backbone=str(backbone_of(family)), max_tokens=24)), plain)
    assert adapter.base_sha256 == base.base_sha256
    for name, module in adapter.model.named_modules():
        if isinstance(module, nn.Linear) and "layer" in name:
            assert isinstance(module, FourBitLinear) == ("lora_" not in name), name
    trained = {name for name, weight in adapter.model.named_parameters() if weight.requires_grad}
    assert trained == {name for name, weight in base.model.named_parameters() if weight.requires_grad}


def test_refused(backbone_of: BackboneOf) -> None:
    method = create_method(AdapterConfig(tune="lora", base_bits=4))
    assert method is not None
    with pytest.raises(ConfigError, match="base_bits does not work with gpt2"):
        attach(load_backbone(BackboneConfig(backbone=str(backbone_of("gpt2")), max_tokens=24)), method)
    with pytest.raises(ConfigError, match="tune=ia3 does not read base_bits"):
        create_method(AdapterConfig(tune="ia3", base_bits=4))


@pytest.mark.slow
def test_through_fine_tuning_and_the_model_folder(
    run_of: Callable[..., Run], tuned_by: Callable[[Run], FineTuned], tmp_path: Path
) -> None:
    texts = ["good food", "", "the " * 80, "bad awful room"]
    tuned = tuned_by(run_of("llama", tune="lora", base_bits=4, gradient_checkpointing=True))
    scale, encoder = RatingScale.parse("1..5"), tuned.backbone.encoder
    expected = torch_probabilities(tuned.rater.eval(), encoder, texts)
    parts = export_rater(tuned.rater, encoder, tmp_path, texts, adapter=tuned.adapter)
    write_manifest(tmp_path, Manifest(scale=scale, components=parts, chain=("graph",)))
    np.testing.assert_allclose(OnnxGraph.load(tmp_path, parts[0], 5).probabilities(texts), expected, atol=1e-4)
    found = load_adapter(tmp_path)
    model: Any = found.rater.backbone
    assert any(isinstance(module, FourBitLinear) for module in model.modules())
    np.testing.assert_allclose(torch_probabilities(found.rater, found.encoder, texts), expected, atol=1e-5)
