"""The estimator as users of scikit-learn take it."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import has_fit_parameter

from ratecast import RatingEstimator
from ratecast.errors import ConfigError, ModelFolderError

GRADES = ("awful", "bad", "fine", "good", "great")
LEVELS = np.random.default_rng(0).integers(0, 5, 150)
TEXTS = [f"the hotel {number} is {GRADES[level]}" for number, level in enumerate(LEVELS)]
RATINGS = LEVELS + 1


@pytest.fixture
def estimator(tiny_backbone: Path) -> RatingEstimator:
    settings: dict[str, Any] = {"backbone__backbone": str(tiny_backbone), "backbone__max_tokens": 16, "train__steps": 5}
    return RatingEstimator(**settings)


def test_fit_predict_and_score(estimator: RatingEstimator) -> None:
    estimator.fit(TEXTS, RATINGS)
    assert estimator.predict(TEXTS[:7]).shape == (7,)
    probabilities = estimator.predict_proba(TEXTS[:7])
    np.testing.assert_allclose(probabilities @ estimator.classes_, estimator.predict(TEXTS[:7]))
    errors = RATINGS - estimator.predict(TEXTS)
    assert estimator.score(TEXTS, RATINGS) == pytest.approx(1 - np.mean(errors**2) / np.var(RATINGS))


def test_parameters_are_those_of_the_configuration(estimator: RatingEstimator) -> None:
    parameters = estimator.get_params()
    assert parameters["train__steps"] == 5
    assert parameters["train__learning_rate"] is None
    assert parameters["seed"] == 0
    copy = clone(estimator).set_params(train__steps=7, seed=3)
    assert (copy.get_params()["train__steps"], copy.get_params()["seed"]) == (7, 3)
    assert estimator.get_params()["train__steps"] == 5
    with pytest.raises(ConfigError, match="unknown setting 'train__step'"):
        estimator.set_params(train__step=1)


def test_fitted_estimator_survives_pickling(estimator: RatingEstimator) -> None:
    estimator.fit(TEXTS, RATINGS)
    again = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_allclose(again.predict(TEXTS[:5]), estimator.predict(TEXTS[:5]))


def test_an_estimator_whose_folder_holds_another_model_is_not_pickled(estimator: RatingEstimator, tmp_path: Path) -> None:
    first = clone(estimator).set_params(out=tmp_path / "model").fit(TEXTS, RATINGS)
    pickle.dumps(first)
    second = clone(first).set_params(seed=1).fit(TEXTS, RATINGS)
    with pytest.raises(ModelFolderError, match="holds another model than this estimator's"):
        pickle.dumps(first)
    pickle.dumps(second)


def test_sample_weights_reach_the_model(estimator: RatingEstimator) -> None:
    assert has_fit_parameter(estimator, "sample_weight")
    plain = estimator.fit(TEXTS, RATINGS).predict_proba(TEXTS)
    weighted = estimator.fit(TEXTS, RATINGS, sample_weight=np.where(RATINGS == 5, 0.0, 2.0)).predict_proba(TEXTS)
    assert weighted[:, 4].mean() < 0.5 * plain[:, 4].mean()


def test_unfitted_estimator_says_so(estimator: RatingEstimator) -> None:
    with pytest.raises(NotFittedError):
        estimator.predict(TEXTS)


@pytest.mark.slow
def test_works_in_pipeline_cross_validation_and_grid_search(estimator: RatingEstimator) -> None:
    pipeline = Pipeline([("lower", FunctionTransformer(lambda texts: [text.lower() for text in texts])), ("rate", estimator)])
    scores = cross_val_score(pipeline, TEXTS, RATINGS, cv=2, scoring="neg_root_mean_squared_error")
    assert scores.shape == (2,)
    assert (scores < 0).all()
    search = GridSearchCV(pipeline, {"rate__backbone__head": ["softmax", "regression"]}, cv=2).fit(TEXTS, RATINGS)
    assert search.best_params_["rate__backbone__head"] in {"softmax", "regression"}


def test_without_scikit_learn_the_extra_is_named() -> None:
    code = "import sys; sys.modules['sklearn'] = None; import ratecast; ratecast.RatingEstimator"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MissingExtraError: RatingEstimator needs the package 'sklearn'" in found.stderr
