import numpy as np
import pytest

from ratecast.combine.folds import FOLDS, grouped_folds, stratified_folds
from ratecast.errors import DataError


def test_every_level_is_spread_evenly_in_the_order_of_the_ties() -> None:
    levels = np.random.default_rng(1).permutation(np.repeat(np.arange(5), 10))
    ties = np.random.default_rng(0).random(50)
    found = stratified_folds(levels, ties)
    for level in range(5):
        dealt = found[levels == level][np.argsort(ties[levels == level])]
        np.testing.assert_array_equal(dealt, np.tile(np.arange(FOLDS), 2))
    order = np.random.default_rng(2).permutation(50)
    np.testing.assert_array_equal(stratified_folds(levels[order], ties[order]), found[order])


def test_folds_are_even_and_keep_groups_whole() -> None:
    groups = np.random.default_rng(0).integers(0, 300, 1000)
    found = grouped_folds(groups, seed=0)
    assert np.ptp(np.bincount(found, minlength=FOLDS)) <= 1
    assert all(len(np.unique(found[groups == group])) == 1 for group in np.unique(groups))
    assert (found != grouped_folds(groups, seed=1)).any()
    np.testing.assert_array_equal(found, grouped_folds(groups, seed=0))


def test_few_groups_are_enough_but_one_is_not() -> None:
    assert len(np.unique(grouped_folds(np.array([0, 0, 0, 1]), seed=0))) == 2
    with pytest.raises(DataError, match="all 3 training reviews are copies"):
        grouped_folds(np.zeros(3, dtype=np.int64), seed=0)
