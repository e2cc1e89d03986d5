import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from ratecast.errors import ScaleError, ShapeError
from ratecast.scale import RatingScale, format_level

HALVES = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0)


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("1..5", (1, 2, 3, 4, 5)),
        (" 1 .. 5 / 0.5 ", HALVES),
        ("0..1", (0, 1)),
        ("-1..1", (-1, 0, 1)),
        ("1,2,4,5", (1, 2, 4, 5)),
        ("5, 1, 3", (1, 3, 5)),
        ("0..0.3/0.1", (0, 0.1, 0.2, 0.3)),
        ("0..20", tuple(range(21))),
        ("1..2/0.333", (1, 4 / 3, 5 / 3, 2)),
    ],
)
def test_parse(text: str, levels: tuple[float, ...]) -> None:
    scale = RatingScale.parse(text)
    assert_allclose(scale.levels, levels)
    assert not scale.is_continuous
    assert (scale.low, scale.high) == (scale.levels[0], scale.levels[-1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("good..bad", "cannot read the scale"),
        ("1..2..3", "cannot read the scale"),
        ("1.2.3..4", "cannot read the scale"),
        ("", "cannot read the scale"),
        ("5..1", "is empty"),
        ("1..5/0", "is empty"),
        ("1..5/8", "is empty"),
        ("1..5/0.3", "steps of 0.3 do not lead from 1 to 5"),
        ("3", "at least two levels, found 3"),
        ("1,1", "at least two levels, found 1"),
        ("nan,1", "finite"),
        ("1,inf", "finite"),
        ("0..100", "continuous and takes its bins from ratings"),
        (",".join(map(str, range(22))), "at most 21 levels, found 22"),
    ],
)
def test_parse_refuses(text: str, message: str) -> None:
    with pytest.raises(ScaleError, match=message):
        RatingScale.parse(text)


@pytest.mark.parametrize(
    ("ratings", "description"),
    [
        ([1, 2, 4, 5], "1..5"),
        ([2, 3, 5], "1..5"),  # nobody gave one star
        ([3, 4, 5], "3..5"),  # but one who sees only the upper half cannot tell
        ([4, 7, 10], "1..10"),
        ([1, 2.5, 5], "1..5/0.5"),
        ([0, 1], "0,1"),
        ([-1, 0, 1], "-1..1"),
        ([1, 1.25, 2], "1..2/0.25"),
        ([20, 40, 60] * 20, "20..60/20"),
    ],
)
def test_infer_discrete(ratings: list[float], description: str) -> None:
    assert RatingScale.infer(ratings).describe() == description


def test_infer_continuous() -> None:
    scale = RatingScale.infer(np.random.default_rng(0).normal(size=500))
    assert scale.is_continuous
    assert len(scale) == 20


def test_ratings_far_from_zero_are_not_taken_for_whole_numbers() -> None:
    ratings = [1e6, 1e6 + 0.3, 1e6 + 5]
    assert RatingScale.infer(ratings).contains(ratings).all()


@pytest.mark.parametrize("ratings", [[], [4.0, 4.0]])
def test_infer_needs_different_ratings(ratings: list[float]) -> None:
    with pytest.raises(ScaleError, match="at least two different ratings"):
        RatingScale.infer(ratings)


def test_continuous_bins_hold_equally_many_ratings() -> None:
    ratings = np.arange(100) / 4
    scale = RatingScale.parse("0..100", ratings)
    assert (scale.low, scale.high, scale.describe()) == (0.0, 100.0, "0..100 (continuous)")
    assert list(np.bincount(scale.level_index(ratings))) == [5] * 20
    assert scale.levels[0] == pytest.approx(np.mean([0, 0.25, 0.5, 0.75, 1.0]))


def test_continuous_scale_of_lumped_ratings_has_no_empty_bin() -> None:
    ratings = [0.0] * 900 + list(np.linspace(0.1, 99.9, 100))
    scale = RatingScale.continuous(ratings)
    assert np.bincount(scale.level_index(ratings), minlength=len(scale)).min() > 0
    assert scale.levels[0] == pytest.approx(0.0, abs=1.0)


@pytest.mark.parametrize("others", [30, 5, 2])
@pytest.mark.parametrize("usual", [0.0, 100.0])
def test_bins_of_ratings_that_are_nearly_all_equal(usual: float, others: int) -> None:
    ratings = [usual] * 970 + list(np.linspace(7.1, 93.3, others))
    scale = RatingScale.infer(ratings)
    counts = np.bincount(scale.level_index(ratings))
    assert len(scale) == min(others + 1, 20)
    assert counts.min() > 0
    assert counts.max() == 970  # the usual rating has a bin to itself
    assert (scale.low, scale.high) == (min(ratings), max(ratings))


def test_continuous_refuses_what_lies_outside() -> None:
    with pytest.raises(ScaleError, match=r"ratings from 0 to 120 do not fit the scale 0\.\.100"):
        RatingScale.parse("0..100", [0.0, 50.5, 120.0])
    with pytest.raises(ScaleError, match="needs different ratings"):
        RatingScale.continuous([3.0, 3.0], 0.0, 10.0)


@pytest.mark.parametrize("levels", [(2.0, 1.0), (1.0, 1.0), (1.0,), (1.0, float("nan"))])
def test_impossible_levels_are_refused(levels: tuple[float, ...]) -> None:
    with pytest.raises(ScaleError):
        RatingScale(levels=levels, low=min(levels), high=max(levels))


