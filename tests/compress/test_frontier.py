"""The frontier: which models are tried, what each costs, and which one a limit chooses."""

import numpy as np
import pytest

from ratecast.combine.blend import Blend
from ratecast.combine.cascade import Cascade
from ratecast.compress.frontier import Limits, Part, Point, blended, cascades, choices, choose, closest, frontier
from ratecast.records import Reviews, strings
from ratecast.scale import FloatArray, RatingScale

SCALE = RatingScale.parse("1..5")
LEVELS = np.asarray(SCALE.levels)
RATINGS = np.random.default_rng(0).choice(LEVELS, 1500)
HELD_OUT = Reviews(text=strings("" for _ in RATINGS), rating=RATINGS)


def part(name: str, noise: FloatArray | float, ms: float, *, seed: int, is_neural: bool = False) -> Part:
    """A part that sees the ratings through noise whose size it knows."""
    sizes = np.broadcast_to(np.asarray(noise), RATINGS.shape)
    seen = RATINGS + sizes * np.random.default_rng(seed).normal(size=len(RATINGS))
    logits = -((LEVELS - seen[:, None]) ** 2) / (2 * sizes[:, None] ** 2)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    found = odds / odds.sum(axis=1, keepdims=True)
    return Part(name=name, probabilities=found, batch_ms=ms, single_ms=3 * ms, megabytes=ms, is_neural=is_neural)


MIXED = np.random.default_rng(9).choice([0.5, 1.6], len(RATINGS))
PARTS = {
    found.name: found
    for found in (
        part("graph", 0.6, 8.0, seed=1, is_neural=True),
        part("small", 0.9, 2.0, seed=2, is_neural=True),
        part("words", MIXED, 0.1, seed=3),
    )
}


def point(names: str) -> Point:
    return blended(PARTS, names.split(), HELD_OUT, SCALE)


def test_every_set_has_one_network_at_most() -> None:
    assert sorted(map(sorted, choices(PARTS))) == [["graph"], ["graph", "words"], ["small"], ["small", "words"], ["words"]]


def test_a_blend_costs_what_its_members_cost_together() -> None:
    found = point("small words")
    assert isinstance(found.answer, Blend)
    assert found.answer.members == ("small", "words")
    assert (found.batch_ms, found.single_ms, found.megabytes) == pytest.approx((2.1, 6.3, 2.1))
    assert found.rmse < min(point("small").rmse, point("words").rmse)
    assert found.rmse == pytest.approx(float(np.sqrt(np.mean((found.probabilities @ LEVELS - RATINGS) ** 2))))


def test_points_that_another_one_beats_are_not_on_the_frontier() -> None:
    points = [point(names) for names in ("graph words", "small", "small words", "words", "graph")]
    assert [found.name for found in frontier(points)][-1] == "graph + words"
    assert all(
        a.batch_ms < b.batch_ms and a.rmse > b.rmse for a, b in zip(frontier(points), frontier(points)[1:], strict=False)
    )


def test_cascades_lie_between_their_ends_and_keep_their_limit() -> None:
    whole = point("graph words")
    limit = 1.02 * whole.rmse
    found = list(cascades([whole, point("words")], PARTS, HELD_OUT, SCALE, most_rmse=[limit]))
    (cascade,) = found
    assert isinstance(cascade.answer, Cascade)
    assert cascade.answer.first.members == ("words",)
    assert cascade.rmse <= limit
    fraction = cascade.answer.passed_fraction
    assert 0.2 < fraction < 0.8
    assert cascade.batch_ms == pytest.approx(0.1 + fraction * 8.0)  # the words are not read twice
    assert cascade.slowest_ms == pytest.approx(0.3 + 24.0)
    assert cascade.single_ms == pytest.approx(0.3 if fraction < 0.5 else 24.3)
    assert cascade.rmse == pytest.approx(float(np.sqrt(np.mean((cascade.probabilities @ LEVELS - RATINGS) ** 2))))


def test_a_cascade_that_passes_nearly_every_review_on_is_none() -> None:
    whole = point("graph words")
    for limit, found in ((1.0001, 0), (1.02, 1)):
        made = list(cascades([whole, point("words")], PARTS, HELD_OUT, SCALE, most_rmse=[limit * whole.rmse]))
        assert len(made) == found
        assert all(cascade.batch_ms <= 0.9 * whole.batch_ms for cascade in made)


def test_the_standard_error_of_a_loss_is_that_of_a_paired_bootstrap() -> None:
    whole, other = point("graph words"), point("words")
    rng = np.random.default_rng(0)
    rows = rng.integers(len(RATINGS), size=(2000, len(RATINGS)))
    losses = np.sqrt(other.squared_errors[rows].mean(axis=1) / whole.squared_errors[rows].mean(axis=1)) - 1
    assert other.loss_error(whole) == pytest.approx(float(losses.std()), rel=0.25)
    assert whole.loss_error(whole) == 0


def test_a_loss_chooses_the_quickest_and_a_time_the_best() -> None:
    points = [point(names) for names in ("graph words", "small words", "words")]
    whole = points[0]
    loss = points[1].loss(whole) + points[1].loss_error(whole)
    assert choose(points, whole, Limits(max_loss=loss + 0.001)) is points[1]
    assert choose(points, whole, Limits(max_loss=loss - points[1].loss_error(whole) / 2)) is whole, "too near to chance"
    assert choose(points, whole, Limits(max_loss=0.0)) is whole
    assert choose(points, whole, Limits(target_ms=7.0)) is points[1]
    assert choose(points, whole, Limits(target_ms=1.0)) is points[2]
    assert choose(points, whole, Limits(max_loss=0.0, target_ms=7.0)) is None
    assert closest(points, whole, Limits(max_loss=0.0, target_ms=7.0)) in points
    assert closest(points, whole, Limits(target_ms=0.1)) is points[2]
