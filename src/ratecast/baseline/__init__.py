"""Simple models that every rating model is compared with; a large one that does not beat them is not worth its cost."""

import time
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ratecast.baseline.constant import ConstantModel, fit_constant
from ratecast.baseline.linear import LinearTextModel, RegressionTask, fit_logistic, fit_ridge
from ratecast.data.split import stopping_rows
from ratecast.model.static import StaticModel
from ratecast.progress import Reporter
from ratecast.records import Reviews, strings
from ratecast.scale import FloatArray, IntArray, RatingScale

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
        kind: how the model folder calls models of this kind: "constant", "linear" or "static".
        model: gives probabilities for texts; fitted to the training and the validation reviews, a static one to the training
            reviews alone.
        validation: probabilities of the validation reviews at `stopping_rows` by a model that learned from the training
            reviews alone, shape ``(review, level)``.
        reviews: how many training reviews it learned from.
        seconds: what fitting it took, the making of features included.
        shared_seconds: the part of it that all linear ones have in common: their features are made once.
    """

    kind: str
    model: ConstantModel | LinearTextModel | StaticModel
    validation: FloatArray
    reviews: int
    seconds: float
    shared_seconds: float = 0.0


def fit_baselines(
    train: Reviews, validation: Reviews, scale: RatingScale, *, seed: int, reporter: Reporter, most_reviews: int | None = None
) -> dict[str, Baseline]:
    """Fit every baseline on rated reviews.

    The penalties of the linear ones are chosen on the validation reviews at `stopping_rows`, and the chosen models are then
    fitted to the training and validation reviews together. Where the training texts hold nothing to count (punctuation only),
    the constant baseline is the only one.

    Args:
        train: reviews that the baselines learn from, of two different levels at least.
        validation: held-out reviews.
        scale: the ratings' scale.
        seed: decides every random choice.
        reporter: shows progress.
        most_reviews: training reviews that the linear ones learn from, at most, drawn at random; if all reviews together are
            more, they learn in the end from the validation reviews at `stopping_rows` alone, besides.

    Returns:
        The baselines by name, the simplest first.

    Raises:
        DataError: if the training ratings are all of one level.
        MissingExtraError: if scikit-learn is not installed.
    """
    held_out = validation.take(stopping_rows(len(validation)))
    if most_reviews is not None and len(train) + len(validation) > most_reviews:
        validation = held_out
    if most_reviews is not None and len(train) > most_reviews:
        reporter.tell(f"the linear models learn from {most_reviews:,} of {len(train):,} training reviews: the time is short")
        train = train.take(_sample(scale.level_index(train.rated()), most_reviews, seed))
    found: dict[str, Baseline] = {}
    with reporter.track("baselines", total=3 + 2 * len(LINEAR)) as advance:
        begun = time.perf_counter()
        constant = fit_constant(train.rated(), scale)
        found["constant"] = Baseline(
            kind="constant",
            model=constant,
            validation=constant.probabilities(held_out.joined()),
            reviews=len(train),
            seconds=time.perf_counter() - begun,
        )
        advance(1, "TF-IDF features")
        begun = time.perf_counter()
        task = RegressionTask(train, held_out, scale)
        if not task.features.vocabulary:
            return found
        advance(1, "TF-IDF features of all reviews")
        whole = RegressionTask(joined_reviews(train, validation), held_out, scale)
        shared_seconds = time.perf_counter() - begun
        for name, fit in LINEAR.items():
            advance(1, name)
            begun = time.perf_counter()
            chosen = fit(task, seed)
            advance(1, f"{name} on all reviews")
            model = replace(fit(whole, seed, penalties=(chosen.penalty,)), spread=chosen.spread)
            found[name] = Baseline(
                kind="linear",
                model=model,
                validation=chosen.probabilities_of(task.validation),
                reviews=len(train),
                seconds=shared_seconds + time.perf_counter() - begun,
                shared_seconds=shared_seconds,
            )
        advance(1, "done")
    return found


def _sample(levels: IntArray, most: int, seed: int) -> IntArray:
    """Rows of a random sample, ascending, in which every level occurs: one level alone teaches nothing."""
    drawn = np.random.default_rng(seed).permutation(len(levels))
    _, firsts = np.unique(levels[drawn], return_index=True)
    return np.sort(np.concatenate([drawn[firsts], np.delete(drawn, firsts)])[: max(most, len(firsts))])


def joined_reviews(*parts: Reviews) -> Reviews:
    """The texts, ratings and weights of several parts, one after the other."""
    texts = strings(text for part in parts for text in part.joined())
    weights = [part.weight for part in parts if part.weight is not None]
    return Reviews(
        text=texts,
        rating=np.concatenate([part.rated() for part in parts]),
        weight=np.concatenate(weights) if len(weights) == len(parts) else None,
    )
