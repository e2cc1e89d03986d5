"""The optimiser and the course of its learning rate."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch
from torch import nn

from ratecast.config import FitConfig, TrainConfig
from ratecast.model.adapters import create_method
from ratecast.model.backbone import transformer_layers
from ratecast.model.rater import Rater

PEAK: Final = "peak_learning_rate"
Groups = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule by which weights are changed.

    Attributes:
        create: makes the optimiser of groups of weights, each with its learning rate ``lr`` and its ``weight_decay``.
        learning_rate: peak of the backbone's own weights where the settings give none.
        head_learning_rate: peak of the head, which starts untrained, where the settings give none.
    """

    create: Callable[[Groups], torch.optim.Optimizer]
    learning_rate: float
    head_learning_rate: float


def _sgd(groups: Groups) -> torch.optim.Optimizer:
    # torch 2.13's fused SGD fails where a part of a group has no gradient yet, as layers that wait for their turn.
    return torch.optim.SGD(groups, momentum=0.9, nesterov=True, foreach=False)


RULES: Final[Mapping[str, Rule]] = {
    "adamw": Rule(create=partial(torch.optim.AdamW, fused=True), learning_rate=1e-4, head_learning_rate=1e-3),
    "sgd": Rule(create=_sgd, learning_rate=3e-2, head_learning_rate=3e-2),
    # Its rates are shares of the weights' own size, which in MiniLM is about 0.04: so the steps are as large as AdamW's.
    "adafactor": Rule(create=torch.optim.Adafactor, learning_rate=2.5e-3, head_learning_rate=2.5e-2),
}
"""AdamW: Loshchilov & Hutter 2019, "Decoupled Weight Decay Regularization"; SGD with the momentum of Sutskever et al. 2013, "On
the importance of initialization and momentum in deep learning"; Adafactor: Shazeer & Stern 2018, "Adafactor: Adaptive Learning
Rates with Sublinear Memory Cost"."""


def with_learning_rate(config: FitConfig) -> FitConfig:
    """The settings with the learning rates filled in that suit the optimiser and the weights that are trained.

    Raises:
        ConfigError: as `create_method` does.
    """
    method, rule = create_method(config.adapter), RULES[config.train.optimizer]
    scale = 1.0 if method is None else method.learning_rate / RULES["adamw"].learning_rate
    return config.with_values(
        learning_rate=config.train.learning_rate or scale * rule.learning_rate,
        head_learning_rate=config.train.head_learning_rate or rule.head_learning_rate,
    )


def create_optimizer(rater: Rater, config: TrainConfig, layer_decay: float = 1.0) -> torch.optim.Optimizer:
    """The configured optimiser over the weights that are trained.

    Only matrices decay: biases and the gains of layer norms have no reason to be small. The head and the pooling of windows,
    which start untrained, have a learning rate of their own, and so have the backbone's layers if ``layer_decay`` is below 1.
    """
    return grouped_optimizer(rater, learning_rates(rater, config, layer_decay), config.weight_decay, config.optimizer)


def grouped_optimizer(
    network: nn.Module, rates: Mapping[str, float], weight_decay: float, rule: str = "adamw"
) -> torch.optim.Optimizer:
    """An optimiser of some weights of a network, each by its name with its peak learning rate; only matrices decay."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, rate in rates.items():
        weight = network.get_parameter(name)
        groups.setdefault((rate, weight_decay if weight.ndim >= 2 else 0.0), []).append(weight)
    return RULES[rule].create(
        [{"params": weights, "weight_decay": decay, "lr": peak, PEAK: peak} for (peak, decay), weights in groups.items()]
    )


def learning_rates(rater: Rater, config: TrainConfig, layer_decay: float = 1.0) -> dict[str, float]:
    """Peak learning rate of each weight that is trained, by name.

    Each layer of the backbone has that of the layer above it times ``layer_decay`` (Howard & Ruder 2018, section 3.2; Clark
    et al. 2020, appendix B); the top layer has the configured one. What comes before the layers, the embeddings, counts as
    one more layer below them, and what comes after as a part of the topmost.
    """
    names, rule = [name for name, _ in rater.named_parameters()], RULES[config.optimizer]
    rates = dict.fromkeys(names, config.learning_rate or rule.learning_rate)
    if layer_decay < 1:
        layers = transformer_layers(rater.backbone)
        homes = {id(weight): number for number, layer in enumerate(layers) for weight in layer.parameters()}
        top, outside = len(layers) - 1, -1
        for name, weight in rater.backbone.named_parameters():
            if id(weight) in homes:
                outside = top
            rates[f"backbone.{name}"] *= layer_decay ** (top - homes.get(id(weight), outside))
    head_rate = config.head_learning_rate or rule.head_learning_rate
    rates |= {name: head_rate for name in names if name.startswith(("head.", "windows."))}
    return {name: rates[name] for name, weight in rater.named_parameters() if weight.requires_grad}


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
