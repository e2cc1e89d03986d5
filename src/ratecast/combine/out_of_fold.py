"""Predictions for training reviews by models that did not see them."""

import numpy as np

from ratecast.baseline import RegressionTask, fit_constant, fit_logistic
from ratecast.combine.folds import grouped_folds
from ratecast.data.near import duplicate_groups
from ratecast.records import Reviews
from ratecast.scale import FloatArray, IntArray, RatingScale


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
    folds = grouped_folds(duplicate_groups(train.joined()) if groups is None else groups, seed)
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
