"""Bootstrap intervals against a loop over resampled reviews, and what paired differences say."""

import json
import math
import time

import numpy as np
import pytest

from ratecast.errors import DataError
from ratecast.evaluate.bootstrap import (
    MIN_REVIEWS,
    Difference,
    bootstrap,
    bootstrap_intervals,
    paired_difference,
)
from ratecast.evaluate.metrics import METRICS, compute_metrics
from ratecast.scale import FloatArray, RatingScale

STARS = RatingScale.parse("1..5")


def drawn(reviews: int, noise: float, scale: RatingScale = STARS, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """Ratings, and probabilities around the rating plus an error that grows with ``noise``; the same error for each noise."""
    generator = np.random.default_rng(seed)
    levels = np.asarray(scale.levels)
    ratings = generator.choice(levels, size=reviews)
    centre = ratings + noise * (scale.high - scale.low) / 4 * generator.normal(size=reviews)
    scores = -((levels - centre[:, None]) ** 2)
    probabilities = np.exp(scores - scores.max(axis=1, keepdims=True))
    return ratings, probabilities / probabilities.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("scale", [STARS, RatingScale.continuous(np.arange(101.0), 0, 100)], ids=["levels", "bins"])
def test_resamples_are_measured_exactly(scale: RatingScale) -> None:
    ratings, probabilities = drawn(60, 1.0, scale)
    found = bootstrap(ratings, {"a": probabilities}, scale, samples=20, seed=3)
    whole = compute_metrics(ratings, probabilities, scale)
    rows = np.random.default_rng(3).integers(60, size=(20, 60))  # the draws that the implementation documents by its seed
    for name, value in found.whole["a"].items():
        assert value == pytest.approx(getattr(whole, name), abs=1e-9), name
    for sample, chosen in enumerate(rows):
        expected = compute_metrics(ratings[chosen], probabilities[chosen], scale)
        for name, values in found.drawn["a"].items():
            assert values[sample] == pytest.approx(getattr(expected, name), abs=1e-8), name
    assert set(found.drawn["a"]) == {name for name in METRICS if getattr(whole, name) is not None}


def test_chunks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    ratings, probabilities = drawn(50, 1.0)
    whole = bootstrap_intervals(ratings, probabilities, STARS, samples=101)
    monkeypatch.setattr("ratecast.evaluate.bootstrap._CHUNK_WEIGHTS", 500)
    chunked = bootstrap_intervals(ratings, probabilities, STARS, samples=101)
    assert {name: pytest.approx(ends) for name, ends in whole.items()} == chunked


def test_copies_are_resampled_together() -> None:
    ratings, probabilities = drawn(150, 1.0)
    copies = np.random.default_rng(1).integers(1, 9, size=150)
    groups = np.repeat(np.arange(150), copies)
    errors = (np.repeat(STARS.mean(probabilities) - ratings, copies)) ** 2
    many = bootstrap(
        np.repeat(ratings, copies),
        {"a": np.repeat(probabilities, copies, axis=0)},
        STARS,
        metrics=("mse", "spearman"),
        groups=groups,
        samples=2000,
    )
    # Standard error of a ratio of sums over clusters (Cochran 1977, "Sampling Techniques", section 9A.1).
    of_group = np.bincount(groups, errors - errors.mean())
    expected = math.sqrt(float(of_group @ of_group)) / len(groups)
    assert many.drawn["a"]["mse"].std() == pytest.approx(expected, rel=0.1)
    single = bootstrap(ratings, {"a": probabilities}, STARS, metrics=("mse", "spearman"), samples=2000)
    twice = bootstrap(
        np.tile(ratings, 2), {"a": np.tile(probabilities, (2, 1))}, STARS, groups=np.tile(np.arange(150), 2), samples=2000
    )
    for metric in ("mse", "spearman"):  # as many copies of each review: exactly what one of each says
        np.testing.assert_allclose(twice.drawn["a"][metric], single.drawn["a"][metric], rtol=1e-9)


def test_interval_of_a_mean_is_the_known_one() -> None:
    ratings, probabilities = drawn(2000, 1.0)
    mode = STARS.mode(probabilities)
    share = float(np.mean(mode == ratings))
    half = 1.96 * math.sqrt(share * (1 - share) / 2000)
    low, high = bootstrap_intervals(ratings, probabilities, STARS)["accuracy"]
    assert low == pytest.approx(share - half, abs=0.1 * half)
    assert high == pytest.approx(share + half, abs=0.1 * half)


def test_the_same_seed_gives_the_same_interval() -> None:
    ratings, probabilities = drawn(100, 1.0)
    first = bootstrap_intervals(ratings, probabilities, STARS, seed=1)
    assert first == bootstrap_intervals(ratings, probabilities, STARS, seed=1)
    assert first != bootstrap_intervals(ratings, probabilities, STARS, seed=2)


def test_higher_confidence_is_wider() -> None:
    ratings, probabilities = drawn(100, 1.0)
    narrow = bootstrap_intervals(ratings, probabilities, STARS, confidence=0.5)["rmse"]
    wide = bootstrap_intervals(ratings, probabilities, STARS, confidence=0.99)["rmse"]
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_ten_thousand_reviews_take_seconds() -> None:
    ratings, probabilities = drawn(10_000, 1.0)
    started = time.process_time()
    bootstrap_intervals(ratings, probabilities, STARS)
    assert time.process_time() - started < 5


def test_few_reviews_have_no_interval() -> None:
    for reviews in (1, MIN_REVIEWS - 1):
        ratings, probabilities = drawn(reviews, 1.0)
        assert all(math.isnan(end) for ends in bootstrap_intervals(ratings, probabilities, STARS).values() for end in ends)
        found = paired_difference(ratings, probabilities, np.full((reviews, 5), 0.2), STARS)
        assert math.isnan(found.low)
        assert math.isnan(found.probability_better)
        assert not found.is_clear
        assert "the data cannot tell" in found.summary()
    assert not math.isnan(bootstrap_intervals(*drawn(MIN_REVIEWS, 1.0), STARS)["rmse"][0])


def test_equal_ratings_leave_the_order_undefined() -> None:
    probabilities = drawn(50, 1.0)[1]
    found = bootstrap_intervals(np.full(50, 4.0), probabilities, STARS)
    assert math.isnan(found["spearman"][0])
    assert not math.isnan(found["rmse"][0])


def test_a_better_model_is_told_from_a_worse_one() -> None:
    ratings, good = drawn(400, 0.6)
    _, bad = drawn(400, 1.2)
    for metric, info in METRICS.items():
        if metric == "ece":
            continue
        found = paired_difference(ratings, good, bad, STARS, metric=metric, samples=500)
        assert found.is_better, metric
        assert found.probability_better > 0.99
        assert (found.difference < 0) == (info.better == "lower")
        assert found.low < found.difference < found.high
        turned = paired_difference(ratings, bad, good, STARS, metric=metric, samples=500)
        assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))
        assert not turned.is_better
        assert turned.is_clear


