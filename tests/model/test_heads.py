"""A contract that every head keeps, and each head's own arithmetic."""

import numpy as np
import pytest
import torch
from scipy import stats

from ratecast.errors import ConfigError
from ratecast.model.heads import HEADS, Head, RegressionHead, create_head
from ratecast.scale import RatingScale

RATINGS = np.random.default_rng(0).integers(1, 6, 200).astype(np.float64)
SCALES = {
    "five stars": RatingScale.parse("1..5"),
    "binary": RatingScale.parse("0,1"),
    "uneven": RatingScale.parse("1,2,4,5"),
    "half stars": RatingScale.parse("1..5/0.5"),
    "continuous": RatingScale.continuous(np.random.default_rng(1).uniform(0, 100, 500)),
}


def head_for(name: str, scale: RatingScale) -> tuple[Head, torch.Tensor, torch.Tensor]:
    """A head with vectors from which the ratings follow, and these ratings."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    ratings = np.asarray(scale.levels)[rng.integers(0, len(scale), 64)]
    standard = (ratings - ratings.mean()) / ratings.std()
    vectors = torch.tensor(np.column_stack([standard, standard**2, rng.normal(size=(64, 6))]), dtype=torch.float32)
    return create_head(name, 8, scale, ratings), vectors, torch.from_numpy(ratings)


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
@pytest.mark.parametrize("name", HEADS)
class TestContract:
    def test_probabilities_are_a_distribution(self, name: str, scale: RatingScale) -> None:
        head, vectors, _ = head_for(name, scale)
        found = head.probabilities(head(vectors))
        assert found.shape == (64, len(scale))
        assert (found >= 0).all()
        torch.testing.assert_close(found.sum(1), torch.ones(64))

    def test_loss_is_one_number_for_each_review(self, name: str, scale: RatingScale) -> None:
        head, vectors, ratings = head_for(name, scale)
        loss = head.loss(head(vectors), ratings)
        assert loss.shape == (64,)
        assert torch.isfinite(loss).all()

    def test_training_brings_the_expected_rating_to_the_truth(self, name: str, scale: RatingScale) -> None:
        head, vectors, ratings = head_for(name, scale)
        before = error(head, vectors, ratings)
        optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
        for _ in range(200):
            optimizer.zero_grad()
            torch.autograd.backward(head.loss(head(vectors), ratings).mean())
            optimizer.step()
        with torch.no_grad():
            head.calibrate(head(vectors), ratings)
        assert error(head, vectors, ratings) < 0.6 * before

    def test_state_restores_the_same_probabilities(self, name: str, scale: RatingScale) -> None:
        head, vectors, ratings = head_for(name, scale)
        with torch.no_grad():
            head.calibrate(head(vectors), ratings)
        other = create_head(name, 8, scale, np.asarray(scale.levels))
        other.load_state_dict(head.state_dict())
        torch.testing.assert_close(other.probabilities(other(vectors)), head.probabilities(head(vectors)), rtol=0, atol=0)

    def test_a_review_does_not_depend_on_its_batch(self, name: str, scale: RatingScale) -> None:
        head, vectors, _ = head_for(name, scale)
        alone = head.probabilities(head(vectors[7:8]))
        torch.testing.assert_close(alone[0], head.probabilities(head(vectors))[7])


@torch.no_grad()
def error(head: Head, vectors: torch.Tensor, ratings: torch.Tensor) -> float:
    expected = head.scale.mean(head.probabilities(head(vectors)).double().numpy())
    return float(np.sqrt(np.mean((expected - ratings.numpy()) ** 2)))


def test_regression_probabilities_are_those_of_a_normal_distribution() -> None:
    scale = SCALES["uneven"]
    head = RegressionHead(2, scale, np.array([1.0, 2.0, 4.0, 5.0]))
    with torch.no_grad():
        head.spread.fill_(0.8)
        found = head.probabilities((torch.tensor([[3.7]]) - head.centre) / head.unit)[0].numpy()
    cuts = [-np.inf, 1.5, 3.0, 4.5, np.inf]
    np.testing.assert_allclose(found, np.diff(stats.norm.cdf(cuts, 3.7, 0.8)), atol=1e-6)


def test_regression_loss_is_squared_error_on_standardised_ratings() -> None:
    ratings = np.array([1.0, 5.0])
    head = RegressionHead(2, SCALES["five stars"], ratings)
    loss = head.loss(torch.tensor([[0.5], [0.5]]), torch.from_numpy(ratings))
    np.testing.assert_allclose(loss.numpy(), [1.5**2, 0.5**2])


def test_regression_spread_is_the_error_on_held_out_reviews() -> None:
    head = RegressionHead(2, SCALES["five stars"], RATINGS)
    truth = torch.tensor([1.0, 5.0, 3.0])
    off = torch.tensor([[1.5], [4.0], [3.0]])
    head.calibrate((off - head.centre) / head.unit, truth)
    assert float(head.spread) == pytest.approx(np.sqrt((0.25 + 1) / 3), abs=1e-5)


def test_unknown_head_lists_the_known() -> None:
    with pytest.raises(ConfigError, match=r"unknown head 'soft'; known are regression, softmax"):
        create_head("soft", 2, SCALES["binary"], np.array([0.0, 1.0]))
