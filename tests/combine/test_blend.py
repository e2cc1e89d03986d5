"""Blending: what the weights do, when a member is left out, and what is fitted without whom."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize

from ratecast.combine.blend import BIAS_PENALTY, OPTIMISM, WEIGHT_PENALTY, Blend, _Task, fit_blend
from ratecast.combine.folds import stratified_folds
from ratecast.errors import DataError, ModelFolderError, ShapeError
from ratecast.evaluate.calibration import expected_calibration_error
from ratecast.scale import FloatArray, RatingScale

SCALE = RatingScale.parse("1..5")
LEVELS = np.asarray(SCALE.levels)


def normal(logits: FloatArray) -> FloatArray:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def simulated(count: int, *noises: float, seed: int = 0) -> tuple[FloatArray, list[FloatArray]]:
    """Ratings, and for each noise a model that sees them through independent noise of that size."""
    rng = np.random.default_rng(seed)
    ratings = rng.choice(LEVELS, count, p=[0.1, 0.1, 0.2, 0.3, 0.3])
    seen = [ratings + noise * rng.normal(size=count) for noise in noises]
    models = [normal(-((LEVELS - each[:, None]) ** 2) / (2 * noise**2)) for each, noise in zip(seen, noises, strict=True)]
    return ratings, models


def rmse(probabilities: FloatArray, ratings: FloatArray) -> float:
    return float(np.sqrt(np.mean((probabilities @ LEVELS - ratings) ** 2)))


def test_apply_is_the_weighted_product_of_the_members() -> None:
    blend = Blend(members=("a", "b"), weights=np.array([2.0, 0.5]), bias=np.log([1.0, 1.0, 1.0, 1.0, 3.0]))
    a, b = np.array([[0.1, 0.2, 0.3, 0.2, 0.2]]), np.array([[0.2, 0.2, 0.2, 0.2, 0.2]])
    expected = np.array([0.01, 0.04, 0.09, 0.04, 0.12])
    np.testing.assert_allclose(blend.apply({"b": b, "a": a})[0], expected / expected.sum(), rtol=1e-12)


def test_two_models_that_err_apart_are_better_together() -> None:
    ratings, (a, b) = simulated(1000, 1.0, 1.0)
    fitted = fit_blend({"a": a, "b": b}, ratings, SCALE)
    assert fitted.blend.members == ("a", "b")
    assert rmse(fitted.out_of_fold, ratings) < 0.95 * min(rmse(a, ratings), rmse(b, ratings))
    fresh, (c, d) = simulated(4000, 1.0, 1.0, seed=1)
    together = fitted.blend.apply({"a": c, "b": d})
    assert rmse(together, fresh) < 0.9 * min(rmse(c, fresh), rmse(d, fresh))
    assert expected_calibration_error(fresh, together, SCALE) < 0.03


def test_a_member_of_pure_noise_is_mostly_left_out() -> None:
    """By chance it lowers the cross-validated loss now and then, and gets next to no weight."""
    left_out = 0
    for seed in range(12):
        ratings, (good,) = simulated(400, 0.7, seed=seed)
        noise = np.random.default_rng(5 + seed).dirichlet(np.ones(5), 400)
        fitted = fit_blend({"good": good, "noise": noise}, ratings, SCALE, seed=seed)
        left_out += fitted.blend.members == ("good",)
        assert dict(zip(fitted.blend.members, fitted.blend.weights, strict=True)).get("noise", 0.0) < 0.15
        assert set(fitted.losses) == {"good", "noise", "good + noise"}
    assert left_out >= 7


def test_few_reviews_leave_no_member_out() -> None:
    """A good member that thirty reviews happen to speak against would be gone for good."""
    against = 0
    for seed in range(12):
        ratings, (good, weak) = simulated(30, 0.7, 3.0, seed=seed)
        fitted = fit_blend({"good": good, "weak": weak}, ratings, SCALE)
        against += fitted.losses["good"] < fitted.losses["good + weak"]
        assert fitted.blend.members == ("good", "weak")
    assert against


def test_a_model_that_is_too_sure_is_cooled() -> None:
    ratings, (model,) = simulated(2000, 0.8)
    sure = normal(3 * np.log(np.maximum(model, 1e-12)))
    fitted = fit_blend({"model": sure}, ratings, SCALE)
    assert fitted.blend.weights[0] < 0.6
    before = expected_calibration_error(ratings, sure, SCALE)
    after = expected_calibration_error(ratings, fitted.out_of_fold, SCALE)
    assert after < 0.04 < before / 3


def test_the_weights_are_those_of_a_general_optimiser() -> None:
    ratings, (a, b) = simulated(200, 0.8, 1.2, seed=3)
    fitted = fit_blend({"a": a, "b": b}, ratings, SCALE).blend
    assert fitted.members == ("a", "b")
    index, spread = SCALE.level_index(ratings), ratings.std()

    def loss(solution: FloatArray) -> float:
        pooled = np.maximum(a, 1e-4) ** solution[0] * np.maximum(b, 1e-4) ** solution[1] * np.exp(solution[2:])
        pooled /= pooled.sum(axis=1, keepdims=True)
        mean_loss = np.mean(-np.log(pooled[np.arange(200), index]) + ((pooled @ LEVELS - ratings) / spread) ** 2)
        penalty = WEIGHT_PENALTY * np.sum((solution[:2] - 0.5) ** 2) + BIAS_PENALTY * np.sum(solution[2:] ** 2)
        return float(mean_loss + penalty / 200)

    found = optimize.minimize(loss, np.array([0.5, 0.5, 0, 0, 0, 0, 0]), method="Powell", options={"xtol": 1e-8, "ftol": 1e-12})
    sharp = np.concatenate([fitted.weights, fitted.bias]) * (200 + OPTIMISM) / 200
    assert loss(sharp) == pytest.approx(found.fun, abs=1e-5)
    np.testing.assert_allclose(sharp[:2], found.x[:2], atol=0.01)


def test_what_is_out_of_fold_did_not_see_its_own_rating() -> None:
    ratings, (model,) = simulated(50, 0.8)
    changed = ratings.copy()
    changed[7] = 1.0 if ratings[7] != 1 else 5.0
    fitted, other = (fit_blend({"model": model}, each, SCALE, seed=2) for each in (ratings, changed))
    assert not np.array_equal(other.blend.bias, fitted.blend.bias)
    one = _Task.of(np.log(np.maximum(model, 1e-4))[:, :, None], ratings, SCALE, np.ones(50))
    folds = stratified_folds(SCALE.level_index(ratings), np.random.default_rng(2).permutation(50))
    own_fold = folds == folds[7]
    without = one.take(~own_fold).solve()
    np.testing.assert_allclose(fitted.out_of_fold[7], normal(one.logits(without))[7], rtol=1e-9)


def test_reviews_of_weight_zero_teach_nothing() -> None:
    ratings, (model,) = simulated(300, 0.8)
    others, (other,) = simulated(200, 0.8, seed=1)
    joined = np.concatenate([model, other[::-1]])
    weights = np.repeat([2.0, 0.0], [300, 200])
    fitted = fit_blend({"model": joined}, np.concatenate([ratings, others]), SCALE, weights=weights).blend
    alone = fit_blend({"model": model}, ratings, SCALE).blend
    np.testing.assert_allclose(fitted.weights, alone.weights, atol=0.03)  # penalties are spread over more reviews
    np.testing.assert_allclose(fitted.bias, alone.bias, atol=0.05)


@pytest.mark.parametrize("count", [1, 2, 6])
def test_a_handful_of_reviews_hardly_moves_anything(count: int) -> None:
    ratings, (a, b) = simulated(count, 0.8, 0.8)
    fitted = fit_blend({"a": a, "b": b}, ratings, SCALE)
    assert fitted.out_of_fold.shape == (count, 5)
    assert np.isfinite(fitted.blend.weights).all()
    assert np.abs(fitted.blend.bias).max() < 0.8


def test_bins_of_a_continuous_scale_are_blended_too() -> None:
    ratings = np.random.default_rng(0).uniform(0, 100, 300)
    scale = RatingScale.continuous(ratings)
    near = normal(-((np.asarray(scale.levels) - ratings[:, None]) ** 2) / 200)
    assert fit_blend({"near": near}, ratings, scale).out_of_fold.shape == (300, len(scale))


def test_a_saved_blend_comes_back(tmp_path: Path) -> None:
    blend = Blend(members=("graph", "tfidf-logistic"), weights=np.array([0.7, 0.4]), bias=np.arange(5) / 7)
    loaded = Blend.load(tmp_path, blend.save(tmp_path, "blend"), SCALE)
    assert loaded.members == blend.members
    np.testing.assert_array_equal(loaded.weights, blend.weights)
    np.testing.assert_array_equal(loaded.bias, blend.bias)
    assert blend.describe() == "0.70 × graph + 0.40 × tfidf-logistic"


@pytest.mark.parametrize("damage", ["", "{}", '{"members": [], "weights": [], "bias": [0, 0, 0, 0, 0]}', "levels"])
def test_a_damaged_blend_is_told(tmp_path: Path, damage: str) -> None:
    files = Blend(members=("graph",), weights=np.array([1.0]), bias=np.zeros(5)).save(tmp_path, "blend")
    if damage == "levels":
        damage = json.dumps({"members": ["graph"], "weights": [1.0], "bias": [0.0]})
    (tmp_path / files[0]).write_text(damage)
    with pytest.raises(ModelFolderError, match="cannot read the blend"):
        Blend.load(tmp_path, files, SCALE)


def test_wrong_shapes_and_no_distributions_are_refused() -> None:
    ratings, (model,) = simulated(20, 0.8)
    with pytest.raises(ShapeError):
        fit_blend({"model": model[:, :4]}, ratings, SCALE)
    with pytest.raises(DataError):
        fit_blend({"model": model * 2}, ratings, SCALE)
