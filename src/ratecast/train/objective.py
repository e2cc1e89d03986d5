"""What a batch's losses are: those of the head, under several dropout masks, with soft targets and against an adversary."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ratecast.config import StrengthenConfig
from ratecast.errors import ShapeError
from ratecast.train.adversarial import FastGradient
from ratecast.train.inputs import Network, RatedTexts

_SMALLEST: Final = 1e-12
"""Probabilities are not taken to be smaller, so that their logarithms are finite."""


class Objective:
    """Losses of a batch, with those of `StrengthenConfig`'s methods that change the loss.

    Args:
        network: the network in training.
        config: the methods' settings.
    """

    def __init__(self, network: Network, config: StrengthenConfig) -> None:
        self._network = network
        self._config = config
        self._samples = max(config.dropout_samples, 2 if config.r_drop else 1)
        self._adversary = FastGradient(network.entrance(), config.adversarial) if config.adversarial else None

    def losses(self, reviews: RatedTexts, rows: NDArray[np.int64], ratings: Tensor) -> Iterator[Tensor]:
        """Losses of some rows of a set, shape ``(batch,)``; with an adversary twice.

        The caller does a backward pass over each before it asks for the next.

        Args:
            reviews: the set.
            rows: the batch's rows.
            ratings: their ratings, shape ``(batch,)``, where the network is.
        """

        def compute() -> Tensor:
            return self._of_outputs(self._network.output(reviews, rows, self._samples), reviews, rows, ratings)

        yield from self._adversary.losses(compute) if self._adversary else [compute()]

    def _of_outputs(self, output: Tensor, reviews: RatedTexts, rows: NDArray[np.int64], ratings: Tensor) -> Tensor:
        """Mean over the dropout masks (Inoue 2019, "Multi-sample dropout"), and what is added to it.

        The backbone has no dropout of its own, so that further masks cost only further rows in the head.
        """
        head, samples = self._network.rater.head, self._samples
        losses = head.loss(output, ratings.repeat(samples))
        if reviews.targets is not None:
            targets = torch.as_tensor(reviews.targets[rows], dtype=output.dtype, device=output.device)
            if targets.shape[1] != len(head.scale):
                raise ShapeError(f"found targets of {targets.shape[1]} levels, expected the scale's {len(head.scale)}")
            soft = divergence(targets.repeat(samples, 1), head.probabilities(output))
            given = np.broadcast_to(reviews.target_weight, len(reviews))[rows]
            share = torch.as_tensor(given, dtype=output.dtype, device=output.device).repeat(samples)
            losses = (1 - share) * losses + share * soft
        losses = losses.view(samples, -1).mean(0)
        if self._config.r_drop:
            first, second = head.probabilities(output).view(samples, len(ratings), -1)[:2]
            losses = losses + self._config.r_drop * (divergence(first, second) + divergence(second, first)) / 2
        return losses


def divergence(target: Tensor, probabilities: Tensor) -> Tensor:
    """Kullback-Leibler divergence Σ p · log(p / q) of each review, shape ``(batch,)``, from two of shape ``(batch, level)``.

    Summed over both directions and halved it is the added loss of R-Drop (Liang et al. 2021, section 2.1), whose weight α
    stands beside the sum of two passes' losses where ours stands beside their mean: 1 here is 2 there. With the level
    probabilities of other models as the target it distils them (Hinton et al. 2015, section 2, at temperature 1).
    """
    target, probabilities = target.clamp(min=_SMALLEST), probabilities.clamp(min=_SMALLEST)
    return (target * (target / probabilities).log()).sum(-1)
