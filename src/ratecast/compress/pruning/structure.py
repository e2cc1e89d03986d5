"""Taking layers, attention heads and neurons out of a network for good: the weights are cut, nothing is masked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from ratecast.errors import BackboneError, ConfigError
from ratecast.model.backbone import transformer_layers


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where a layer of an architecture has its linear maps, by their names inside of the layer.

    Attributes:
        queries, keys, values: those whose outputs are divided among the heads.
        joined: the one that takes what all heads found.
        inner: the first one of the feed-forward network, with an output for each neuron.
        outer: the second one, with an input for each neuron.
        attention: the module that says how wide a head is.
        width_setting: what the configuration calls the number of neurons.
    """

    queries: str
    keys: str
    values: str
    joined: str
    inner: str
    outer: str
    attention: str
    width_setting: str = "intermediate_size"


_BERT: Final = Layout(
    queries="attention.self.query",
    keys="attention.self.key",
    values="attention.self.value",
    joined="attention.output.dense",
    inner="intermediate.dense",
    outer="output.dense",
    attention="attention.self",
)
LAYOUTS: Final[Mapping[str, Layout]] = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "camembert": _BERT,
    "electra": _BERT,
    "distilbert": Layout(
        queries="attention.q_lin",
        keys="attention.k_lin",
        values="attention.v_lin",
        joined="attention.out_lin",
        inner="ffn.lin1",
        outer="ffn.lin2",
        attention="attention",
        width_setting="hidden_dim",
    ),
}
"""Architectures that heads and neurons can be taken out of, by their ``model_type``."""


def layout_of(model: Any) -> Layout:
    """Where a backbone has its heads and neurons.

    Raises:
        BackboneError: if its architecture is none of those that are known.
    """
    check_architecture(model.config.model_type)
    return LAYOUTS[model.config.model_type]


def check_architecture(kind: str) -> None:
    """Refuse architectures whose heads and neurons are not known where to find.

    Raises:
        BackboneError: naming the architecture.
    """
    if kind not in LAYOUTS:
        raise BackboneError(
            f"cannot take heads or neurons out of a {kind} backbone; known are {', '.join(LAYOUTS)}: take fewer layers "
            "(--student layers) in its place"
        )


def head_size(model: Any) -> int:
    """Outputs of one attention head."""
    layer = transformer_layers(model)[0]
    return int(layer.get_submodule(layout_of(model).attention).attention_head_size)  # type: ignore[arg-type] # a number, of a module known when it runs


def keep_layers(model: Any, kept: Sequence[int]) -> None:
    """Leave a backbone only some of its layers, in their order.

    Args:
        model: a backbone of any architecture, changed in place, its configuration too.
        kept: numbers of the layers, counted from 0 at the bottom.

    Raises:
        ConfigError: if there are no such layers, or the lowest one is needed and would be taken out.
    """
    layers = transformer_layers(model)
    numbers = sorted(set(kept))
    if not numbers or numbers[0] < 0 or numbers[-1] >= len(layers):
        raise ConfigError(f"cannot keep the layers {list(kept)}: expected some of 0 to {len(layers) - 1}")
    if model.config.model_type == "modernbert" and numbers[0]:
        raise ConfigError("the lowest layer of a ModernBERT is unlike the others and has to stay: keep layer 0")
    new = nn.ModuleList([layers[number] for number in numbers])
    for place, layer in enumerate(new):
        parts: Any = layer.modules()
        for module in parts:
            if hasattr(module, "layer_idx"):
                module.layer_idx = place
    for module in model.modules():
        for name, child in list(module.named_children()):
            if child is layers:
                setattr(module, name, new)
    for name in ("layer_types", "no_rope_layers"):
        if (listed := getattr(model.config, name, None)) is not None and len(listed) == len(layers):
            setattr(model.config, name, [listed[number] for number in numbers])
    model.config.num_hidden_layers = len(new)


def keep_heads(model: Any, kept: Sequence[Sequence[int]]) -> None:
    """Leave each layer only some of its attention heads.

    Args:
        model: the backbone, changed in place. Its configuration still tells the number of heads that a head's width follows
            from; how many each layer has left is seen from its weights.
        kept: numbers of the heads of each layer, at least one, the lowest layer first.

    Raises:
        BackboneError: if its architecture is not known.
    """
    layout, size = layout_of(model), head_size(model)
    for layer, heads in zip(transformer_layers(model), kept, strict=True):
        outputs = torch.cat([torch.arange(head * size, (head + 1) * size) for head in sorted(heads)])
        for name in (layout.queries, layout.keys, layout.values):
            _cut(layer, name, rows=outputs)
        _cut(layer, layout.joined, columns=outputs)
        attention: Any = layer.get_submodule(layout.attention)
        for name in ("num_attention_heads", "n_heads"):
            if hasattr(attention, name):
                setattr(attention, name, len(heads))
        if hasattr(attention, "all_head_size"):
            attention.all_head_size = len(outputs)


def keep_neurons(model: Any, kept: Sequence[Tensor]) -> None:
    """Leave the feed-forward network of each layer only some of its neurons.

    Args:
        model: the backbone, changed in place, its configuration too.
        kept: numbers of the neurons of each layer, as many in each, the lowest layer first.

    Raises:
        BackboneError: if its architecture is not known.
    """
    layout = layout_of(model)
    for layer, neurons in zip(transformer_layers(model), kept, strict=True):
        _cut(layer, layout.inner, rows=neurons.sort().values)
        _cut(layer, layout.outer, columns=neurons.sort().values)
    setattr(model.config, layout.width_setting, len(kept[0]))


def _cut(layer: nn.Module, name: str, *, rows: Tensor | None = None, columns: Tensor | None = None) -> None:
    """Put a linear map with some of the outputs or of the inputs in place of the one of that name."""
    old: Any = layer.get_submodule(name)
    weight, bias = old.weight.detach(), None if old.bias is None else old.bias.detach()
    if rows is not None:
        weight, bias = weight[rows], None if bias is None else bias[rows]
    if columns is not None:
        weight = weight[:, columns]
    new = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    with torch.no_grad():
        new.weight.copy_(weight)
        if bias is not None:
            new.bias.copy_(bias)
    parent, _, own = name.rpartition(".")
    setattr(layer.get_submodule(parent), own, new)
