"""A static model learns from a teacher, the same each time, and goes on where it was interrupted."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from interruption import InterruptingReporter, StoppedError
from ratecast.records import Reviews
from ratecast.scale import RatingScale
from ratecast.train.loop import Run
from ratecast.train.static import TaughtStatic, train_static
from ratecast.train.taught import TARGET_WEIGHT, Taught

RunOf = Callable[..., Run]
Parts = dict[str, Reviews]
SCALE = RatingScale.parse("1..5")


def taught_of(reviews: Reviews, unrated: int = 0) -> Taught:
    """What a teacher says that is nearly sure of the true level; the last reviews have no rating."""
    targets = np.eye(5)[SCALE.level_index(reviews.rated())] * 0.8 + 0.04
    ratings = reviews.rated().copy()
    ratings[len(reviews) - unrated :] = np.nan
    return Taught(texts=reviews.joined(), targets=targets, ratings=ratings)


def learn(parts: Parts, run: Run, unrated: int = 0) -> TaughtStatic:
    return train_static(taught_of(parts["train"], unrated), parts["validation"], SCALE, run)


def test_what_counts_without_a_rating_is_the_teacher_alone(parts: Parts) -> None:
    taught = taught_of(parts["test"], unrated=3)
    np.testing.assert_array_equal(taught.target_weights(), [TARGET_WEIGHT] * 37 + [1.0] * 3)
    np.testing.assert_array_equal(taught.filled_ratings(SCALE), parts["test"].rated())


@pytest.mark.parametrize("unrated", [0, 240])
def test_it_learns_with_and_without_ratings(parts: Parts, run_of: RunOf, unrated: int) -> None:
    found = learn(parts, run_of(steps=100, learning_rate=3e-2), unrated)
    assert found.result.best_score < 0.5
    test = parts["test"]
    expected = SCALE.mean(found.model.probabilities(test.joined()))
    assert np.sqrt(((expected - test.rated()) ** 2).mean()) < 0.5 < test.rated().std()


def test_the_same_seed_gives_the_same_model_and_another_one_another(parts: Parts, run_of: RunOf) -> None:
    first, same = (learn(parts, run_of(folder=name, steps=8)) for name in ("one", "two"))
    np.testing.assert_array_equal(first.model.table, same.model.table)
    np.testing.assert_array_equal(first.validation, same.validation)
    other = learn(parts, run_of(folder="three", steps=8, seed=1))
    assert (first.model.table != other.model.table).any()


def test_an_interrupted_training_goes_on_exactly(parts: Parts, run_of: RunOf) -> None:
    whole = learn(parts, run_of(folder="whole", steps=12))
    for stop in (3, 4):
        run = run_of(resume=True, steps=12, checkpoint_seconds=1e-9)
        with pytest.raises(StoppedError):
            learn(parts, replace(run, reporter=InterruptingReporter(stop)))
    resumed = learn(parts, run_of(resume=True, steps=12, checkpoint_seconds=1e-9))
    np.testing.assert_array_equal(resumed.model.table, whole.model.table)
    assert resumed.result.steps == 12
