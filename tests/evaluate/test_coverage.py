import numpy as np
import pytest
from scipy.stats import binomtest

from ratecast.errors import DataError, ShapeError
from ratecast.evaluate.coverage import interval_coverage


@pytest.mark.parametrize(("covered", "reviews"), [(90, 100), (0, 7), (7, 7), (1, 1)])
def test_the_share_and_its_interval_are_those_of_scipy(covered: int, reviews: int) -> None:
    ratings = np.where(np.arange(reviews) < covered, 3.0, 5.0)
    found = interval_coverage(ratings, np.tile([1.0, 4.0], (reviews, 1)), 0.9)
    expected = binomtest(covered, reviews).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert found.covered_fraction == covered / reviews
    assert found.mean_width == 3.0


def test_both_ends_belong_to_an_interval() -> None:
    assert interval_coverage([1, 4, 4.1], [[1, 4]] * 3, 0.5).covered_fraction == pytest.approx(2 / 3)


def test_in_words() -> None:
    short = interval_coverage([1.0] * 70 + [5.0] * 30, [[1, 2]] * 100, 0.9)
    assert short.is_short
    assert short.summary() == (
        "90 % intervals hold 70.0 % (95 % interval 60.4 to 78.1) of 100 ratings: fewer than asked; they are 1 wide on average"
    )
    assert not interval_coverage([1.0] * 88 + [5.0] * 12, [[1, 2]] * 100, 0.9).is_short
    assert short.to_json()["asked"] == 0.9


def test_arrays_that_do_not_fit() -> None:
    for ratings, intervals in (([1, 2], [[1, 2]]), ([], np.empty((0, 2))), ([1], [[1, 2, 3]])):
        with pytest.raises(ShapeError):
            interval_coverage(ratings, intervals, 0.9)
    for rating, ends in ((np.nan, (1, 2)), (1, (2, 1)), (1, (1, np.inf))):
        with pytest.raises(DataError):
            interval_coverage([rating], [ends], 0.9)
