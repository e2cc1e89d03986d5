"""Ratings for a metric: each is best by its own, and thresholds equal those of a search that recomputes everything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from ratecast.combine.decide import _best_cuts, decide, fit_thresholds
from ratecast.config import Optimise
from ratecast.errors import ConfigError, DataError, ShapeError
from ratecast.evaluate.metrics import (
    accuracy,
    expected_ratings,
    mean_absolute_error,
    quadratic_weighted_kappa,
    root_mean_squared_error,
)
from ratecast.scale import FloatArray, IntArray, RatingScale

STARS = RatingScale.parse("1..5")
CONTINUOUS = RatingScale.continuous(np.arange(101.0), 0, 100)
METRICS: tuple[Optimise, ...] = ("rmse", "mae", "accuracy", "qwk")


def shy(reviews: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Ratings from all over the scale, many of them 5, and true probabilities whose means keep to the middle."""
    generator = np.random.default_rng(seed)
    leaning = generator.normal(1.0, 1.0, size=(reviews, 1)) * np.arange(-2, 3) + np.array([0.5, -0.5, -0.5, 0.0, 1.0])
    stated = np.exp(leaning) / np.exp(leaning).sum(axis=1, keepdims=True)
    chosen = (stated.cumsum(axis=1) < generator.random((reviews, 1))).sum(axis=1).clip(max=4)
    return np.asarray(STARS.levels)[chosen], stated


def test_each_rating_is_best_by_its_own_metric() -> None:
    ratings, stated = shy(6000, 0)
    thresholds = fit_thresholds(ratings[:3000], stated[:3000], STARS)
    truth = ratings[3000:]
    given_for = {metric: decide(stated[3000:], STARS, metric, thresholds) for metric in METRICS}
    assert min(given_for, key=lambda metric: root_mean_squared_error(truth, given_for[metric])) == "rmse"
    assert min(given_for, key=lambda metric: mean_absolute_error(truth, given_for[metric])) == "mae"
    assert max(given_for, key=lambda metric: accuracy(truth, given_for[metric], STARS)) == "accuracy"
    assert max(given_for, key=lambda metric: quadratic_weighted_kappa(truth, given_for[metric], STARS)) == "qwk"
    plain = quadratic_weighted_kappa(truth, decide(stated[3000:], STARS, "qwk"), STARS)
    assert quadratic_weighted_kappa(truth, given_for["qwk"], STARS) > plain + 0.01


def test_thresholds_decide_the_level() -> None:
    stated = [[0.5, 0.0, 0.0, 0.0, 0.5], [0.0, 0.0, 0.0, 0.4, 0.6]]  # means 3 and 4.6
    assert decide(stated, STARS, "qwk").tolist() == [3, 5]
    assert decide(stated, STARS, "qwk", [1.5, 3.0, 3.1, 4.7]).tolist() == [2, 4]  # a mean at a threshold is below it
    assert decide(stated, STARS, "qwk").tolist() == STARS.snap(STARS.mean(np.array(stated))).tolist()


def kappa_of(true_levels: IntArray, means: FloatArray, cuts: FloatArray) -> float:
    levels = (means[:, None] > cuts).sum(axis=1)
    return float(cohen_kappa_score(true_levels, levels, weights="quadratic", labels=range(5)))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(10, 50)), min_size=10, max_size=40))
@settings(max_examples=60, deadline=None)
def test_no_single_move_of_a_threshold_is_better(points: list[tuple[int, int]]) -> None:
    """Every place between two different means is tried for every threshold, and judged by scikit-learn's kappa."""
    true_levels, means = np.array([level for level, _ in points]), np.array([mean / 10 for _, mean in points])
    if len(set(true_levels.tolist())) < 2:
        return
    start = STARS.cut_points()
    cuts = _best_cuts(true_levels, means, start)
    assert (np.diff(cuts) >= 0).all()
    reached = np.nan_to_num(kappa_of(true_levels, means, cuts))
    assert reached >= np.nan_to_num(kappa_of(true_levels, means, start)) - 1e-9
    values = np.unique(means)
    for index in range(4):
        low, high = cuts[index - 1] if index else -np.inf, cuts[index + 1] if index < 3 else np.inf
        for place in (values[1:] + values[:-1]) / 2:
            within = values[(values > low) & (values <= high)]
            if len(within) and within[0] < place < within[-1]:
                moved = cuts.copy()
                moved[index] = place
                assert np.nan_to_num(kappa_of(true_levels, means, moved)) <= reached + 1e-8