def test_contains() -> None:
    stars = RatingScale.parse("1..5")
    assert list(stars.contains([1, 5, 0, 6, 2.5, np.nan, np.inf])) == [True, True, False, False, False, False, False]
    assert list(RatingScale.parse("1..5/0.5").contains([2.5, 2.25])) == [True, False]
    continuous = RatingScale.continuous(np.arange(100.0))
    assert list(continuous.contains([0, 98.99, 99.01, np.nan])) == [True, True, False, False]


def test_snap_and_level_index() -> None:
    scale = RatingScale.parse("1,2,4,5")
    assert list(scale.snap([0.0, 1.4, 1.6, 2.9, 3.1, 9.0])) == [1, 1, 2, 2, 4, 5]
    assert list(scale.level_index([1, 2, 4, 5])) == [0, 1, 2, 3]
    assert list(scale.cut_points()) == [1.5, 3.0, 4.5]


def test_a_rating_on_the_edge_of_two_bins_belongs_to_the_upper_one() -> None:
    scale = RatingScale(levels=(2.0, 8.0), low=0.0, high=10.0, edges=(0.0, 5.0, 10.0))
    assert list(scale.level_index([0.0, 4.9, 5.0, 10.0])) == [0, 0, 1, 1]
    assert list(scale.snap([5.0])) == [8.0]


def test_what_probabilities_say_by_hand() -> None:
    scale = RatingScale.parse("1,2,4")
    probabilities = np.array([[0.5, 0.1, 0.4], [0.0, 0.0, 1.0], [0.3, 0.3, 0.4]])
    assert_allclose(scale.mean(probabilities), [0.5 + 0.2 + 1.6, 4.0, 0.3 + 0.6 + 1.6])
    assert list(scale.median(probabilities)) == [1, 4, 2]
    assert list(scale.mode(probabilities)) == [1, 4, 4]


def test_quantiles_by_hand() -> None:
    scale = RatingScale(levels=(2.0, 8.0), low=0.0, high=12.0, edges=(0.0, 4.0, 12.0))
    probabilities = np.array([[0.25, 0.75], [1.0, 0.0]])
    # Uniform within a bin: a quarter of the mass lies below 4, the rest spreads over 4..12.
    assert_allclose(scale.quantiles(probabilities, (0.125, 0.25, 0.625)), [[2.0, 4.0, 8.0], [0.5, 1.0, 2.5]])
    assert_allclose(scale.median(probabilities), [4 + 8 / 3, 2.0])
    assert scale.quantiles(np.empty((0, 2))).shape == (0, 5)
    with pytest.raises(ScaleError, match="belong to a continuous scale"):
        RatingScale.parse("1..2").quantiles(probabilities)


@pytest.mark.parametrize("shape", [(4,), (2, 4), (2, 6)])
def test_probabilities_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"shape \(review, 5\)"):
        RatingScale.parse("1..5").mean(np.zeros(shape))


@pytest.mark.parametrize("text", ["1..5", "1..5/0.5", "1,2,4,5", "-1..1", "0..10/2"])
def test_description_reads_back(text: str) -> None:
    scale = RatingScale.parse(text)
    assert scale.describe() == text
    assert RatingScale.parse(scale.describe()) == scale


def test_descriptions_of_other_scales_read_back() -> None:
    thirds = RatingScale.infer(np.tile([1, 4 / 3, 5 / 3, 2], 20))
    assert thirds.describe() == "1..2/0.333333"
    assert RatingScale.parse(thirds.describe()).contains(thirds.levels).all()
    for ratings in (np.arange(101.0), np.linspace(1, 5, 50)):
        scale = RatingScale.continuous(ratings)
        assert RatingScale.parse(scale.describe(), ratings) == scale
    with pytest.raises(ScaleError, match="takes its bins from ratings"):
        RatingScale.parse("1..5 (continuous)")


def test_labels_are_short() -> None:
    assert RatingScale.parse("1..2/0.5").labels == ("1", "1.5", "2")
    assert format_level(0.1 + 0.2) == "0.3"


@pytest.mark.parametrize("scale", [RatingScale.parse("1..5/0.5"), RatingScale.continuous(np.arange(50.0))])
def test_json_round_trip(scale: RatingScale) -> None:
    assert RatingScale.from_json(json.loads(json.dumps(scale.to_json()))) == scale


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"levels": [1], "low": 1, "high": 1, "edges": []},
        {"levels": ["a", "b"], "low": 1, "high": 2, "edges": []},
        {"levels": [1, 2], "low": 1, "high": 2, "edges": [1, 2]},
        {"levels": 5, "low": 1, "high": 2, "edges": []},
    ],
)
def test_damaged_json_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(ScaleError):
        RatingScale.from_json(value)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=200).filter(lambda ratings: len(np.unique(ratings)) > 1))
def test_every_rating_fits_the_scale_inferred_from_it(ratings: list[float]) -> None:
    scale = RatingScale.infer(ratings)
    assert scale.contains(ratings).all()
    assert (np.diff(scale.levels) > 0).all()
    assert scale.low <= scale.levels[0] < scale.levels[-1] <= scale.high
    assert scale.level_index(ratings).max() < len(scale)


@given(st.data())
def test_predictions_stay_on_the_scale(data: st.DataObject) -> None:
    scale = data.draw(st.sampled_from([RatingScale.parse("1..5/0.5"), RatingScale.continuous(np.arange(90.0) ** 2)]))
    weights = data.draw(st.lists(st.floats(0, 1), min_size=len(scale), max_size=len(scale)).filter(lambda row: sum(row) > 1e-3))
    probabilities = np.array([weights]) / sum(weights)
    for value in (scale.mean(probabilities), scale.median(probabilities), scale.mode(probabilities)):
        assert scale.low <= value[0] <= scale.high
    assert scale.contains(scale.mode(probabilities)).all()
