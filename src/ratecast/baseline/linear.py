"""The baselines to beat: TF-IDF features with logistic and with ridge regression."""

import json
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ratecast.baseline.constant import floored
from ratecast.baseline.features import SparseRows, TextFeatures, fit_features
from ratecast.errors import DataError, ModelFolderError, require
from ratecast.records import Reviews
from ratecast.scale import FloatArray, IntArray, RatingScale

INVERSE_PENALTIES: Final = (1.0, 5.0, 25.0, 125.0, 625.0)
"""C of logistic regression that is tried, from strong to weak regularisation."""

PENALTIES: Final = (30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03)
"""alpha of ridge regression that is tried, from strong to weak regularisation."""

_CHUNK_TEXTS: Final = 1000


@dataclass(frozen=True, kw_only=True)
class LinearTextModel:
    """A linear model of a text's TF-IDF vector; scikit-learn is needed to fit it and not to use it.

    Saved as ``<name>.safetensors`` (tensors ``weights``, ``bias``, ``levels``, ``idf``; the numbers in the metadata) and
    ``<name>.vocabulary.json``.

    Attributes:
        features: turns texts into vectors.
        weights: shape ``(feature, output)``.
        bias: shape ``(output,)``.
        scale: the scale whose levels get probabilities.
        levels: logistic regression: the level of each output (levels without training reviews have none). Ridge: empty, there
            is one output, the expected rating.
        spread: ridge: standard deviation of the rating around the output, in units of the scale; None for logistic.
        penalty: what was chosen: C of logistic regression (the inverse of a penalty), alpha of ridge.
    """

    features: TextFeatures
    weights: NDArray[np.float32]
    bias: FloatArray
    scale: RatingScale
    levels: IntArray
    spread: float | None
    penalty: float

    def probabilities(self, texts: Sequence[str]) -> FloatArray:
        """Probability of each level, shape ``(text, level)``; a level that training never saw gets next to nothing."""
        chunks = (texts[begin : begin + _CHUNK_TEXTS] for begin in range(0, len(texts), _CHUNK_TEXTS))
        found = [self.probabilities_of(self.features.transform(chunk)) for chunk in chunks]
        return np.concatenate([np.empty((0, len(self.scale))), *found])

    def probabilities_of(self, vectors: SparseRows) -> FloatArray:
        """Probability of each level, shape ``(text, level)``, for vectors of shape ``(text, feature)``."""
        output = vectors.times(self.weights) + self.bias
        if self.spread is not None:
            return floored(normal_levels(output[:, 0], self.spread, self.scale))
        probabilities = np.zeros((len(output), len(self.scale)))
        exponentials = np.exp(output - output.max(axis=1, keepdims=True))
        probabilities[:, self.levels] = exponentials / exponentials.sum(axis=1, keepdims=True)
        return floored(probabilities)

    def save(self, folder: Path, name: str) -> list[str]:
        """Write the model into a folder and return the names of the files written."""
        file = f"{name}.safetensors"
        tensors: dict[str, NDArray[Any]] = {"weights": self.weights, "bias": self.bias, "levels": self.levels}
        tensors["idf"] = self.features.idf
        # One metadata entry only: the order of several is random, and equal models must give equal files.
        numbers = json.dumps({"spread": self.spread, "penalty": self.penalty})
        save_file(tensors, folder / file, metadata={"ratecast": numbers})
        return [file, self.features.save(folder, name)]

    @classmethod
    def load(cls, folder: Path, files: Sequence[str], scale: RatingScale) -> "LinearTextModel":
        """The model that `save` wrote.

        Raises:
            ModelFolderError: if a file is missing, damaged or made for another scale.
        """
        try:
            weights_file, vocabulary_file = sorted(files, key=lambda file: file.endswith(".json"))
            with safe_open(folder / weights_file, framework="numpy") as stored:
                tensors: dict[str, Any] = {name: stored.get_tensor(name) for name in ("weights", "bias", "levels", "idf")}
                numbers = json.loads(stored.metadata()["ratecast"])
            spread, penalty = numbers["spread"], numbers["penalty"]
            features = TextFeatures.load(folder, vocabulary_file, tensors.pop("idf"))
        except (OSError, ValueError, LookupError, TypeError, SafetensorError) as error:
            raise ModelFolderError(f"cannot read the linear baseline in {folder} ({error}); fit the model again") from None
        model = cls(features=features, scale=scale, spread=spread, penalty=penalty, **tensors)
        outputs = 1 if spread is not None else len(model.levels)
        if model.weights.shape != (len(features.idf), outputs) or model.levels.max(initial=0) >= len(scale):
            raise ModelFolderError(f"the linear baseline in {folder} does not fit its vocabulary or scale; fit the model again")
        return model


