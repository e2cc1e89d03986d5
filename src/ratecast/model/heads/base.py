"""What every output head does."""

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor, nn

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

    @torch.no_grad()
    def standardise(self, vectors: Tensor, *, keep_outputs: bool = False) -> None:
        """From now on bring vectors to the mean 0 and deviation 1 that these have, shape ``(review, width)``.

        Weights and dropout then act on numbers of one size, whatever the backbone's vectors look like.

        Args:
            vectors: shape ``(review, width)``.
            keep_outputs: whether the weights change so that the outputs do not.
        """
        mean, deviation = vectors.mean(0), vectors.std(0).clamp(min=1e-6)
        if keep_outputs:
            weight = self.linear.weight / self.vector_deviation
            self.linear.bias.add_(weight @ (mean - self.vector_mean))
            self.linear.weight.copy_(weight * deviation)
        self.vector_mean.copy_(mean)
        self.vector_deviation.copy_(deviation)

    def forward(self, vectors: Tensor) -> Tensor:
        """Raw outputs, shape ``(batch, output)``, of vectors of shape ``(batch, width)``."""
        output: Tensor = self.linear(self.dropout((vectors - self.vector_mean) / self.vector_deviation))
        return output

    def level_index(self, ratings: Tensor) -> Tensor:
        """Index of each rating's level, shape ``(batch,)``."""
        return torch.from_numpy(self.scale.level_index(ratings.detach().cpu().numpy())).to(ratings.device)


def level_counts(scale: RatingScale, ratings: FloatArray) -> FloatArray:
    """Number of ratings at each level and one more, so that no level counts as impossible; shape ``(level,)``."""
    return np.bincount(scale.level_index(ratings), minlength=len(scale)).astype(np.float64) + 1


def deviation(ratings: FloatArray) -> float:
    """Standard deviation of the ratings, which makes errors independent of the scale's unit; 1 where all are equal."""
    return float(np.std(ratings)) or 1.0
