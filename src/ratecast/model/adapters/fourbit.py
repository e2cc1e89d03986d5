"""The backbone's own linear layers in four bits, while weights that are added to them are trained in float32."""

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from ratecast.errors import ConfigError
from ratecast.model.backbone import transformer_layers

BLOCK: Final = 64
"""Weights that share a scale, as in the paper."""

_OUTERMOST: Final = 1 - (1 / 30 + 1 / 32) / 2
"""Probability of the outermost quantiles, such that the values are those that the paper lists in its appendix E."""


def normal_float_levels() -> Tensor:
    """The 16 values of NF4 in rising order, from -1 to 1, shape ``(16,)``.

    Quantiles of the normal distribution that weights are drawn from, seven below zero, zero itself and eight above, divided by
    the largest (Dettmers et al. 2023, "QLoRA", section 3 and equation 4).
    """
    above = torch.special.ndtri(torch.linspace(_OUTERMOST, 0.5, 9, dtype=torch.float64)[:-1])
    below = -torch.special.ndtri(torch.linspace(_OUTERMOST, 0.5, 8, dtype=torch.float64)[:-1])
    levels = torch.cat([below, torch.zeros(1, dtype=torch.float64), above]).sort().values
    return (levels / levels.abs().max()).float()


def quantise_layers(model: nn.Module) -> None:
    """Put the linear layers inside the transformer layers of a backbone into four bits; embeddings stay as they are.

    Raises:
        BackboneError: if its layers cannot be found.
        ConfigError: if there are no linear ones among them.
    """
    names = [name for name, module in transformer_layers(model).named_modules() if type(module) is nn.Linear]
    layers: Any = transformer_layers(model)
    if not names:
        raise ConfigError(
            f"base_bits found no linear layers in {type(model).__name__}: leave it unset, or take another backbone"
        )
    for name in names:
        layers.set_submodule(name, FourBitLinear(layers.get_submodule(name)))


def restore_layers(model: nn.Module) -> None:
    """Put linear layers in float32, with what their four bits stand for, in the place of those in four bits."""
    names = [name for name, module in model.named_modules() if isinstance(module, FourBitLinear)]
    for name in names:
        packed: Any = model.get_submodule(name)
        model.set_submodule(name, packed.restored())


class FourBitLinear(nn.Linear):
    """A frozen linear layer with its weights in NF4 (Dettmers et al. 2023, section 3): about 0.56 bytes each.

    Each block of weights is divided by its largest magnitude, and each of its weights is rounded to one of 16 levels. The
    product is computed with the weights unpacked, in the precision of the input, and they are unpacked again in the backward
    pass in place of being kept. Scales are float32 (without the paper's double quantisation, which saves 0.05 bytes more).
    In plain PyTorch, so that every device computes the same from the same weights.

    Args:
        layer: the layer in float32.
    """

    scales: Tensor
    pairs: Tensor

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer.in_features, layer.out_features, bias=False, device="meta")
        packed, scales = _packed(layer.weight.detach())
        levels = normal_float_levels().to(packed.device)
        self.weight = nn.Parameter(packed, requires_grad=False)
        self.bias = layer.bias
        self.register_buffer("scales", scales)
        self.register_buffer("pairs", torch.stack([levels.repeat_interleave(16), levels.repeat(16)], dim=1), persistent=False)

    def unpacked(self) -> Tensor:
        """The weights that the four bits stand for, shape ``(out, in)``."""
        values = functional.embedding(self.weight.int(), self.pairs).view(-1, BLOCK) * self.scales.unsqueeze(1)
        return values.view(-1)[: self.out_features * self.in_features].view(self.out_features, self.in_features)

    def restored(self) -> nn.Linear:
        """A linear layer with these weights in float32."""
        layer = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None, device="meta")
        layer.weight = nn.Parameter(self.unpacked(), requires_grad=False)
        layer.bias = self.bias
        return layer

    def forward(self, states: Tensor) -> Tensor:
        """Shape ``(..., out)`` from ``(..., in)``."""
        output: Tensor = _Product.apply(states, self)  # type: ignore[no-untyped-call] # torch does not annotate it
        bias: Tensor | None = self.bias
        return output if bias is None else output + bias.to(output.dtype)


class _Product(torch.autograd.Function):
    """The product with unpacked weights, which are not kept for the backward pass."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, layer: FourBitLinear) -> Tensor:
        ctx.layer = layer
        return functional.linear(states, layer.unpacked().to(states.dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        return gradient @ ctx.layer.unpacked().to(gradient.dtype), None


@torch.no_grad()
def _packed(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Two weights a byte, shape ``(pair,)``, and the scale of each block, shape ``(block,)``."""
    flat = functional.pad(weight.float().reshape(-1), (0, -weight.numel() % BLOCK)).view(-1, BLOCK)
    scales = flat.abs().amax(1)
    levels = normal_float_levels().to(weight.device)
    codes = torch.bucketize(flat / scales.clamp(min=1e-30).unsqueeze(1), (levels[1:] + levels[:-1]) / 2).to(torch.uint8)
    first, second = codes.view(-1, 2).unbind(1)
    return first * 16 + second, scales
