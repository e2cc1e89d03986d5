"""A head that predicts one number."""

import numpy as np
import torch
from torch import Tensor

from ratecast.model.heads.base import Head, deviation
from ratecast.scale import FloatArray, RatingScale


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
        unit = deviation(ratings)
        self.register_buffer("centre", torch.tensor(float(np.mean(ratings))))
        self.register_buffer("unit", torch.tensor(unit))
        self.register_buffer("spread", torch.tensor(unit))
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
