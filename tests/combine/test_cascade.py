"""The cascade: whom it passes on, what that costs in quality, and that the answer is the full blend's for these alone."""

import json
from pathlib import Path

import numpy as np
import pytest

from ratecast.combine.blend import Blend
from ratecast.combine.cascade import Cascade, doubt, fit_threshold
from ratecast.errors import ConfigError, ModelFolderError, ShapeError
from ratecast.scale import FloatArray, RatingScale

SCALE = RatingScale.parse("1..5")
LEVELS = np.asarray(SCALE.levels)


def blend_of(*members: str) -> Blend:
    return Blend(members=members, weights=np.full(len(members), 1.0), bias=np.zeros(5))


def cascade(threshold: float = 1.0) -> Cascade:
    return Cascade(
        first=blend_of("words"),
        full=blend_of("graph", "words"),
        threshold=threshold,
        passed_fraction=0.25,
        first_ms=0.1,
        full_ms=8.0,
    )


def simulated(count: int = 2000) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Ratings, a first model whose noise it knows and which differs from review to review, and a full one with little noise."""
    rng = np.random.default_rng(0)
    ratings = rng.choice(LEVELS, count)
    noise = rng.choice([0.4, 1.5], count)

    def seen(noise: FloatArray) -> FloatArray:
        logits = -((LEVELS - (ratings + noise * rng.normal(size=count))[:, None]) ** 2) / (2 * noise[:, None] ** 2)
        found = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(found / found.sum(axis=1, keepdims=True))

    return ratings, seen(noise), seen(np.full(count, 0.4))


def rmse(probabilities: FloatArray, ratings: FloatArray) -> float:
    return float(np.sqrt(np.mean((probabilities @ LEVELS - ratings) ** 2)))


def test_doubt_is_the_variance() -> None:
    probabilities = np.array([[0, 0, 1.0, 0, 0], [0.5, 0, 0, 0, 0.5], [0.1, 0.2, 0.3, 0.2, 0.2]])
    expected = [0.0, 4.0, np.average((LEVELS - 3.2) ** 2, weights=probabilities[2])]
    np.testing.assert_allclose(doubt(probabilities, SCALE), expected, atol=1e-12)


def test_only_the_doubtful_are_answered_by_the_full_blend() -> None:
    sure, unsure, other = [0.02, 0.02, 0.92, 0.02, 0.02], [0.4, 0.1, 0.0, 0.1, 0.4], [0.0, 0.0, 0.1, 0.2, 0.7]
    members = {"words": np.array([sure, unsure]), "graph": np.array([other, other])}
    found = cascade().apply(members, SCALE)
    np.testing.assert_allclose(found[0], sure, rtol=1e-3)
    np.testing.assert_allclose(found[1], blend_of("graph", "words").apply(members)[1], rtol=1e-12)
    assert cascade().later_members == ("graph",)
    assert cascade().members == ("words", "graph")


def test_the_least_share_that_keeps_the_limit_is_passed_on() -> None:
    ratings, first, full = simulated()
    limit = 1.01 * rmse(full, ratings)
    passing = fit_threshold(first, full, ratings, SCALE, most_rmse=limit)
    assert passing is not None
    assert rmse(first, ratings) > 1.5 * limit
    passed = doubt(first, SCALE) > passing.threshold
    mixed = np.where(passed[:, None], full, first)
    assert rmse(mixed, ratings) == pytest.approx(passing.rmse)
    assert passing.rmse <= limit
    assert passed.mean() == pytest.approx(passing.fraction)
    assert 0.3 < passing.fraction < 0.65  # half of the reviews are hard for the first model
    shares = np.sort(doubt(first, SCALE))[::-1]
    fewer = doubt(first, SCALE) > shares[round(0.9 * passing.fraction * len(ratings))]
    assert rmse(np.where(fewer[:, None], full, first), ratings) > limit


def test_a_first_model_that_is_good_enough_passes_on_nothing() -> None:
    ratings, first, _ = simulated()
    passing = fit_threshold(first, first, ratings, SCALE, most_rmse=2 * rmse(first, ratings))
    assert passing is not None
    assert passing.fraction == 0
    assert not (doubt(first, SCALE) > passing.threshold).any()


def test_a_limit_that_nothing_keeps_has_no_threshold() -> None:
    ratings, first, full = simulated()
    assert fit_threshold(first, full, ratings, SCALE, most_rmse=0.5 * rmse(full, ratings)) is None


def test_equal_doubts_are_passed_on_together() -> None:
    ratings = np.array([1.0, 1.0, 5.0, 3.0])
    first = np.array([[0.5, 0, 0, 0, 0.5]] * 3 + [[0, 0, 1.0, 0, 0]])
    full = np.equal(SCALE.levels, ratings[:, None]).astype(np.float64)
    passing = fit_threshold(first, full, ratings, SCALE, most_rmse=1.2)
    assert passing is not None
    assert passing.fraction == 0.75  # one or two of the three would do for the limit, but cannot be told from the third


def test_bad_arguments_are_told() -> None:
    ratings, first, full = simulated(20)
    with pytest.raises(ShapeError, match="20, 20 and 19"):
        fit_threshold(first, full, ratings[:19], SCALE, most_rmse=1.0)
    with pytest.raises(ConfigError, match="above 0"):
        fit_threshold(first, full, ratings, SCALE, most_rmse=0.0)


def test_save_and_load(tmp_path: Path) -> None:
    files = cascade().save(tmp_path, "cascade")
    found = Cascade.load(tmp_path, files, SCALE)
    assert (found.threshold, found.passed_fraction, found.mean_ms) == (1.0, 0.25, 2.1)
    assert (found.first.members, found.full.members) == (("words",), ("graph", "words"))
    (tmp_path / files[0]).write_text(json.dumps({"threshold": "x"}))
    with pytest.raises(ModelFolderError, match="cannot read the cascade"):
        Cascade.load(tmp_path, files, SCALE)
