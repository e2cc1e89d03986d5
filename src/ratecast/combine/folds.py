"""Predictions for training reviews by models that did not see them."""

from typing import Final

import numpy as np

from ratecast.baseline import RegressionTask, fit_constant, fit_logistic
from ratecast.data.near import duplicate_groups
from ratecast.errors import DataError
from ratecast.records import Reviews
from ratecast.scale import FloatArray, IntArray, RatingScale

FOLDS: Final = 5


def out_of_fold_probabilities(
    train: Reviews, scale: RatingScale, *, penalty: float, groups: IntArray | None = None, seed: int = 0
) -> FloatArray:
    """Predict each training review with TF-IDF and logistic regression fitted on the other folds.

    What is learnt from the errors of such predictions holds for new reviews as well, while a model's errors on the reviews that
    it was fitted on are too small (Wolpert 1992, "Stacked generalization").

    Args:
        train: rated reviews.
        scale: the ratings' scale.
        penalty: C of the logistic regressions, as chosen for all of the training reviews (`LinearTextModel`).
        groups: group number of each review, shape ``(review,)``; a group lies in one fold. Copies of a text by default.
        seed: decides which group lies in which fold.

    Returns:
        Probability of each level, shape ``(review, level)``.

    Raises:
        DataError: if all reviews are of one group.
        MissingExtraError: if scikit-learn is not installed.
    """
    folds = assign_folds(duplicate_groups(train.joined()) if groups is None else groups, seed)
    found = np.empty((len(train), len(scale)))
    for fold in np.unique(folds):
        others, held_out = train.take(folds != fold), train.take(folds == fold)
        task = RegressionTask(others, held_out, scale)
        if task.features.vocabulary and len(np.unique(scale.level_index(task.ratings))) > 1:
            model = fit_logistic(task, seed, penalties=(penalty,))
            found[folds == fold] = model.probabilities_of(task.validation)
        else:
            found[folds == fold] = fit_constant(task.ratings, scale).probability
    return found


def assign_folds(groups: IntArray, seed: int) -> IntArray:
    """Fold of each review, shape ``(review,)``: whole groups, in folds of about equal size.

    Args:
        groups: group number of each review, from 0, shape ``(review,)``.
        seed: decides which group lies in which fold.

    Raises:
        DataError: if there is only one group.
    """
    sizes = np.bincount(groups)
    if np.count_nonzero(sizes) < 2:
        raise DataError(f"all {len(groups)} training reviews are copies of one text; expected different ones")
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    filled = np.zeros(FOLDS, dtype=np.int64)
    fold_of = np.zeros(len(sizes), dtype=np.int64)
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:  # the largest first, each into the emptiest fold
        fold_of[group] = np.argmin(filled)
        filled[fold_of[group]] += sizes[group]
    return fold_of[groups]
