"""Top layers that start anew: pretraining has made them fit its own task, which may hinder another."""

from typing import Any

import torch
from torch import nn

from ratecast.errors import ConfigError
from ratecast.model.backbone import transformer_layers


def top_layers(model: nn.Module, count: int) -> list[nn.Module]:
    """The highest layers of a transformers model, bottom first.

    Raises:
        ConfigError: if there are fewer.
    """
    layers = transformer_layers(model)
    if count > len(layers):
        raise ConfigError(f"reinitialised_layers is {count}, but the backbone has only {len(layers)}")
    return list(layers[len(layers) - count :])


@torch.no_grad()
def reinitialise(model: nn.Module, layers: list[nn.Module], seed: int) -> None:
    """Give layers the random weights that the backbone's own architecture starts from.

    Helps on few reviews (Zhang et al. 2021, "Revisiting few-sample BERT fine-tuning", section 5). The state of the global
    random numbers is left as it was.

    Args:
        model: a transformers model.
        layers: some of its layers, changed in place.
        seed: decides the weights.
    """
    pretrained: Any = model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in layers:
            for weight in layer.parameters():
                flagged: Any = weight
                flagged._is_hf_initialized = False  # noqa: SLF001 - else transformers 5 spares what it has loaded
            layer.apply(pretrained._init_weights)  # noqa: SLF001 - the one name that every architecture's own start has
