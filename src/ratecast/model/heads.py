"""Output heads: from a review's vector to a probability for every level.

A head is a module with four verbs: ``forward`` maps vectors to raw outputs, ``loss`` compares these with the true ratings,
``probabilities`` turns them into a distribution over levels, and ``calibrate`` sets from held-out reviews what training does
not. To add one, write such a class, enter it into `HEADS`, and add its name to the contract tests' list.
"""

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor, nn

from ratecast.errors import ConfigError
from ratecast.scale import FloatArray, RatingScale


class Head(nn.Module, ABC):
    """What every head does.

    Args:
        width: length of a review's vector.
        scale: the rating scale.
        ratings: training ratings, shape ``(review,)``, from which a head may take its starting point.
        dropout: applied to the standardised vectors while training.
    """

    vector_mean: Tensor
    vector_deviation: Tensor

    def __init__(self, width: int, scale: RatingScale, ratings: FloatArray, dropout: float = 0.0) -> None:
        super().__init__()
        self.scale = scale
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("vector_mean", torch.zeros(width))
        self.register_buffer("vector_deviation", torch.ones(width))
        self.linear = nn.Linear(width, self.outputs(scale))
        nn.init.normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)

    @staticmethod
    @abstractmethod
    def outputs(scale: RatingScale) -> int:
        """Number of raw outputs for each review."""

    @abstractmethod
    def loss(self, output: Tensor, ratings: Tensor) -> Tensor:
        """Loss of each review.

        Args:
            output: raw outputs, shape ``(batch, output)``.
            ratings: true ratings in units of the scale, shape ``(batch,)``.

        Returns:
            Shape ``(batch,)``.
        """

    @abstractmethod
    def probabilities(self, output: Tensor) -> Tensor:
        """Probability of each level, shape ``(batch, level)``, from raw outputs of shape ``(batch, output)``."""

    def calibrate(self, output: Tensor, ratings: Tensor) -> None:
        """Set from held-out reviews what the loss does not train; shapes as in `loss`."""

    def standardise(self, vectors: Tensor) -> None:
        """From now on bring vectors to the mean 0 and deviation 1 that these have, shape ``(review, width)``.

        Weights and dropout then act on numbers of one size, whatever the backbone's vectors look like.
        """
        self.vector_mean.copy_(vectors.mean(0))
        self.vector_deviation.copy_(vectors.std(0).clamp(min=1e-6))

    def forward(self, vectors: Tensor) -> Tensor:
        """Raw outputs, shape ``(batch, output)``, of vectors of shape ``(batch, width)``."""
        output: Tensor = self.linear(self.dropout((vectors - self.vector_mean) / self.vector_deviation))
        return output

    def level_index(self, ratings: Tensor) -> Tensor:
        """Index of each rating's level, shape ``(batch,)``."""
        return torch.from_numpy(self.scale.level_index(ratings.detach().cpu().numpy())).to(ratings.device)


class SoftmaxHead(Head):
    """One logit for each level, trained with cross-entropy: the order of levels is not used."""

    def __init__(self, width: int, scale: RatingScale, ratings: FloatArray, dropout: float = 0.0) -> None:
        super().__init__(width, scale, ratings, dropout)
        counts = np.bincount(scale.level_index(ratings), minlength=len(scale)) + 1.0
        with torch.no_grad():
            self.linear.bias.copy_(torch.from_numpy(np.log(counts / counts.sum())))

    @staticmethod
    def outputs(scale: RatingScale) -> int:
        """One for each level."""
        return len(scale)

    def loss(self, output: Tensor, ratings: Tensor) -> Tensor:
        """Cross-entropy, −log p(level of the rating)."""
        return nn.functional.cross_entropy(output, self.level_index(ratings), reduction="none")

    def probabilities(self, output: Tensor) -> Tensor:
        """Softmax of the logits."""
        return output.softmax(-1)


class RegressionHead(Head):
    """One number, trained with squared error on standardised ratings.

    Squared error is the likelihood of a normal distribution with fixed spread (Bishop 2006, section 3.1.1), so the level
    probabilities are those of a normal distribution around the number, cut at the points where one level ends and the next
    begins. Its spread is the root mean squared error on held-out reviews.
    """

    centre: Tensor
    unit: Tensor
    spread: Tensor
    cuts: Tensor

    def __init__(self, width: int, scale: RatingScale, ratings: FloatArray, dropout: float = 0.0) -> None:
        super().__init__(width, scale, ratings, dropout)
        deviation = float(np.std(ratings)) or 1.0
        self.register_buffer("centre", torch.tensor(float(np.mean(ratings))))
        self.register_buffer("unit", torch.tensor(deviation))
        self.register_buffer("spread", torch.tensor(deviation))
        self.register_buffer("cuts", torch.tensor(scale.cut_points(), dtype=torch.float32))

    @staticmethod
    def outputs(scale: RatingScale) -> int:
        """One."""
        return 1

    def loss(self, output: Tensor, ratings: Tensor) -> Tensor:
        """Squared error, (f(x) − (y − mean) / deviation)²."""
        standardised = (ratings.to(output.dtype) - self.centre) / self.unit
        return (output.squeeze(-1) - standardised) ** 2

    def calibrate(self, output: Tensor, ratings: Tensor) -> None:
        """Set the spread to the root mean squared error of these reviews."""
        error = output.squeeze(-1) * self.unit + self.centre - ratings
        self.spread.copy_(error.square().mean().sqrt().clamp(min=1e-3 * float(self.unit)))

    def probabilities(self, output: Tensor) -> Tensor:
        """Normal probabilities between the scale's cut points."""
        rating = output * self.unit + self.centre
        below = 0.5 * (1 + torch.erf((self.cuts - rating) / (self.spread * 2**0.5)))
        ends = torch.zeros_like(rating)
        probabilities = torch.cat([below, ends + 1], -1) - torch.cat([ends, below], -1)
        return probabilities.clamp(min=0)


HEADS: dict[str, type[Head]] = {"softmax": SoftmaxHead, "regression": RegressionHead}
"""Every head by the name used in the configuration."""


def create_head(name: str, width: int, scale: RatingScale, ratings: FloatArray, dropout: float = 0.0) -> Head:
    """Head of the given name; arguments as for `Head`.

    Raises:
        ConfigError: if there is no such head; lists those that there are.
    """
    if name not in HEADS:
        raise ConfigError(f"unknown head {name!r}; known are {', '.join(sorted(HEADS))}")
    return HEADS[name](width, scale, ratings, dropout)
