"""Heads with one logit for each level, whose softmax is the distribution; they differ in what they are trained to."""

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ratecast.model.heads.base import Head, deviation, level_counts
from ratecast.scale import FloatArray, RatingScale


class SoftmaxHead(Head):
    """Trained with cross-entropy: the order of levels is not used.

    Args:
        width: as for `Head`.
        scale: as for `Head`.
        ratings: as for `Head`.
        dropout: as for `Head`.
        label_smoothing: share of the target distribution that is spread evenly over all levels (Szegedy et al. 2016,
            "Rethinking the inception architecture for computer vision", section 7).
    """

    targets: Tensor

    def __init__(
        self, width: int, scale: RatingScale, ratings: FloatArray, dropout: float = 0.0, label_smoothing: float = 0.0
    ) -> None:
        super().__init__(width, scale, ratings, dropout)
        counts = level_counts(scale, ratings)
        with torch.no_grad():
            self.linear.bias.copy_(torch.from_numpy(np.log(counts / counts.sum())))
        smoothed = (1 - label_smoothing) * self.level_targets(scale) + label_smoothing / len(scale)
        self.register_buffer("targets", torch.tensor(smoothed, dtype=torch.float32))

    @staticmethod
    def outputs(scale: RatingScale) -> int:
        """One for each level."""
        return len(scale)

    @classmethod
    def level_targets(cls, scale: RatingScale) -> FloatArray:
        """The distribution that reviews of each level are trained to, shape ``(level, level)``: here the level alone."""
        return np.eye(len(scale))

    def loss(self, output: Tensor, ratings: Tensor) -> Tensor:
        """Cross-entropy with the targets t of the rating's level, −Σ t(k) log p(k)."""
        return nn.functional.cross_entropy(output, self.targets[self.level_index(ratings)], reduction="none")

    def probabilities(self, output: Tensor) -> Tensor:
        """Softmax of the logits."""
        return output.softmax(-1)


class SoftLabelHead(SoftmaxHead):
    """Trained with cross-entropy to labels that fade with the distance from the rating.

    By Diaz & Marathe 2019, "Soft labels for ordinal regression" (SORD). A mistake costs less the nearer it is, but the
    probabilities that this trains are as blurred as the labels.
    """

    TEMPERATURE: ClassVar = 0.5
    """Of the labels: at 0.5 the next level of five stars has an eighth of the weight of the rating's own."""

    @classmethod
    def level_targets(cls, scale: RatingScale) -> FloatArray:
        """Softmax of −d²/temperature, d as in `level_distances`."""
        weights = np.exp(-(level_distances(scale) ** 2) / cls.TEMPERATURE)
        targets: FloatArray = weights / weights.sum(axis=1, keepdims=True)
        return targets


class MixedHead(SoftmaxHead):
    """Trained with cross-entropy and the squared error of the expected rating.

    The second part is the mean loss of Pan et al. 2018, "Mean-variance loss for deep age estimation from a face", here on
    standardised ratings, as in `RegressionHead`: it knows the order of levels, which cross-entropy does not.
    """

    SQUARED_ERROR_WEIGHT: ClassVar = 1.0
    """Weight of the squared error beside cross-entropy."""

    levels: Tensor
    unit: Tensor

    def __init__(
        self, width: int, scale: RatingScale, ratings: FloatArray, dropout: float = 0.0, label_smoothing: float = 0.0
    ) -> None:
        super().__init__(width, scale, ratings, dropout, label_smoothing)
        self.register_buffer("levels", torch.tensor(scale.levels))
        self.register_buffer("unit", torch.tensor(deviation(ratings)))

    def loss(self, output: Tensor, ratings: Tensor) -> Tensor:
        """Cross-entropy + weight · ((Σ p(k) k − y) / deviation)²."""
        expected = self.probabilities(output) @ self.levels
        error = (expected - ratings.to(output.dtype)) / self.unit
        return super().loss(output, ratings) + self.SQUARED_ERROR_WEIGHT * error**2


class OrdinalLogHead(SoftmaxHead):
    """Trained with cross-entropy and the ordinal log-loss.

    By Castagnos, Mihelich & Dognin 2022, "A simple log-based loss function for ordinal text classification" (OLL), which
    takes probability away from each wrong level, the more the farther it is. They use it alone; but where the rating is
    uncertain, its minimum is not at the levels' true probabilities, towards which cross-entropy pulls.
    """

    EXPONENT: ClassVar = 1.5
    """Of the distances, the paper's alpha."""
    ORDINAL_WEIGHT: ClassVar = 1.0
    """Weight of the log-loss beside cross-entropy."""

    penalties: Tensor

    def __init__(
        self, width: int, scale: RatingScale, ratings: FloatArray, dropout: float = 0.0, label_smoothing: float = 0.0
    ) -> None:
        super().__init__(width, scale, ratings, dropout, label_smoothing)
        self.register_buffer("penalties", torch.tensor(level_distances(scale) ** self.EXPONENT, dtype=torch.float32))

    def loss(self, output: Tensor, ratings: Tensor) -> Tensor:
        """Cross-entropy − weight · Σ d(y, k)^exponent log(1 − p(k)), d as in `level_distances`."""
        # A probability that rounds to 1 would have an infinite loss: cross-entropy alone then pulls it down.
        certain = -torch.finfo(output.dtype).eps
        others = (-torch.expm1(output.log_softmax(-1).clamp(max=certain))).log()
        ordinal = -(self.penalties[self.level_index(ratings)] * others).sum(-1)
        return super().loss(output, ratings) + self.ORDINAL_WEIGHT * ordinal


def level_distances(scale: RatingScale) -> FloatArray:
    """Distance of each level from each, in mean steps of the scale, shape ``(level, level)``.

    On evenly spaced levels these are differences of their indices.

    Example:
        >>> level_distances(RatingScale.parse("1,2,4,5"))[0]
        array([0.  , 0.75, 2.25, 3.  ])
    """
    levels = np.asarray(scale.levels)
    step = (levels[-1] - levels[0]) / (len(levels) - 1)
    distances: FloatArray = np.abs(levels[:, None] - levels[None, :]) / step
    return distances
