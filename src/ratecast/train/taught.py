"""What a student learns from: reviews with what a teacher says of them, and with ratings where there are any."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ratecast.records import Reviews, strings
from ratecast.scale import FloatArray, RatingScale

TARGET_WEIGHT: Final = 0.7
"""Weight of the teacher's probabilities in the loss where a review has a rating, which has the rest of 1."""


@dataclass(frozen=True, kw_only=True)
class Taught:
    """Reviews that a teacher has read.

    Attributes:
        texts: what the student reads of each.
        targets: the teacher's level probabilities, shape ``(review, level)``.
        ratings: the true ratings, NaN where there is none, shape ``(review,)``.
        weights: how much each review counts, shape ``(review,)``; None if all count the same.
    """

    texts: list[str]
    targets: FloatArray
    ratings: FloatArray
    weights: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def target_weights(self) -> FloatArray:
        """Weight of the teacher's probabilities in each review's loss, shape ``(review,)``: all of it without a rating."""
        return np.where(np.isnan(self.ratings), 1.0, TARGET_WEIGHT)

    def filled_ratings(self, scale: RatingScale) -> FloatArray:
        """The ratings, and where there is none the level that the teacher finds most probable, shape ``(review,)``."""
        return np.where(np.isnan(self.ratings), scale.mode(self.targets), self.ratings)

    def reviews(self, scale: RatingScale) -> Reviews:
        """The reviews with filled ratings."""
        return Reviews(text=strings(self.texts), rating=self.filled_ratings(scale), weight=self.weights)
