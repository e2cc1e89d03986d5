"""Reliability and expected calibration error, worked by hand."""

import numpy as np
import pytest

from ratecast.errors import ShapeError
from ratecast.evaluate.calibration import calibration_test, confidence_bins, expected_calibration_error, reliability
from ratecast.scale import RatingScale

TWO = RatingScale.parse("0..1")


def test_expected_calibration_error_by_hand() -> None:
    # Four reviews at 90 %, three right: gap 0.15. One at 60 %, wrong: gap 0.6. (4 · 0.15 + 1 · 0.6) / 5 = 0.24.
    probabilities = [[0.9, 0.1]] * 4 + [[0.4, 0.6]]
    assert expected_calibration_error([0, 0, 0, 1, 0], probabilities, TWO) == pytest.approx(0.24)


def test_gaps_of_opposite_sign_cancel_within_a_bin_only() -> None:
    same_bin = [[0.9, 0.1], [0.1, 0.9]]
    assert expected_calibration_error([0, 0], same_bin, TWO) == pytest.approx(0.4)  # 90 % sure, 50 % right
    other_bins = [[0.9, 0.1], [0.4, 0.6]]
    assert expected_calibration_error([0, 0], other_bins, TWO) == pytest.approx((0.1 + 0.6) / 2)


def test_a_bin_includes_its_upper_edge() -> None:
    assert confidence_bins(np.array([1 / 15, 9 / 15, 0.6, 0.6001, 1.0, 0.0])).tolist() == [0, 8, 8, 9, 14, 0]


def test_reliability_counts_every_review_once() -> None:
    found = reliability([0, 0, 0, 1, 0], [[0.9, 0.1]] * 4 + [[0.4, 0.6]], TWO)
    assert found.edges.shape == (16,)
    assert found.reviews.shape == found.confidence.shape == found.accuracy.shape == (15,)
    assert found.reviews.sum() == 5
    assert found.reviews[13] == 4
    assert found.accuracy[13] == pytest.approx(0.75)
    assert found.confidence[8] == pytest.approx(0.6)
    assert np.isnan(found.accuracy[0])


def test_certainty_about_everything() -> None:
    assert expected_calibration_error([0, 1], [[1.0, 0.0], [0.0, 1.0]], TWO) == 0
    assert expected_calibration_error([1, 0], [[1.0, 0.0], [0.0, 1.0]], TWO) == 1


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ShapeError):
        expected_calibration_error([0, 1], [[1.0, 0.0]], TWO)


def test_perfectly_calibrated_probabilities_pass_and_their_error_is_that_of_chance() -> None:
    draw = np.random.default_rng(1)
    first = draw.uniform(0.5, 1, 800)
    probabilities = np.stack([first, 1 - first], axis=1)
    found = [calibration_test(draw.random(800) > first, probabilities, TWO, resamples=200) for _ in range(100)]
    assert np.mean([one.error for one in found]) == pytest.approx(found[0].chance, rel=0.05)
    assert sum(one.is_clear for one in found) <= 12  # five are expected
    assert abs(np.mean([one.bias for one in found])) < 0.005


def test_overconfidence_beyond_chance_is_told_with_its_size() -> None:
    draw = np.random.default_rng(1)
    ratings = (draw.random(2000) > 0.8).astype(float)  # says 90 %, right in 80 %
    found = calibration_test(ratings, [[0.9, 0.1]] * 2000, TWO)
    assert found.is_clear
    assert found.error == pytest.approx(expected_calibration_error(ratings, [[0.9, 0.1]] * 2000, TWO))
    assert found.bias == pytest.approx(ratings.mean() - 0.1)
    assert "is beyond chance, too sure by" in found.summary()


def test_one_bin_of_equal_confidence_by_the_binomial() -> None:
    # The error is |successes / 100 - 0.5|, whose mean is that of a binomial: 0.0398, and whose 95 % quantile is 0.10.
    found = calibration_test([0.0] * 100, [[0.5, 0.5]] * 100, TWO, resamples=20_000)
    assert found.chance == pytest.approx(0.0398, rel=0.02)
    assert found.critical == pytest.approx(0.10)


def test_copies_count_once() -> None:
    draw = np.random.default_rng(1)
    ratings, groups = np.repeat((draw.random(50) > 0.9).astype(float), 20), np.repeat(np.arange(50), 20)
    apart = calibration_test(ratings, [[0.9, 0.1]] * 1000, TWO)
    together = calibration_test(ratings, [[0.9, 0.1]] * 1000, TWO, groups=groups)
    assert together.chance == pytest.approx(apart.chance * np.sqrt(20), rel=0.1)
