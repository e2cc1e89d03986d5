"""Folds: parts of some reviews, each of which is judged by what was fitted to the others."""

from typing import Final

import numpy as np

from ratecast.errors import DataError
from ratecast.scale import FloatArray, IntArray

FOLDS: Final = 5


def stratified_folds(levels: IntArray, ties: FloatArray | IntArray) -> IntArray:
    """Fold of each review, shape ``(review,)``: every level is spread evenly over the folds.

    Args:
        levels: level index of each review, shape ``(review,)``.
        ties: the order in which the reviews of one level are dealt out, same shape: random numbers, or something in which the
            folds shall be alike too.
    """
    folds = np.empty(len(levels), dtype=np.int64)
    folds[np.lexsort((ties, levels))] = np.arange(len(levels)) % FOLDS
    return folds


def grouped_folds(groups: IntArray, seed: int) -> IntArray:
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
