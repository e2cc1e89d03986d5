"""Fine-tuning a backbone on what a teacher says."""

import numpy as np
import pytest

from finetuned import SCALE, Parts, RunOf
from ratecast.train.finetune import finetune
from ratecast.train.taught import Taught


@pytest.mark.usefixtures("untrained_head")
def test_reviews_without_ratings_teach_what_the_teacher_says(parts: Parts, run_of: RunOf) -> None:
    """The teacher says the opposite of the ratings: what is learnt tells whom the network followed."""
    train, validation = parts["train"], parts["validation"]
    opposite = np.eye(5)[::-1][SCALE.level_index(train.rated())] * 0.9 + 0.02
    nothing = np.full(len(train), np.nan)
    taught = Taught(texts=train.joined(), targets=opposite, ratings=nothing)
    told = {"train": taught.reviews(SCALE), "validation": validation}
    run = run_of(steps=240, learning_rate=3e-3, precision="float32", patience=50)
    tuned = finetune(told, SCALE, run, time_left=None, reviews_after=0, judged="validation", taught=taught)
    assert tuned is not None
    np.testing.assert_array_equal(told["train"].rated(), 6 - train.rated())
    errors = [point["validation_rmse"] for point in tuned.result.curve]
    assert errors[-1] > errors[0] + 0.3, "it moved away from the ratings"