def normal_levels(means: FloatArray, spread: float, scale: RatingScale) -> FloatArray:
    """Probability of each level if the rating is normally distributed: what lies between the scale's cut points.

    The lowest level gets all that is below the first cut point, the highest all that is above the last.

    Args:
        means: shape ``(review,)``.
        spread: standard deviation, above 0.
        scale: whose levels are meant.

    Returns:
        Shape ``(review, level)``.
    """
    standardised = (scale.cut_points() - means[:, np.newaxis]) / (spread * math.sqrt(2))
    # math.erf is exact to the last digits and quick enough for one number a level; NumPy has none.
    below = 0.5 + 0.5 * np.asarray(np.frompyfunc(math.erf, 1, 1)(standardised), dtype=np.float64)
    ends = np.zeros((len(means), 1))
    return np.diff(np.concatenate([ends, below, ends + 1], axis=1), axis=1)


class RegressionTask:
    """What the linear models are fitted and chosen on: vectors and ratings of training and of validation reviews.

    Args:
        train: rated reviews that the models learn from.
        validation: rated reviews that the penalty is chosen on, by the RMSE of the expected rating, since RMSE decides the
            contest that baselines take part in.
        scale: the ratings' scale.

    Attributes:
        features: TF-IDF features fitted on the training texts; without a single column if these have no words.
        weights: how much each training review counts, 1 on average, shape ``(review,)``; None if all count the same.
        matrix: training vectors, a SciPy matrix of shape ``(review, feature)``.
        validation: validation vectors, same number of features.

    Raises:
        DataError: if every training review has the weight 0.
        MissingExtraError: if scikit-learn is not installed.
    """

    def __init__(self, train: Reviews, validation: Reviews, scale: RatingScale) -> None:
        sparse = require("scipy.sparse", "train", "fitting the baselines")
        texts = train.joined()
        self.features = fit_features(texts)
        rows = self.features.transform(texts)
        self.matrix = sparse.csr_matrix((rows.values, rows.columns, rows.starts), shape=(len(texts), len(self.features.idf)))
        self.ratings = train.rated()
        self.weights = None if train.weight is None else relative_weights(train.weight)
        self.validation = self.features.transform(validation.joined())
        self.validation_ratings = validation.rated()
        self.scale = scale

    def model(
        self,
        weights: FloatArray,
        bias: FloatArray,
        levels: IntArray,
        *,
        penalty: float,
        spread: float | None = None,
    ) -> LinearTextModel:
        """Model with the given parameters, shaped as in `LinearTextModel`."""
        return LinearTextModel(
            features=self.features,
            weights=np.ascontiguousarray(weights, dtype=np.float32),
            bias=np.asarray(bias, dtype=np.float64),
            scale=self.scale,
            levels=levels,
            spread=spread,
            penalty=penalty,
        )

    def best(self, models: Iterable[LinearTextModel]) -> LinearTextModel:
        """The model with the least validation RMSE; no further one is fitted once it rises.

        Raises:
            DataError: if the training texts have no words.
        """
        if not self.features.vocabulary:
            raise DataError("the training texts have no words that a linear model could count")
        chosen: LinearTextModel | None = None
        least = math.inf
        for model in models:
            errors = self.scale.mean(model.probabilities_of(self.validation)) - self.validation_ratings
            rmse = float(np.sqrt((errors**2).mean()))
            if chosen is not None and rmse >= least:
                break
            chosen, least = model, rmse
        if chosen is None:
            raise ValueError("no model to choose from")
        return chosen


