"""Which reviews a person should read, and how urgently."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ratecast.config import StoreConfig
from ratecast.store.entries import StoredPrediction


@dataclass(frozen=True, kw_only=True)
class Concern:
    """Why a person should read a review.

    Attributes:
        variance: of the predicted distribution of the rating, in squared units of the scale.
        urgency: place in the queue, the highest first: from 1 to 2 for a flag, up to 1 for the rest; None for none of them.
    """

    variance: float
    uncertain: bool
    surprising: bool
    urgency: float | None


def concern(prediction: StoredPrediction, config: StoreConfig) -> Concern:
    """What is worrying about a prediction."""
    variance = variance_of(prediction.probabilities)
    width = max(prediction.probabilities, default=0.0) - min(prediction.probabilities, default=0.0)
    doubt = math.sqrt(variance) / width if width else 0.0  # at most a half: all probability at the two ends
    surprise = 0.0 if prediction.stars is None else 1.0 - agreement(prediction.probabilities, prediction.stars)
    uncertain = doubt >= config.uncertain_from
    surprising = surprise > 1.0 - config.surprising_below
    urgency = max(2.0 * doubt if uncertain else 0.0, surprise if surprising else 0.0) + (prediction.flag is not None)
    is_waiting = (uncertain or surprising or prediction.flag is not None) and not prediction.shadow
    return Concern(
        variance=variance, uncertain=uncertain, surprising=surprising, urgency=float(urgency) if is_waiting else None
    )


def variance_of(probabilities: Mapping[float, float]) -> float:
    """Variance of a distribution over levels.

    Example:
        >>> variance_of({1.0: 0.5, 5.0: 0.5})
        4.0
    """
    mean = sum(level * probability for level, probability in probabilities.items())
    return sum((level - mean) ** 2 * probability for level, probability in probabilities.items())


def agreement(probabilities: Mapping[float, float], stars: float) -> float:
    """Probability of the level nearest to the stars, as a share of the most probable level's.

    A share, so that one limit suits scales of few levels and of many.

    Example:
        >>> agreement({1.0: 0.25, 2.0: 0.25, 3.0: 0.5}, 1.2)
        0.5
    """
    highest = max(probabilities.values(), default=0.0)
    if not highest:
        return 1.0
    return probabilities[min(probabilities, key=lambda level: abs(level - stars))] / highest
