"""Simple models that every rating model is compared with; a large one that does not beat them is not worth its cost."""

import time
from dataclasses import dataclass
from typing import Final

from ratecast.baseline.constant import ConstantModel, fit_constant
from ratecast.baseline.linear import LinearTextModel, RegressionTask, fit_logistic, fit_ridge
from ratecast.progress import Reporter
from ratecast.records import Reviews
from ratecast.scale import RatingScale

__all__ = [
    "Baseline",
    "ConstantModel",
    "LinearTextModel",
    "RegressionTask",
    "fit_baselines",
    "fit_constant",
    "fit_logistic",
    "fit_ridge",
]

LINEAR: Final = {"tfidf-logistic": fit_logistic, "tfidf-ridge": fit_ridge}
"""The linear baselines by name."""


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A fitted baseline.

    Attributes:
        kind: how the model folder calls models of this kind: "constant" or "linear".
        model: gives probabilities for texts.
        seconds: what fitting it took, the making of features included.
    """

    kind: str
    model: ConstantModel | LinearTextModel
    seconds: float


def fit_baselines(
    train: Reviews, validation: Reviews, scale: RatingScale, *, seed: int, reporter: Reporter
) -> dict[str, Baseline]:
    """Fit every baseline on rated reviews.

    Where the training texts hold nothing to count (punctuation only), the constant baseline is the only one.

    Args:
        train: reviews that the baselines learn from, of two different levels at least.
        validation: reviews that the linear ones choose their penalty on.
        scale: the ratings' scale.
        seed: decides every random choice.
        reporter: shows progress.

    Returns:
        The baselines by name, the simplest first.

    Raises:
        DataError: if the training ratings are all of one level.
        MissingExtraError: if scikit-learn is not installed.
    """
    found: dict[str, Baseline] = {}
    with reporter.track("baselines", total=2 + len(LINEAR)) as advance:
        begun = time.perf_counter()
        constant = fit_constant(train.rated(), scale)
        found["constant"] = Baseline(kind="constant", model=constant, seconds=time.perf_counter() - begun)
        advance(1, "TF-IDF features")
        begun = time.perf_counter()
        task = RegressionTask(train, validation, scale)
        shared_seconds = time.perf_counter() - begun
        for name, fit in LINEAR.items() if task.features.vocabulary else ():
            advance(1, name)
            begun = time.perf_counter()
            model = fit(task, seed)
            found[name] = Baseline(kind="linear", model=model, seconds=shared_seconds + time.perf_counter() - begun)
        advance(1, "done")
    return found
