"""A moving average of the weights, which makes smaller errors than the weights that wander around it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def started_average(module: nn.Module) -> dict[str, Tensor]:
    """The average before the first step, a copy of every trained weight by name."""
    return {name: weight.detach().clone() for name, weight in module.named_parameters() if weight.requires_grad}


@torch.no_grad()
def update_average(average: dict[str, Tensor], module: nn.Module, *, decay: float, step: int) -> None:
    """Bring the trained weights after a step into their average, a ← d·a + (1 − d)·w.

    Averages of the path of stochastic gradient descent converge faster than its end (Polyak & Juditsky 1992). With
    d = min(decay, (1 + step) / (10 + step)) the average forgets the weights that it started from within few steps.

    Args:
        average: what `started_average` gave, changed in place.
        module: the network.
        decay: the share of the average that a step leaves in the end.
        step: steps done, at least 1.
    """
    share = 1 - min(decay, (1 + step) / (10 + step))
    for name, mean in average.items():
        mean.lerp_(module.get_parameter(name), share)


@contextmanager
def averaged(average: dict[str, Tensor], module: nn.Module) -> Iterator[None]:
    """While the context is open, the network has the averages as its weights; it is as it was if there are none."""
    weights = {name: module.get_parameter(name) for name in average}
    own = {name: weight.detach().clone() for name, weight in weights.items()}
    _copy(average, weights)
    try:
        yield
    finally:
        _copy(own, weights)


@torch.no_grad()
def _copy(values: dict[str, Tensor], weights: dict[str, nn.Parameter]) -> None:
    for name, weight in weights.items():
        weight.copy_(values[name])
