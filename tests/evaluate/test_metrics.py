"""Every metric against scikit-learn, SciPy or a hand-worked case."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratecast.errors import DataError, RatecastError, ShapeError
from ratecast.evaluate import metrics as m
from ratecast.scale import FloatArray, RatingScale

STARS = RatingScale.parse("1..5")
HALVES = RatingScale.parse("1..5/0.5")
UNEVEN = RatingScale.discrete([1, 2, 4, 5])


def drawn(scale: RatingScale, reviews: int = 400, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """Ratings and related but imperfect probabilities."""
    generator = np.random.default_rng(seed)
    ratings = generator.choice(scale.levels, size=reviews)
    probabilities = generator.dirichlet(np.ones(len(scale)), size=reviews)
    probabilities[np.arange(reviews), scale.level_index(ratings)] += 0.5
    return ratings, probabilities / probabilities.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("scale", [STARS, HALVES, UNEVEN], ids=lambda scale: scale.describe())
def test_agrees_with_scikit_learn_and_scipy(scale: RatingScale) -> None:
    reference = pytest.importorskip("sklearn.metrics")
    stats = pytest.importorskip("scipy.stats")
    ratings, probabilities = drawn(scale)
    mean, median, mode = scale.mean(probabilities), scale.median(probabilities), scale.mode(probabilities)
    index = scale.level_index
    found = m.compute_metrics(ratings, probabilities, scale)

    assert found.reviews == 400
    assert found.mse == pytest.approx(reference.mean_squared_error(ratings, mean), abs=1e-9)
    assert found.rmse == pytest.approx(reference.root_mean_squared_error(ratings, mean), abs=1e-9)
    assert found.mae == pytest.approx(reference.mean_absolute_error(ratings, median), abs=1e-12)
    assert found.accuracy == pytest.approx(reference.accuracy_score(index(ratings), index(mode)), abs=1e-12)
    kappa = reference.cohen_kappa_score(index(ratings), index(mean), labels=range(len(scale)), weights="quadratic")
    assert found.qwk == pytest.approx(kappa, abs=1e-12)
    assert found.spearman == pytest.approx(stats.spearmanr(ratings, mean).statistic, abs=1e-9)
    assert found.nll == pytest.approx(reference.log_loss(index(ratings), probabilities, labels=range(len(scale))), abs=1e-9)


def test_spearman_shares_ranks_among_ties_as_scipy_does() -> None:
    stats = pytest.importorskip("scipy.stats")
    x = np.array([1.0, 1, 2, 2, 2, 3, 5, 5])
    y = np.array([2.0, 1, 1, 1, 3, 3, 4, 0])
    assert m.average_ranks(y) == pytest.approx(stats.rankdata(y))
    assert m.spearman_correlation(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


def test_ranked_probability_score_of_two_levels_is_half_the_brier_score() -> None:
    reference = pytest.importorskip("sklearn.metrics")
    scale = RatingScale.parse("0..1")
    ratings, probabilities = drawn(scale)
    assert m.ranked_probability_score(ratings, probabilities, scale) == pytest.approx(
        reference.brier_score_loss(ratings, probabilities[:, 1]), abs=1e-12
    )


def test_ranked_probability_score_by_hand() -> None:
    # True level 1 of 1..3. Cumulative 0.2, 0.5 against 1, 1: (0.8² + 0.5²) / 2.
    assert m.ranked_probability_score([1], [[0.2, 0.3, 0.5]], RatingScale.parse("1..3")) == pytest.approx(0.445)
    # All mass on the true level scores 0, all mass at the other end 1, whatever the number of levels.
    for scale in (STARS, HALVES):
        far = np.eye(len(scale))[[-1]]
        assert m.ranked_probability_score([5], far, scale) == 0
        assert m.ranked_probability_score([1], far, scale) == 1


def test_within_one_level_counts_levels_not_units() -> None:
    ratings = [1, 1, 1, 5, 4]
    assert m.within_one_level(ratings, [1, 2, 3, 4, 4.4], STARS) == pytest.approx(4 / 5)
    assert m.within_one_level([1, 1, 1], [1, 1.5, 2], HALVES) == pytest.approx(2 / 3)
    assert m.within_one_level([2], [4], UNEVEN) == 1  # 2 and 4 are neighbours here


def test_each_metric_uses_the_statistic_that_it_rewards() -> None:
    # Mean 2.6, median 3, mode 1 for a rating of 3.
    probabilities = [[0.4, 0.0, 0.3, 0.2, 0.1]]
    found = m.compute_metrics([3], probabilities, STARS)
    assert found.mse == pytest.approx(0.16)
    assert found.mae == 0
    assert found.accuracy == 0
    assert found.within_one == 1
    # Mean 3.2, median and mode 5 for a rating of 5.
    found = m.compute_metrics([5, 1], [[0.45, 0.0, 0.0, 0.0, 0.55], [1.0, 0.0, 0.0, 0.0, 0.0]], STARS)
    assert found.within_one == 1
    assert found.qwk == pytest.approx(1 - 2 / (4 + 1 + 1))  # levels 4 and 0 against 2 and 0


def test_a_perfect_model() -> None:
    ratings = np.array([1.0, 2, 3, 4, 5])
    found = m.compute_metrics(ratings, np.eye(5), STARS)
    assert (found.rmse, found.mae, found.nll, found.rps, found.ece) == (0, 0, 0, 0, 0)
    assert (found.accuracy, found.within_one) == (1, 1)
    assert found.qwk == pytest.approx(1)
    assert found.spearman == pytest.approx(1)


def test_an_impossible_rating_costs_the_floor_and_not_infinity() -> None:
    assert m.negative_log_likelihood([5], [[1, 0, 0, 0, 0]], STARS) == pytest.approx(-math.log(m.PROBABILITY_FLOOR))
    assert m.negative_log_likelihood([1], [[1, 0, 0, 0, 0]], STARS) == 0


def test_a_continuous_scale_has_no_levels_to_hit() -> None:
    ratings = np.random.default_rng(0).uniform(0, 100, 200)
    scale = RatingScale.continuous(ratings, 0, 100)
    probabilities = np.full((200, len(scale)), 1 / len(scale))
    found = m.compute_metrics(ratings, probabilities, scale)
    assert found.accuracy is None
    assert found.within_one is None
    assert found.qwk is None
    assert found.nll == pytest.approx(math.log(len(scale)))
    assert math.isnan(found.spearman)  # the same distribution for every review gives no order
    assert found.mae > 0


def test_undefined_is_nan() -> None:
    one = m.compute_metrics([4], [[0, 0, 0, 0.5, 0.5]], STARS)
    assert math.isnan(one.spearman)
    assert one.rmse == pytest.approx(0.5)
    constant = m.compute_metrics([4, 4], [[0, 0, 0, 1, 0]] * 2, STARS)
    assert math.isnan(constant.spearman)
    assert constant.qwk is not None
    assert math.isnan(constant.qwk)
    equal_ratings = m.compute_metrics([4, 4], [[0, 0, 0, 1, 0], [1, 0, 0, 0, 0]], STARS)
    assert math.isnan(equal_ratings.spearman)
    assert equal_ratings.qwk == 0


def test_a_constant_model_has_no_rank_correlation_in_spite_of_rounding() -> None:
    ratings, _ = drawn(STARS, 101)
    probabilities = np.tile([0.1, 0.17, 0.23, 0.27, 0.23], (101, 1))
    assert math.isnan(m.compute_metrics(ratings, probabilities, STARS).spearman)


@pytest.mark.parametrize(
    ("ratings", "probabilities"),
    [
        ([1, 2], [[0.2] * 5]),
        ([1], [[0.5, 0.5]]),
        ([], np.empty((0, 5))),
        ([[1]], [[0.2] * 5]),
    ],
)
def test_shapes_that_do_not_fit(ratings: object, probabilities: object) -> None:
    with pytest.raises(ShapeError, match="found"):
        m.compute_metrics(ratings, probabilities, STARS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "call",
    [
        m.mean_squared_error,
        m.root_mean_squared_error,
        m.mean_absolute_error,
        m.spearman_correlation,
        lambda a, b: m.accuracy(a, b, STARS),
        lambda a, b: m.within_one_level(a, b, STARS),
        lambda a, b: m.quadratic_weighted_kappa(a, b, STARS),
    ],
)
def test_ratings_and_predictions_must_match(call: object) -> None:
    assert callable(call)
    for wrong in ([1.0, 2.0], []):
        with pytest.raises(ShapeError):
            call([1.0] if wrong else [], wrong)


def test_what_is_no_distribution_is_refused() -> None:
    for row in ([0.5] * 5, [1.2, -0.2, 0, 0, 0], [math.nan] * 5):
        with pytest.raises(DataError, match="row 0"):
            m.compute_metrics([1], [row], STARS)
    with pytest.raises(DataError, match="rating"):
        m.compute_metrics([math.nan], [[0.2] * 5], STARS)


def test_stored_and_read_again() -> None:
    continuous = RatingScale.continuous(np.arange(100.0))
    cases: list[tuple[RatingScale, list[float]]] = [(STARS, [4.0, 4.0]), (continuous, [4.0, 8.0])]
    for scale, ratings in cases:
        probabilities = np.tile(np.eye(len(scale))[3], (2, 1))
        found = m.compute_metrics(ratings, probabilities, scale)
        stored = json.loads(json.dumps(found.to_json(), allow_nan=False))
        assert repr(m.Metrics.from_json(stored, scale)) == repr(found)  # NaN is not equal to itself
    with pytest.raises(RatecastError):
        m.Metrics.from_json({"reviews": 1}, STARS)


def test_numbers_are_shown_with_decimals_that_suit_the_scale() -> None:
    hundred = RatingScale.continuous(np.arange(101.0))
    assert m.METRICS["rmse"].format(0.61249, STARS) == "0.612"
    assert m.METRICS["rmse"].format(12.345, hundred) == "12.35"
    assert m.METRICS["rmse"].format(0.01234, RatingScale.parse("0..1")) == "0.0123"
    assert m.METRICS["qwk"].format(0.5, hundred) == "0.500"
    assert m.METRICS["qwk"].format(-0.0001) == "0.000"
    assert m.METRICS["qwk"].format(None) == m.METRICS["qwk"].format(math.nan) == "–"


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60))
def test_metrics_stay_in_their_range(seed: int, reviews: int) -> None:
    found = m.compute_metrics(*drawn(STARS, reviews, seed), STARS)
    assert found.accuracy is not None
    assert found.qwk is not None
    assert 0 <= found.rps <= 1
    assert 0 <= found.ece <= 1
    assert 0 <= found.accuracy <= 1
    assert found.rmse <= 4
    assert math.isnan(found.qwk) or found.qwk <= 1
    assert math.isnan(found.spearman) or -1 - 1e-9 <= found.spearman <= 1 + 1e-9
