"""A contract that every head keeps, and each head's own arithmetic."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import special, stats

from ratecast.errors import ConfigError
from ratecast.model.heads import HEADS, Head, RegressionHead, create_head
from ratecast.scale import RatingScale

RATINGS = np.random.default_rng(0).integers(1, 6, 200).astype(np.float64)
SCALES = {
    "five stars": RatingScale.parse("1..5"),
    "binary": RatingScale.parse("0,1"),
    "uneven": RatingScale.parse("1,2,4,5"),
    "half stars": RatingScale.parse("1..5/0.5"),
    "twenty-one": RatingScale.parse("0..20"),
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
    with pytest.raises(
        ConfigError, match=r"unknown head 'softest'; known are coral, corn, mixed, ordinal-log, regression, soft, softmax"
    ):
        create_head("softest", 2, SCALES["binary"], np.array([0.0, 1.0]))


def outputs_and_ratings(scale: RatingScale, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Raw outputs of some reviews, and their ratings, every level among them."""
    rng = np.random.default_rng(3)
    ratings = np.repeat(np.asarray(scale.levels), 3)
    return rng.normal(0, 2, (len(ratings), width)), ratings


def loss_of(head: Head, output: np.ndarray, ratings: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        found: np.ndarray = head.double().loss(torch.from_numpy(output), torch.from_numpy(ratings)).numpy()
    return found


@pytest.mark.parametrize("name", HEADS)
def test_certain_mistakes_have_a_finite_loss_and_a_gradient(name: str) -> None:
    head = create_head(name, 2, SCALES["five stars"], RATINGS)
    output = torch.linspace(40, 120, head.linear.out_features)[None].requires_grad_()  # the last level for certain
    loss = head.loss(output, torch.tensor([1.0]))
    torch.autograd.backward(loss.sum())
    assert torch.isfinite(loss).all()
    assert output.grad is not None
    assert torch.isfinite(output.grad).all()
    assert output.grad.max() > 0


@pytest.mark.parametrize("name", sorted(set(HEADS) - {"regression"}))
def test_an_untrained_head_knows_how_often_each_level_occurs(name: str) -> None:
    counts = np.array([1.0, 2.0, 5.0, 3.0, 9.0])
    head = create_head(name, 2, SCALES["five stars"], np.repeat([1.0, 2.0, 3.0, 4.0, 5.0], counts.astype(int)))
    with torch.no_grad():
        found = head.probabilities(head.linear.bias[None])[0].numpy()
    np.testing.assert_allclose(found, (counts + 1) / 25, atol=1e-6)


def test_smoothed_labels_are_those_of_torch() -> None:
    scale = SCALES["five stars"]
    output, ratings = outputs_and_ratings(scale, 5)
    head = create_head("softmax", 2, scale, RATINGS, label_smoothing=0.2)
    expected = torch.nn.functional.cross_entropy(
        torch.from_numpy(output), torch.from_numpy(ratings.astype(int) - 1), reduction="none", label_smoothing=0.2
    )
    np.testing.assert_allclose(loss_of(head, output, ratings), expected.numpy(), rtol=1e-6)


@pytest.mark.parametrize("name", ["regression", "corn", "coral"])
def test_heads_without_labels_refuse_to_smooth_them(name: str) -> None:
    with pytest.raises(ConfigError, match=f"'{name}' has no labels to smooth.* heads mixed, ordinal-log, soft, softmax"):
        create_head(name, 2, SCALES["binary"], np.array([0.0, 1.0]), label_smoothing=0.1)


def test_soft_labels_by_hand() -> None:
    head = create_head("soft", 2, SCALES["five stars"], RATINGS)
    weights = np.exp([-8.0, -2.0, 0.0, -2.0, -8.0])  # (2 levels)²/½, (1 level)²/½
    np.testing.assert_allclose(head.get_buffer("targets")[2], weights / weights.sum(), rtol=1e-6)


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
def test_soft_label_loss_is_divergence_from_the_labels(scale: RatingScale) -> None:
    output, ratings = outputs_and_ratings(scale, len(scale))
    levels = np.asarray(scale.levels)
    expected = []
    for logits, rating in zip(output, ratings, strict=True):
        target = special.softmax(-2 * ((levels - rating) / np.mean(np.diff(levels))) ** 2)
        expected.append(stats.entropy(target, special.softmax(logits)) + stats.entropy(target))
    found = loss_of(create_head("soft", 2, scale, ratings), output, ratings)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_mixed_loss_by_hand() -> None:
    ratings = np.array([1.0, 5.0])  # deviation 2
    head = create_head("mixed", 2, SCALES["five stars"], ratings)
    found = loss_of(head, np.zeros((2, 5)), ratings)  # all levels alike: expected rating 3
    np.testing.assert_allclose(found, np.log(5) + np.array([1.0, 1.0]), rtol=1e-6)


def test_mixed_loss_knows_the_rating_within_a_bin() -> None:
    scale = SCALES["continuous"]
    output, _ = outputs_and_ratings(scale, len(scale))
    ratings = np.linspace(scale.low, scale.high, len(output))
    unit = ratings.std()
    distribution = [stats.rv_discrete(values=(range(len(scale)), row)) for row in special.softmax(output, axis=1)]
    expected_rating = np.array(
        [each.expect(lambda index: np.asarray(scale.levels)[index.astype(int)]) for each in distribution]
    )
    surprise = [-each.logpmf(index) for each, index in zip(distribution, scale.level_index(ratings), strict=True)]
    found = loss_of(create_head("mixed", 2, scale, ratings), output, ratings)
    np.testing.assert_allclose(found, surprise + ((expected_rating - ratings) / unit) ** 2, rtol=1e-5)


def test_ordinal_log_loss_by_hand() -> None:
    scale = SCALES["uneven"]  # mean step 4/3: from 1 the others are 0.75, 2.25 and 3 steps away
    head = create_head("ordinal-log", 2, scale, np.array([1.0, 5.0]))
    found = loss_of(head, np.zeros((1, 4)), np.array([1.0]))
    np.testing.assert_allclose(found, np.log(4) - (0.75**1.5 + 2.25**1.5 + 3**1.5) * np.log(0.75), rtol=1e-6)


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
def test_ordinal_log_loss_level_by_level(scale: RatingScale) -> None:
    output, ratings = outputs_and_ratings(scale, len(scale))
    levels = scale.levels
    step = np.mean(np.diff(levels))
    expected = []
    for logits, rating in zip(output, ratings, strict=True):
        p = special.softmax(logits)
        loss = 0.0
        for k, level in enumerate(levels):
            loss -= np.log(p[k]) if level == rating else (abs(level - rating) / step) ** 1.5 * np.log1p(-p[k])
        expected.append(loss)
    found = loss_of(create_head("ordinal-log", 2, scale, ratings), output, ratings)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_corn_by_hand() -> None:
    head = create_head("corn", 2, SCALES["five stars"], RATINGS)
    found = loss_of(head, np.zeros((5, 4)), np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    np.testing.assert_allclose(found, np.log(2) * np.array([1, 2, 3, 4, 4]))
    chances = head.probabilities(torch.zeros(1, 4))[0]
    np.testing.assert_allclose(chances.numpy(), [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 16])


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
def test_corn_loss_and_chain_rule_subset_by_subset(scale: RatingScale) -> None:
    output, ratings = outputs_and_ratings(scale, len(scale) - 1)
    index = scale.level_index(ratings)
    total = 0.0
    for k in range(len(scale) - 1):
        subset = index >= k
        total += -stats.bernoulli.logpmf(index[subset] > k, special.expit(output[subset, k])).sum()
    head = create_head("corn", 2, scale, ratings)
    loss = loss_of(head, output, ratings)
    np.testing.assert_allclose(loss.sum(), total)

    beyond = np.ones(len(output))
    expected = np.empty((len(output), len(scale)))
    for k in range(len(scale) - 1):
        expected[:, k] = beyond * (1 - special.expit(output[:, k]))
        beyond = beyond * special.expit(output[:, k])
    expected[:, -1] = beyond
    np.testing.assert_allclose(head.probabilities(torch.from_numpy(output)).numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(loss, -np.log(expected[np.arange(len(index)), index]))


def coral_with(biases: list[float]) -> Head:
    """A head on five stars with the given threshold biases, the first of them in the linear layer."""
    head = create_head("coral", 2, SCALES["five stars"], RATINGS).double()
    with torch.no_grad():
        head.get_parameter("gaps").copy_(torch.tensor([special.expm1(a - b) for a, b in pairwise(biases)]).log())
    return head


def test_coral_by_hand() -> None:
    head = coral_with([0.0, -1.0, -1.5, -4.0])
    higher = np.array([0.9, 0.9 / (0.9 + 0.1 * np.e), 0.9 / (0.9 + 0.1 * np.exp(1.5)), 0.9 / (0.9 + 0.1 * np.exp(4))])
    score = np.full((2, 1), np.log(9))
    with torch.no_grad():
        found = head.probabilities(torch.from_numpy(score))[0].numpy()
    np.testing.assert_allclose(found, -np.diff([1.0, *higher, 0.0]))
    expected = [-np.log(1 - higher).sum(), -np.log([*higher[:2], *(1 - higher[2:])]).sum()]
    np.testing.assert_allclose(loss_of(head, score, np.array([1.0, 3.0])), expected)


def test_coral_thresholds_stay_in_order_however_they_are_trained() -> None:
    torch.manual_seed(0)
    head = create_head("coral", 2, SCALES["twenty-one"], np.array([0.0, 20.0]))
    scores = torch.linspace(-30, 30, 301)[:, None]
    for _ in range(20):
        torch.nn.init.normal_(head.get_parameter("gaps"), std=20)
        with torch.no_grad():
            found = head.probabilities(scores)
        assert (found >= 0).all()
        torch.testing.assert_close(found.sum(1), torch.ones(301))


def test_coral_of_two_levels_is_logistic_regression() -> None:
    head = create_head("coral", 2, SCALES["binary"], np.array([0.0, 1.0]))
    with torch.no_grad():
        found = head.probabilities(torch.tensor([[1.3]]))[0].numpy()
    np.testing.assert_allclose(found, [special.expit(-1.3), special.expit(1.3)], rtol=1e-6)
