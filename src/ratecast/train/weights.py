"""How much each review counts in training."""

import numpy as np
from torch import Tensor

from ratecast.config import ClassWeights
from ratecast.errors import DataError
from ratecast.records import Reviews
from ratecast.scale import FloatArray, RatingScale


def review_weights(reviews: Reviews, scale: RatingScale, class_weights: ClassWeights) -> FloatArray | None:
    """Weight of each training review: its sample weight times that of its level, divided by the mean over all reviews.

    Where levels are balanced, the weight of a level is in inverse proportion to its number of reviews. Without sample weights
    this comes to reviews / (levels that occur · reviews of the level), as in scikit-learn's "balanced".

    Args:
        reviews: rated training reviews.
        scale: their scale; on a continuous one the bins are the levels.
        class_weights: whether levels are balanced.

    Returns:
        Shape ``(review,)``, with the mean 1; None where all reviews count the same.

    Raises:
        DataError: if no review has a weight above 0.
    """
    if reviews.weight is None and class_weights == "none":
        return None
    weights = np.ones(len(reviews)) if reviews.weight is None else reviews.weight
    if class_weights == "balanced":
        index = scale.level_index(reviews.rated())
        weights = weights / np.bincount(index)[index]
    mean = float(weights.mean())
    if mean == 0:
        raise DataError("every training review has the weight 0; expected some above 0: check the weights")
    scaled: FloatArray = weights / mean
    return scaled


def weighted_mean(losses: Tensor, weights: Tensor | None) -> Tensor:
    """Mean of the losses of some reviews, each times its weight; both of shape ``(batch,)``.

    It is divided by the number of reviews, not by their weights, which are 1 on average over all training reviews: so a review
    counts the same in whichever batch it falls, and a batch of weights 0 teaches nothing.
    """
    return losses.mean() if weights is None else (losses * weights.to(losses)).mean()
