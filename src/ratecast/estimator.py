"""A scikit-learn estimator: ratecast in pipelines, cross-validation and grid search."""

import io
import shutil
import tempfile
import weakref
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ratecast.config import FitConfig, setting_names
from ratecast.errors import ConfigError, ModelFolderError, require
from ratecast.fitting import fit
from ratecast.model.store import read_manifest
from ratecast.predict import Predictor, load
from ratecast.progress import ConsoleReporter, SilentReporter
from ratecast.scale import FloatArray

_base = require("sklearn.base", "train", "RatingEstimator")


class RatingEstimator(_base.RegressorMixin, _base.BaseEstimator):  # type: ignore[misc, name-defined] # scikit-learn has no types, and is imported only here
    """Predicts ratings from texts, with scikit-learn's verbs.

    Args:
        out: folder for the model; a temporary one that vanishes with the estimator by default.
        verbose: whether to show progress on standard error.
        **settings: settings of `FitConfig`: ``time_budget``, ``seed``, ``threads``, or ``stage__name`` such as
            ``train__learning_rate`` and ``backbone__max_tokens``.

    Attributes:
        model_: the fitted `Predictor`.
        classes_: the rating levels in the order of `predict_proba`'s columns, shape ``(level,)``.

    Raises:
        ConfigError: if a setting does not exist.

    Example:
        ``cross_val_score(RatingEstimator(time_budget="2m"), texts, ratings, scoring="neg_root_mean_squared_error")``
    """

    def __init__(self, *, out: str | Path | None = None, verbose: bool = False, **settings: Any) -> None:
        self.out = out
        self.verbose = verbose
        self._settings: dict[str, Any] = {}
        self.set_params(**settings)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Every setting by the name that `set_params` takes; ``deep`` changes nothing."""
        return {"out": self.out, "verbose": self.verbose} | _defaults() | self._settings

    def set_params(self, **params: Any) -> "RatingEstimator":
        """Change settings.

        Raises:
            ConfigError: naming every setting that does not exist.
        """
        known = _defaults()
        unknown = [name for name in params if name not in known and name not in {"out", "verbose"}]
        if unknown:
            raise ConfigError(f"unknown setting {', '.join(map(repr, unknown))}; known are {', '.join(known)}")
        for name, value in params.items():
            if name in {"out", "verbose"}:
                setattr(self, name, value)
            else:
                self._settings[name] = value
        return self

    def fit(
        self,
        X: Sequence[str],  # noqa: N803 - scikit-learn's name
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> "RatingEstimator":
        """Fit on texts and their ratings, shape ``(text,)``, of which each may have a weight of 0 or more, same shape.

        Raises:
            RatecastError: as `ratecast.fit` does.
        """
        settings = {name.partition("__")[2] or name: value for name, value in self._settings.items()}
        folder = Path(self.out) if self.out else self._temporary_folder() / "model"
        reporter = ConsoleReporter() if self.verbose else SilentReporter()
        self.model_ = fit(out=folder, texts=list(X), ratings=y, weights=sample_weight, reporter=reporter, **settings)
        self.classes_ = np.asarray(self.model_.scale.levels)
        return self

    def predict(self, X: Sequence[str]) -> FloatArray:  # noqa: N803 - scikit-learn's name
        """Rating of each text, shape ``(text,)``: the expected one, unless ``answer__optimise`` asks for another."""
        return self._fitted().predict(list(X)).rating

    def predict_proba(self, X: Sequence[str]) -> FloatArray:  # noqa: N803 - scikit-learn's name
        """Probability of each level, shape ``(text, level)``; the levels are `classes_`."""
        return self._fitted().probabilities(list(X))

    def _temporary_folder(self) -> Path:
        """A folder that is removed with this estimator."""
        folder = tempfile.mkdtemp(prefix="ratecast-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

    def _fitted(self) -> Predictor:
        if not hasattr(self, "model_"):
            raise require("sklearn.exceptions", "train", "RatingEstimator").NotFittedError(
                "this RatingEstimator is not fitted yet: call fit first"
            )
        model: Predictor = self.model_
        return model

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __getstate__(self) -> dict[str, Any]:
        state = {"out": self.out, "verbose": self.verbose, "_settings": self._settings}
        return state | ({"folder": _packed(self._fitted())} if hasattr(self, "model_") else {})

    def __setstate__(self, state: dict[str, Any]) -> None:
        packed = state.pop("folder", None)
        self.__dict__.update(state)
        if packed is not None:
            folder = self._temporary_folder()
            with zipfile.ZipFile(io.BytesIO(packed)) as archive:
                archive.extractall(folder)
            self.model_ = load(folder, threads=self._settings.get("threads"))
            self.classes_ = np.asarray(self.model_.scale.levels)


def _defaults() -> dict[str, Any]:
    config = FitConfig()
    return {
        f"{stage}__{name}" if stage else name: getattr(getattr(config, stage) if stage else config, name)
        for stage, name in setting_names(FitConfig)
    }


def _packed(model: Predictor) -> bytes:
    if read_manifest(model.folder) != model.manifest:
        raise ModelFolderError(
            f"{model.folder} holds another model than this estimator's, which was fitted before: fit again, or give every "
            "estimator a folder of its own as out"
        )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(model.folder.iterdir()):
            archive.write(path, path.name)
    return buffer.getvalue()
