"""Gradient checkpointing: less memory in training for more computing."""

from functools import partial
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from ratecast.errors import ConfigError
from ratecast.model.backbone import transformer_layers
from ratecast.model.precision import computing_again


def set_checkpointing(model: nn.Module, *, is_on: bool) -> None:
    """In training, keep only what enters each layer of a backbone, and compute the rest again in the backward pass.

    The activations of one layer are in memory in place of all of them, for a second forward pass (Chen et al. 2016, "Training
    Deep Nets with Sublinear Memory Cost", section 4). Random numbers are drawn again as they were, so dropout is the same.
    Checkpoints that are not re-entrant need no gradient of what enters the lowest layer, so they work with frozen embeddings
    and with added weights.

    Args:
        model: the backbone, with the weights that are added to it if there are any.
        is_on: whether to do so; else every layer keeps what it computes, as at first.

    Raises:
        BackboneError: if its layers cannot be found.
        ConfigError: if transformers cannot checkpoint them.
    """
    layers: Any = transformer_layers(model) if is_on or is_checkpointed(model) else ()
    for layer in layers:
        if not hasattr(layer, "gradient_checkpointing"):
            raise ConfigError(
                f"gradient_checkpointing does not work with the {type(layer).__name__} of transformers: leave it off; where "
                "memory is short, lower batch_reviews or max_tokens"
            )
        layer.gradient_checkpointing = is_on
        again = partial(checkpoint, use_reentrant=False, context_fn=computing_again)
        layer._gradient_checkpointing_func = again  # noqa: SLF001 - as transformers sets it


def is_checkpointed(model: nn.Module) -> bool:
    """Whether the layers of a model are checkpointed."""
    return any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