def fit_logistic(task: RegressionTask, seed: int = 0, *, penalties: Sequence[float] | None = None) -> LinearTextModel:
    """Fit multinomial logistic regression over the levels (over the bins of a continuous scale).

    Args:
        task: reviews of two different levels at least.
        seed: handed to the solver, which makes no random choice at present.
        penalties: C that is tried, from strong to weak regularisation; `INVERSE_PENALTIES` by default.

    Raises:
        DataError: if the training texts have no words, or their ratings are all of one level.
    """
    indices = task.scale.level_index(task.ratings)
    levels = np.unique(indices)
    if len(levels) < 2:
        raise DataError(f"all {len(indices)} training ratings are of one level; expected at least two different ones")
    linear_model = require("sklearn.linear_model", "train", "fitting the baselines")

    def models() -> Iterator[LinearTextModel]:
        for penalty in penalties or INVERSE_PENALTIES:
            # Newton steps with conjugate gradients arrive in about 6 steps, five times as fast as the default L-BFGS does here.
            solver = linear_model.LogisticRegression(C=penalty, solver="newton-cg", random_state=seed)
            _fit_quietly(solver, task, indices)
            weights, bias = solver.coef_.T, solver.intercept_
            if len(levels) == 2:  # scikit-learn keeps one output, the log odds of the higher level
                weights, bias = np.hstack([0 * weights, weights]), np.array([0, bias[0]])
            yield task.model(weights, bias, levels, penalty=penalty)

    return task.best(models())


def fit_ridge(task: RegressionTask, seed: int = 0, *, penalties: Sequence[float] | None = None) -> LinearTextModel:
    """Fit ridge regression of the rating.

    The prediction becomes a normal distribution with the spread of the validation residuals, and the levels' probabilities are
    what lies between the scale's cut points.

    Args:
        task: rated reviews.
        seed: handed to the solver, which makes no random choice at present.
        penalties: alpha that is tried, from strong to weak regularisation; `PENALTIES` by default.

    Raises:
        DataError: if the training texts have no words.
    """
    linear_model = require("sklearn.linear_model", "train", "fitting the baselines")

    def models() -> Iterator[LinearTextModel]:
        for penalty in penalties or PENALTIES:
            solver = linear_model.Ridge(alpha=penalty, solver="sparse_cg", tol=1e-3, random_state=seed)
            _fit_quietly(solver, task, task.ratings)
            weights, bias = solver.coef_[:, np.newaxis], np.array([solver.intercept_])
            residuals = task.validation_ratings - (task.validation.times(weights) + bias)[:, 0]
            spread = max(float(np.sqrt((residuals**2).mean())), 1e-3 * (task.scale.high - task.scale.low))
            yield task.model(weights, bias, np.empty(0, dtype=np.int64), penalty=penalty, spread=spread)

    return task.best(models())


def _fit_quietly(solver: Any, task: RegressionTask, targets: NDArray[Any]) -> None:
    """Fit a scikit-learn model; one that is stopped before the last digit is judged by its validation score all the same."""
    exceptions = require("sklearn.exceptions", "train", "fitting the baselines")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        solver.fit(task.matrix, targets, sample_weight=task.weights)


def relative_weights(weights: FloatArray) -> FloatArray:
    """Weights with the mean 1, so that penalties mean the same whatever unit the weights are in; shape ``(review,)``.

    Raises:
        DataError: if all of them are 0.
    """
    mean = float(weights.mean())
    if mean == 0:
        raise DataError("every training review has the weight 0; expected some above 0: check the weights")
    return np.asarray(weights / mean)