def test_pairing_sees_what_two_intervals_do_not() -> None:
    ratings, a = drawn(300, 1.0)
    b = 0.97 * a + 0.03 * np.eye(5)[STARS.level_index(ratings)]  # the same errors, each a little smaller
    apart = [bootstrap_intervals(ratings, p, STARS)["rmse"] for p in (a, b)]
    assert apart[1][1] > apart[0][0]
    assert paired_difference(ratings, b, a, STARS).is_better


def test_equal_models_cannot_be_told_apart() -> None:
    ratings, probabilities = drawn(100, 1.0)
    found = paired_difference(ratings, probabilities, probabilities, STARS)
    assert (found.difference, found.low, found.high, found.probability_better) == (0, 0, 0, 0.5)
    assert not found.is_clear


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Two models of equal quality: about 95 % of the intervals of their difference hold zero."""
    held = 0
    for seed in range(200):
        ratings, good = drawn(150, 1.0, seed=seed)
        _, bad = drawn(150, 2.0, seed=seed)
        fair = np.random.default_rng(1000 + seed).random((150, 1)) < 0.5  # a coin decides who gets the good prediction
        a, b = np.where(fair, good, bad), np.where(fair, bad, good)
        held += not paired_difference(ratings, a, b, STARS, samples=400).is_clear
    assert 180 <= held <= 199


def test_summaries_in_words() -> None:
    better = Difference(metric="rmse", difference=-0.031, low=-0.05, high=-0.012, probability_better=1.0)
    assert better.summary() == "0.031 lower RMSE (95 % interval 0.012 to 0.050)"
    higher = Difference(metric="qwk", difference=0.02, low=0.01, high=0.03, probability_better=1.0)
    assert higher.summary() == "0.020 higher QWK (95 % interval 0.010 to 0.030)"
    assert higher.is_better
    unclear = Difference(metric="rmse", difference=-0.005, low=-0.02, high=0.01, probability_better=0.7, confidence=0.9)
    assert unclear.summary() == "0.005 lower RMSE (90 % interval 0.020 lower to 0.010 higher: the data cannot tell)"


def test_differences_are_stored_and_read_again() -> None:
    for low in (-0.05, math.nan):
        found = Difference(metric="rmse", difference=-0.031, low=low, high=-0.012, probability_better=1.0)
        assert repr(Difference.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)))) == repr(found)
    with pytest.raises(DataError):
        Difference.from_json({"metric": "rmse"})


def test_unknown_and_undefined_metrics() -> None:
    ratings, probabilities = drawn(20, 1.0)
    with pytest.raises(DataError, match="known are rmse"):
        paired_difference(ratings, probabilities, probabilities, STARS, metric="r2")
    scale = RatingScale.continuous(np.arange(100.0))
    values = np.linspace(0, 99, 20)
    uniform = np.full((20, len(scale)), 1 / len(scale))
    with pytest.raises(DataError, match="continuous"):
        paired_difference(values, uniform, uniform, scale, metric="qwk")
    assert "qwk" not in bootstrap_intervals(values, uniform, scale)
