from pathlib import Path

import numpy as np
import pytest

from ratecast.baseline.constant import FLOOR, ConstantModel, fit_constant, floored
from ratecast.errors import ModelFolderError
from ratecast.scale import RatingScale

SCALE = RatingScale.parse("1..5")


def test_probabilities_are_the_shares_of_training_and_no_level_is_impossible() -> None:
    model = fit_constant(np.array([5.0, 5.0, 5.0, 4.0]), SCALE)
    probabilities = model.probabilities(["one", ""])
    assert probabilities.shape == (2, 5)
    np.testing.assert_allclose(probabilities[0], [FLOOR, FLOOR, FLOOR, 0.25, 0.75], rtol=1e-5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert model.probabilities([]).shape == (0, 5)


def test_continuous_scale_counts_bins() -> None:
    ratings = np.linspace(0, 100, 400)
    scale = RatingScale.continuous(ratings)
    np.testing.assert_allclose(fit_constant(ratings, scale).probability, 1 / len(scale), atol=0.01)


def test_floored_rows_sum_to_one() -> None:
    np.testing.assert_allclose(floored(np.array([[1.0, 0.0], [0.5, 0.5]])).sum(axis=1), 1)
    assert floored(np.array([[1.0, 0.0]]))[0, 1] == pytest.approx(FLOOR, rel=1e-5)


def test_saved_model_comes_back_and_damage_is_told(tmp_path: Path) -> None:
    model = fit_constant(np.array([5.0, 1.0]), SCALE)
    files = model.save(tmp_path, "constant")
    assert files == ["constant.safetensors"]
    np.testing.assert_array_equal(ConstantModel.load(tmp_path, files, SCALE).probability, model.probability)
    with pytest.raises(ModelFolderError, match="5 levels, the scale has 3"):
        ConstantModel.load(tmp_path, files, RatingScale.parse("1..3"))
    (tmp_path / files[0]).write_bytes(b"damaged")
    for missing in (files, ["absent.safetensors"], []):
        with pytest.raises(ModelFolderError, match="cannot read the constant baseline"):
            ConstantModel.load(tmp_path, missing, SCALE)
