"""Reliability and expected calibration error, worked by hand."""

import numpy as np
import pytest

from ratecast.errors import ShapeError
from ratecast.evaluate.calibration import confidence_bins, expected_calibration_error, reliability
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
