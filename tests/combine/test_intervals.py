"""Conformal intervals: the sets of a brute-force reference, and coverage in simulations."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from scipy.stats import binom

from ratecast.combine.intervals import Intervals
from ratecast.errors import ConfigError, DataError, ModelFolderError, ShapeError
from ratecast.scale import FloatArray, RatingScale

STARS = RatingScale.parse("1..5")
CONTINUOUS = RatingScale(levels=(1.0, 3.0, 5.5, 8.0), low=0.0, high=10.0, edges=(0.0, 2.0, 4.0, 7.0, 10.0))
SCALES = {
    "stars": STARS,
    "ten": RatingScale.parse("1..10"),
    "uneven": RatingScale.parse("0,1,4,5,20"),
    "continuous": RatingScale.continuous(np.random.default_rng(9).beta(2, 1, size=2000) * 100, 0, 100),
}


def drawn(reviews: int, scale: RatingScale, seed: int) -> tuple[FloatArray, FloatArray]:
    """Ratings, and probabilities of a model that is wrong in its own way: too sure of itself, and biased upwards."""
    generator = np.random.default_rng(seed)
    places = np.arange(len(scale))
    centre = generator.uniform(-0.5, len(scale) - 0.5, size=(reviews, 1))
    true = np.exp(-(((places - centre) / (0.15 * len(scale) + 0.3)) ** 2))
    true /= true.sum(axis=1, keepdims=True)
    chosen = (true.cumsum(axis=1) < generator.random((reviews, 1))).sum(axis=1).clip(max=len(scale) - 1)
    stated = np.exp(-(((places - centre - 0.3) / (0.1 * len(scale) + 0.2)) ** 2))
    stated = stated / stated.sum(axis=1, keepdims=True)
    if not scale.is_continuous:
        return np.asarray(scale.levels)[chosen], stated
    edges = np.asarray(scale.edges)
    return edges[chosen] + generator.random(reviews) * np.diff(edges)[chosen], stated


def reference_score(row: list[float], level: int) -> float:
    """Mass of the set, grown one by one from the most probable level, that a level comes to."""
    chosen = [max(range(len(row)), key=lambda k: row[k])]
    if level in chosen:
        return 0.0
    while True:
        near = [k for k in (min(chosen) - 1, max(chosen) + 1) if 0 <= k < len(row)]
        following = max(near, key=lambda k: row[k])
        if following == level:
            return sum(row[k] for k in chosen)
        chosen.append(following)


def test_a_case_worked_by_hand() -> None:
    """Levels are added in the order 4, 3, 5, 2, 1, to masses of 0, 0.4, 0.65, 0.85 and 0.95."""
    row = [[0.05, 0.1, 0.25, 0.4, 0.2]]
    scores = [float(Intervals.fit([rating], row, STARS).scores[0]) for rating in (1, 2, 3, 4, 5)]
    assert scores == pytest.approx([0.95, 0.85, 0.4, 0.0, 0.65])
    found = Intervals(scores=np.array([0.3, 0.5, 0.7]))
    assert found.intervals(row, STARS, 0.5).tolist() == [[3, 4]]  # ⌈4 · 0.5⌉ = second score
    assert found.intervals(row, STARS, 0.75).tolist() == [[3, 5]]
    assert found.intervals(row, STARS, 0.25).tolist() == [[4, 4]]  # 0.3 is below the mode's own mass
    assert found.intervals(row, STARS, 0.76).tolist() == [[1, 5]]  # ⌈4 · 0.76⌉ = 4 of 3 scores


def test_a_continuous_case_worked_by_hand() -> None:
    """F is 0, 0.2, 0.2, 0.8, 1 at the edges 0, 2, 4, 7, 10."""
    row = [[0.2, 0.0, 0.6, 0.2]]
    scores = [float(Intervals.fit([rating], row, CONTINUOUS).scores[0]) for rating in (0, 1, 3, 5.5, 10)]
    assert scores == pytest.approx([0.5, 0.4, 0.3, 0.0, 0.5])
    found = Intervals(scores=np.array([0.1, 0.3, 0.4]))
    assert found.intervals(row, CONTINUOUS, 0.25)[0] == pytest.approx([5, 6])
    assert found.intervals(row, CONTINUOUS, 0.5)[0] == pytest.approx([2, 7])  # the level part from 2 to 4 belongs to it
    assert found.intervals(row, CONTINUOUS, 0.75)[0] == pytest.approx([1, 8.5])


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
def test_intervals_hold_as_many_ratings_as_they_say(scale: RatingScale, coverage: float) -> None:
    """Over 300 draws of 99 held-out reviews and one new review each, within what the binomial distribution allows."""
    trials = 300
    held = []
    for seed in range(trials):
        ratings, stated = drawn(100, scale, seed)
        fitted = Intervals.fit(ratings[1:], stated[1:], scale, coverage)
        low, high = fitted.intervals(stated[:1], scale)[0]
        held.append(low - 1e-9 <= ratings[0] <= high + 1e-9)
    lowest, highest = binom.interval(0.999, trials, coverage)
    assert sum(held) >= lowest
    if scale.is_continuous or coverage > 0.6:  # the most probable level, which always belongs, may hold more than half
        assert sum(held) <= highest


def test_a_model_that_is_mostly_sure_and_right_has_narrow_sets() -> None:
    """Eight of ten reviews are 5 and said to be so with 0.97. The others need the set of the levels 3 and 4 for 90 %."""
    ratings = np.array(([5.0] * 8 + [3.0, 1.0]) * 100)
    stated = np.array(([[0.0, 0.0, 0.01, 0.02, 0.97]] * 8 + [[0.1, 0.15, 0.3, 0.4, 0.05]] * 2) * 100)
    for coverage, ends in ((0.75, [[5, 5], [4, 4]]), (0.85, [[5, 5], [3, 4]])):
        fitted = Intervals.fit(ratings, stated, STARS, coverage)
        assert fitted.intervals(stated[[0, 8]], STARS).tolist() == ends


def test_levels_are_held_as_often_as_asked() -> None:
    ratings, stated = drawn(20_000, STARS, 1)
    fitted = Intervals.fit(ratings[:10_000], stated[:10_000], STARS, 0.9)
    ends = fitted.intervals(stated[10_000:], STARS)
    held = (ends[:, 0] <= ratings[10_000:]) & (ratings[10_000:] <= ends[:, 1])
    assert held.mean() == pytest.approx(0.9, abs=0.012)


rows = st.lists(st.integers(0, 20), min_size=5, max_size=5).filter(lambda row: sum(row) > 0)


@given(st.lists(st.tuples(rows, st.integers(1, 5)), min_size=1, max_size=30), st.sampled_from([0.3, 0.5, 0.75, 0.9, 0.99]))
@settings(max_examples=150, deadline=None)
def test_sets_equal_the_reference_and_hold_the_held_out_ratings(
    drawn_rows: list[tuple[list[int], int]], coverage: float
) -> None:
    stated = np.array([np.array(row) / sum(row) for row, _ in drawn_rows])
    ratings = np.array([float(rating) for _, rating in drawn_rows])
    fitted = Intervals.fit(ratings, stated, STARS, coverage)
    ends = fitted.intervals(stated, STARS)
    reach = fitted.quantile()
    for row, (low, high) in zip(stated.tolist(), ends.tolist(), strict=True):
        members = {level + 1 for level in range(5) if reference_score(row, level) <= reach + 1e-9}
        assert members == set(range(int(low), int(high) + 1))
    held = ((ends[:, 0] <= ratings) & (ratings <= ends[:, 1])).sum()
    assert held >= min(len(ratings), math.ceil((len(ratings) + 1) * coverage - 1e-9))


bins = st.lists(st.integers(0, 20), min_size=4, max_size=4).filter(lambda row: sum(row) > 0)


@given(st.lists(st.tuples(bins, st.floats(0, 10)), min_size=1, max_size=30), st.sampled_from([0.3, 0.5, 0.75, 0.9]))
@settings(max_examples=150, deadline=None)
def test_quantiles_hold_the_held_out_ratings(drawn_rows: list[tuple[list[int], float]], coverage: float) -> None:
    stated = np.array([np.array(row) / sum(row) for row, _ in drawn_rows])
    ratings = np.array([rating for _, rating in drawn_rows])
    fitted = Intervals.fit(ratings, stated, CONTINUOUS, coverage)
    ends = fitted.intervals(stated, CONTINUOUS)
    assert (ends[:, 0] <= ends[:, 1]).all()
    assert (ends >= 0).all()
    assert (ends <= 10).all()
    held = ((ends[:, 0] <= ratings + 1e-7) & (ratings - 1e-7 <= ends[:, 1])).sum()
    assert held >= min(len(ratings), math.ceil((len(ratings) + 1) * coverage - 1e-9))


@pytest.mark.parametrize("seed", range(5))
def test_repeated_ratings_on_a_continuous_scale_are_not_lost_to_rounding(seed: int) -> None:
    """A constant model of whole-number ratings: many scores equal the quantile, and all those ratings belong."""
    scale = RatingScale.continuous(np.arange(101.0), 0, 100)
    row = np.random.default_rng(seed).dirichlet(np.ones(len(scale)))
    ratings = np.repeat(np.arange(101.0), 3)
    stated = np.tile(row, (len(ratings), 1))
    for coverage in (0.5, 0.6, 0.7, 0.8, 0.9):
        ends = Intervals.fit(ratings, stated, scale, coverage).intervals(stated, scale)
        held = ((ends[:, 0] <= ratings) & (ratings <= ends[:, 1])).sum()
        assert held >= math.ceil((len(ratings) + 1) * coverage - 1e-9)


def test_rows_that_sum_to_one_only_nearly_reach_the_ends_of_the_scale() -> None:
    widest = Intervals(scores=np.array([0.5]), coverage=0.5)
    for row in ([0.2, 0.0, 0.6, 0.2005], [0.2, 0.0, 0.6, 0.1995]):
        assert widest.intervals([row], CONTINUOUS).tolist() == [[0, 10]]


def test_more_coverage_is_never_narrower() -> None:
    for scale in SCALES.values():
        ratings, stated = drawn(200, scale, 3)
        fitted = Intervals.fit(ratings, stated, scale)
        narrow, wide = fitted.intervals(stated, scale, 0.6), fitted.intervals(stated, scale, 0.9)
        assert (wide[:, 0] <= narrow[:, 0]).all()
        assert (narrow[:, 1] <= wide[:, 1]).all()
        assert (wide[:, 1] - wide[:, 0]).mean() > (narrow[:, 1] - narrow[:, 0]).mean()


def test_too_few_held_out_reviews_give_the_whole_scale_and_say_so() -> None:
    for scale in (STARS, CONTINUOUS):
        ratings, stated = drawn(8, scale, 0)
        fitted = Intervals.fit(ratings, stated, scale, 0.9)
        assert fitted.intervals(stated[:2], scale).tolist() == [[scale.low, scale.high]] * 2
        assert fitted.warning() == (
            "every interval is the whole scale: intervals that hold 90 % of the ratings need 9 held-out reviews, found 8; "
            "hold out more reviews or ask for less coverage"
        )
        assert fitted.warning(0.8) is None
    ratings, stated = drawn(9, STARS, 0)
    assert Intervals.fit(ratings, stated, STARS, 0.9).quantile() < math.inf


def test_no_review_has_no_interval() -> None:
    assert Intervals(scores=np.array([0.5])).intervals(np.empty((0, 5)), STARS).shape == (0, 2)


@pytest.mark.parametrize("coverage", [0.0, 1.0, 90.0, math.nan])
def test_impossible_coverage(coverage: float) -> None:
    with pytest.raises(ConfigError, match="above 0 and below 1"):
        Intervals(scores=np.array([0.5]), coverage=coverage)
    with pytest.raises(ConfigError, match="above 0 and below 1"):
        Intervals(scores=np.array([0.5])).quantile(coverage)


def test_arrays_that_do_not_fit() -> None:
    with pytest.raises(ShapeError):
        Intervals.fit([], np.empty((0, 5)), STARS)
    with pytest.raises(ShapeError):
        Intervals(scores=np.array([0.5])).intervals([[0.5, 0.5]], STARS)
    with pytest.raises(DataError):
        Intervals(scores=np.array([0.5])).intervals([[0.5, 0.5, 0.5, 0.0, 0.0]], STARS)


def about(coverage: float) -> str:
    return json.dumps({"coverage": coverage, "score": "mass before"})


def test_saved_intervals_come_back_and_damage_is_told(tmp_path: Path) -> None:
    ratings, stated = drawn(50, STARS, 0)
    fitted = Intervals.fit(ratings, stated, STARS, 0.8)
    files = fitted.save(tmp_path, "intervals")
    assert files == ["intervals.safetensors"]
    found = Intervals.load(tmp_path, files)
    np.testing.assert_array_equal(found.scores, fitted.scores)
    assert found.coverage == 0.8
    save_file({"scores": np.array([0.5, 0.1])}, tmp_path / "turned.safetensors", metadata={"ratecast": about(0.9)})
    with pytest.raises(ModelFolderError, match="ascending"):
        Intervals.load(tmp_path, ["turned.safetensors"])
    save_file({"scores": np.array([0.5])}, tmp_path / "wide.safetensors", metadata={"ratecast": about(90)})
    save_file({"scores": np.array([0.5])}, tmp_path / "older.safetensors", metadata={"ratecast": '{"coverage": 0.9}'})
    save_file({"scores": np.array([0.5])}, tmp_path / "bare.safetensors")
    (tmp_path / files[0]).write_bytes(b"damaged")
    for damaged in (files, ["absent.safetensors"], [], ["wide.safetensors"], ["bare.safetensors"], ["older.safetensors"]):
        with pytest.raises(ModelFolderError, match="cannot read the intervals"):
            Intervals.load(tmp_path, damaged)