def test_thresholds_stay_where_moving_them_does_not_pay() -> None:
    generator = np.random.default_rng(0)
    ratings = generator.integers(1, 6, size=60).astype(np.float64)
    sure = np.eye(5)[STARS.level_index(ratings)]
    np.testing.assert_array_equal(fit_thresholds(ratings, sure, STARS), STARS.cut_points())
    few, stated = shy(9, 0)
    np.testing.assert_array_equal(fit_thresholds(few, stated, STARS), STARS.cut_points())
    np.testing.assert_array_equal(fit_thresholds(np.full(50, 3.0), shy(50, 0)[1], STARS), STARS.cut_points())


def test_thresholds_that_fail_on_held_out_parts_are_given_up() -> None:
    """Ratings that have nothing to do with the probabilities: what fits one part is chance in another."""
    kept = 0
    for seed in range(20):
        _, stated = shy(40, seed)
        ratings = np.random.default_rng(100 + seed).integers(1, 6, size=40).astype(np.float64)
        kept += np.array_equal(fit_thresholds(ratings, stated, STARS), STARS.cut_points())
    assert kept >= 5  # about half of them by chance; none would be without the check


def test_the_order_of_the_reviews_does_not_matter() -> None:
    ratings, stated = shy(300, 2)
    order = np.random.default_rng(0).permutation(300)
    first = fit_thresholds(ratings, stated, STARS)
    np.testing.assert_allclose(fit_thresholds(ratings[order], stated[order], STARS), first)
    assert not np.array_equal(first, STARS.cut_points())


def test_a_scale_of_two_levels() -> None:
    scale = RatingScale.parse("0,1")
    generator = np.random.default_rng(0)
    likely = generator.random(500) * 0.5  # of the higher level; it is never the more probable one
    ratings = (generator.random(500) < likely).astype(np.float64)
    stated = np.stack([1 - likely, likely], axis=1)
    cuts = fit_thresholds(ratings, stated, scale)
    assert cuts.shape == (1,)
    assert quadratic_weighted_kappa(ratings, decide(stated, scale, "qwk", cuts), scale) > 0.1
    assert quadratic_weighted_kappa(ratings, decide(stated, scale, "qwk"), scale) == 0


def test_ten_thousand_reviews_of_twenty_levels_are_quick() -> None:
    import time

    scale = RatingScale.parse("1..20")
    generator = np.random.default_rng(0)
    stated = generator.dirichlet(np.full(20, 0.3), size=10_000)
    ratings = np.asarray(scale.levels)[(stated.cumsum(axis=1) < generator.random((10_000, 1))).sum(axis=1).clip(max=19)]
    started = time.process_time()
    cuts = fit_thresholds(ratings, stated, scale)
    assert time.process_time() - started < 10
    means = expected_ratings(stated, scale)
    assert quadratic_weighted_kappa(ratings, np.asarray(scale.levels)[np.searchsorted(cuts, means)], scale) > 0


@pytest.mark.parametrize("metric", METRICS)
def test_a_continuous_scale_has_ratings_for_errors_only(metric: Optimise) -> None:
    stated = np.full((2, len(CONTINUOUS)), 1 / len(CONTINUOUS))
    if metric in {"rmse", "mae"}:
        assert decide(stated, CONTINUOUS, metric) == pytest.approx(np.full(2, 50), abs=1)
    else:
        with pytest.raises(ConfigError, match=rf"{metric} compares levels, and the scale 0\.\.100 \(continuous\) has none"):
            decide(stated, CONTINUOUS, metric)
    with pytest.raises(ConfigError, match="qwk compares levels"):
        fit_thresholds([1.0], stated[:1], CONTINUOUS)


def test_what_does_not_fit_is_refused() -> None:
    stated = np.full((2, 5), 0.2)
    with pytest.raises(ConfigError, match="known are rmse, mae, accuracy, qwk"):
        decide(stated, STARS, "f1")  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="5 levels need 4 thresholds"):
        decide(stated, STARS, "qwk", [2.0, 3.0])
    with pytest.raises(ShapeError):
        decide(np.full((2, 4), 0.25), STARS, "qwk")
    with pytest.raises(DataError):
        fit_thresholds([1.0, np.nan], stated, STARS)
