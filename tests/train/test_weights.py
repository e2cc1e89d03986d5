"""How much each review counts, against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_sample_weight

from ratecast.config import ClassWeights
from ratecast.errors import DataError
from ratecast.records import Reviews
from ratecast.scale import RatingScale
from ratecast.train.weights import review_weights, weighted_mean

FIVE = RatingScale.parse("1..5")
RATINGS = np.repeat([1.0, 4.0, 5.0], [2, 6, 32])  # nobody gave 2 or 3


def reviews_of(ratings: np.ndarray, weights: np.ndarray | None = None) -> Reviews:
    return Reviews.from_texts([f"text {number}" for number in range(len(ratings))], ratings, weights)


def weights_of(reviews: Reviews, scale: RatingScale, class_weights: ClassWeights) -> np.ndarray:
    found = review_weights(reviews, scale, class_weights)
    assert found is not None
    return found


def test_without_weights_all_reviews_count_the_same() -> None:
    assert review_weights(reviews_of(RATINGS), FIVE, "none") is None


def test_balanced_levels_by_hand() -> None:
    found = weights_of(reviews_of(RATINGS), FIVE, "balanced")
    np.testing.assert_allclose(found[[0, 2, 8]], [40 / 6, 40 / 18, 40 / 96])
    np.testing.assert_allclose([found[level == RATINGS].sum() for level in (1, 4, 5)], 40 / 3)
    assert found.mean() == pytest.approx(1)


def test_balanced_levels_are_those_of_scikit_learn() -> None:
    ratings = np.random.default_rng(0).choice(FIVE.levels, 200, p=[0.02, 0.08, 0.1, 0.2, 0.6])
    found = weights_of(reviews_of(ratings), FIVE, "balanced")
    np.testing.assert_allclose(found, compute_sample_weight("balanced", ratings))


def test_on_a_continuous_scale_the_bins_are_balanced() -> None:
    ratings = np.random.default_rng(0).exponential(10, 300)
    scale = RatingScale.continuous(np.random.default_rng(1).uniform(0, 1, 100), low=0, high=1000)
    found = weights_of(reviews_of(ratings), scale, "balanced")
    np.testing.assert_allclose(found, compute_sample_weight("balanced", scale.level_index(ratings)))


def test_sample_weights_have_the_mean_1_and_multiply_those_of_levels() -> None:
    weights = np.random.default_rng(0).uniform(0, 7, len(RATINGS))
    found = weights_of(reviews_of(RATINGS, weights), FIVE, "none")
    np.testing.assert_allclose(found, weights / weights.mean())
    product = compute_sample_weight("balanced", RATINGS) * weights
    np.testing.assert_allclose(weights_of(reviews_of(RATINGS, weights), FIVE, "balanced"), product / product.mean())


def test_weights_that_are_all_zero_are_refused() -> None:
    with pytest.raises(DataError, match="every training review has the weight 0"):
        weights_of(reviews_of(RATINGS, np.zeros(len(RATINGS))), FIVE, "balanced")


def test_weighted_mean_is_divided_by_the_number_of_reviews() -> None:
    losses = torch.tensor([1.0, 2.0, 4.0])
    assert weighted_mean(losses, None).item() == pytest.approx(7 / 3)
    assert weighted_mean(losses, torch.tensor([3.0, 0.0, 0.5], dtype=torch.float64)).item() == pytest.approx(5 / 3)
    assert weighted_mean(losses, torch.zeros(3)).item() == 0
