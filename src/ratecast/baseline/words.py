"""A static embedding model of words and pairs that learns from ratings alone, as fastText does."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ratecast.baseline import Baseline
from ratecast.config import ClassWeights, FitConfig
from ratecast.model.static import STATIC
from ratecast.records import Reviews
from ratecast.scale import RatingScale

if TYPE_CHECKING:
    from ratecast.train.loop import Run

WORD_VECTORS: Final = "word-vectors"
"""Name of the baseline."""
_LEARNING_RATE: Final = 3e-3
"""Where ratings alone teach, this is better than the rate for what a teacher says; `docs/experiments.md` has the figures."""


def fit_word_vectors(
    train: Reviews, validation: Reviews, scale: RatingScale, run: "Run", *, class_weights: ClassWeights
) -> Baseline:
    """Fit the model to training reviews; the validation reviews choose the pass that is kept, and it does not learn from them.

    Args:
        train: rated reviews to learn from.
        validation: the validation reviews at `stopping_rows`.
        scale: the ratings' scale.
        run: places, seed, threads and the time for it. Its other settings are those of a backbone and are not used.
        class_weights: whether levels are balanced.

    Raises:
        OutputError: if the run's folder cannot be written.
    """
    from ratecast.train.static import train_static
    from ratecast.train.taught import Taught
    from ratecast.train.weights import review_weights

    begun = time.perf_counter()
    ratings = train.rated()
    certain = np.eye(len(scale))[scale.level_index(ratings)]
    weights = review_weights(train, scale, class_weights)
    taught = Taught(texts=train.joined(), targets=certain, ratings=ratings, weights=weights)
    own = replace(
        run, config=FitConfig(seed=run.config.seed, threads=run.config.threads).with_values(learning_rate=_LEARNING_RATE)
    )
    found = train_static(taught, validation, scale, own)
    return Baseline(
        kind=STATIC,
        model=found.model,
        validation=found.validation,
        reviews=len(train),
        seconds=time.perf_counter() - begun,
    )
