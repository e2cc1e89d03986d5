"""The optimiser and the course of its learning rate."""

import math
from typing import Any, Final

import torch
from torch import nn

from ratecast.config import TrainConfig
from ratecast.model.rater import Rater

PEAK: Final = "peak_learning_rate"


def create_optimizer(rater: Rater, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019) over the weights that are trained.

    Only matrices decay: biases and the gains of layer norms have no reason to be small. The head, which starts untrained,
    has a learning rate of its own.
    """
    groups: list[dict[str, Any]] = []
    for module, peak in ((rater.backbone, config.learning_rate), (rater.head, config.head_learning_rate)):
        trained = [weight for weight in module.parameters() if weight.requires_grad]
        for weights, decay in (
            ([weight for weight in trained if weight.ndim >= 2], config.weight_decay),
            ([weight for weight in trained if weight.ndim < 2], 0.0),
        ):
            if weights:
                groups.append({"params": weights, "weight_decay": decay, "lr": peak, PEAK: peak})
    return torch.optim.AdamW(groups, fused=True)


def set_learning_rates(optimizer: torch.optim.Optimizer, config: TrainConfig, progress: float) -> float:
    """Set every group's learning rate for the given progress (0 to 1) and return the factor on the peaks."""
    factor = schedule(progress, config)
    for group in optimizer.param_groups:
        group["lr"] = group[PEAK] * factor
    return factor


def schedule(progress: float, config: TrainConfig) -> float:
    """Factor on the peak learning rate: a linear rise, then a fall to zero at the end (or none, for "constant").

    Args:
        progress: share of the training that is done, 0 to 1.
        config: its ``warmup_fraction`` and ``schedule``.

    Example:
        >>> [round(schedule(share, TrainConfig(warmup_fraction=0.1)), 2) for share in (0.05, 0.1, 0.55, 1.0)]
        [0.5, 1.0, 0.5, 0.0]
    """
    if progress < config.warmup_fraction:
        return progress / config.warmup_fraction
    rest = min(1.0, (progress - config.warmup_fraction) / (1 - config.warmup_fraction))
    return {"linear": 1 - rest, "cosine": (1 + math.cos(math.pi * rest)) / 2, "constant": 1.0}[config.schedule]


def trained_weights(module: nn.Module) -> dict[str, torch.Tensor]:
    """Everything that training changes, by name: trained weights, and the buffers of the head."""
    found = {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
    return found | {name: buffer for name, buffer in module.named_buffers() if name.startswith("head.")}
