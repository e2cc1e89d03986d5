"""TF-IDF of word and character n-grams under a linear model: features and penalty by cross-validation, as time allows."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import FeatureUnion

from peers.exchange import Clock, Training, note

FOLDS, JOBS = 4, 2
WAVES = -(-FOLDS // JOBS)
SHARES = {"words": 0.25, "words and characters": 0.6}
"""What is tried, the cheaper first, and the most of the time left that trying it may take."""


@dataclass(frozen=True)
class Linear:
    """A linear model with a penalty to choose.

    Attributes:
        strengths: values of the penalty's parameter, the likeliest first.
        fit: from a sparse matrix, reviews and a strength to a fitted model.
        loss: mean loss of a fitted model on a sparse matrix and its reviews.
    """

    strengths: tuple[float, ...]
    fit: Callable[[Any, Training, float], Any]
    loss: Callable[[Any, Any, Training], float]


@dataclass(frozen=True)
class Trial:
    """What one fold found: the loss of each strength that there was time for, and the slowest fit's seconds."""

    losses: dict[float, float]
    features_seconds: float
    fit_seconds: float


def features(kind: str) -> Any:
    """A vectorizer: words and pairs of words with damped counts, and also 2 to 5 characters within words."""
    words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2, dtype=np.float32)
    if kind == "words":
        return words
    characters = TfidfVectorizer(analyzer="char_wb", sublinear_tf=True, ngram_range=(2, 5), min_df=3, dtype=np.float32)
    return FeatureUnion([("words", words), ("characters", characters)])


def tuned(training: Training, texts: list[str], linear: Linear, clock: Clock, seed: int) -> tuple[Any, Any]:
    """The model with the features and the penalty of least loss, fitted to all reviews, and the matrix of the test texts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a level with fewer reviews than there are folds
        folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(training.texts, training.level))
    losses: dict[tuple[str, float], float] = {}
    seconds: dict[str, float] = {}
    for kind, share in SHARES.items():
        allowed = share * clock.left() / WAVES
        if kind != "words" and 2 * seconds["words"] > allowed:
            note(f"{kind}: not tried, since there is no time")
            continue
        trials = Parallel(n_jobs=JOBS)(delayed(_trial)(kind, training, fold, linear, allowed) for fold in folds)
        whole = [strength for strength in linear.strengths if all(strength in trial.losses for trial in trials)]
        losses |= {(kind, strength): float(np.mean([trial.losses[strength] for trial in trials])) for strength in whole}
        seconds[kind] = 1.5 * max(trial.features_seconds + trial.fit_seconds for trial in trials)
        note(f"{kind}: " + ", ".join(f"{strength:g} {losses[kind, strength]:.4f}" for strength in whole))
    order = sorted(losses, key=losses.__getitem__) or [("words", linear.strengths[0])]
    kind, strength = next((choice for choice in order if seconds[choice[0]] < clock.left()), ("words", linear.strengths[0]))
    note(f"chosen: {kind}, {strength:g}; {clock.left():.0f} s left")
    vectorizer = features(kind)
    matrix = _matrix(vectorizer.fit_transform, training.texts)
    model = _quietly(linear, matrix, training, strength)
    return model, _matrix(vectorizer.transform, texts)


def _trial(kind: str, training: Training, fold: tuple[np.ndarray, np.ndarray], linear: Linear, allowed: float) -> Trial:
    """Fit one fold with each strength until the next one might not end in time."""
    started = time.monotonic()
    inside, outside = training.take(fold[0]), training.take(fold[1])
    vectorizer = features(kind)
    matrix, other = _matrix(vectorizer.fit_transform, inside.texts), _matrix(vectorizer.transform, outside.texts)
    features_seconds = time.monotonic() - started
    losses: dict[float, float] = {}
    slowest = 0.0
    for strength in linear.strengths:
        begun = time.monotonic()
        if losses and begun - started + 1.5 * slowest > allowed:
            break
        losses[strength] = linear.loss(_quietly(linear, matrix, inside, strength), other, outside)
        slowest = max(slowest, time.monotonic() - begun)
    return Trial(losses, features_seconds, slowest)


def _matrix(transform: Callable[[list[str]], Any], texts: list[str]) -> Any:
    return transform(texts).tocsr()


def _quietly(linear: Linear, matrix: Any, training: Training, strength: float) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return linear.fit(matrix, training, strength)
