"""Learning from pairs of reviews."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ratecast.model.heads import create_head
from ratecast.model.prompting import load_prompted
from ratecast.model.rater import Rater
from ratecast.records import Reviews
from ratecast.scale import RatingScale
from ratecast.train.finetune import finetune
from ratecast.train.inputs import RatedTexts
from ratecast.train.loop import Run
from ratecast.train.pairs import PairLearner, learn_pairs, pair_loss

SCALE = RatingScale.parse("1..5")


def test_the_loss_is_that_worked_out_by_hand() -> None:
    vectors = torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]])
    ratings = torch.tensor([1.0, 5.0, 4.0])
    # cosines 0, √½, √½; wanted: 0 at the two ends, ¼ three steps apart, ¾ one step apart
    half = 0.5**0.5
    expected = (0 + (half - 0.25) ** 2 + (half - 0.75) ** 2) / 3
    assert float(pair_loss(vectors, ratings, SCALE)) == pytest.approx(expected, abs=1e-6)
    assert float(pair_loss(vectors[:1], ratings[:1], SCALE)) == 0


def network(run: Run, parts: dict[str, Reviews]) -> tuple[Rater, dict[str, RatedTexts], Any]:
    backbone, _ = load_prompted(run.config, SCALE)
    head = create_head("mixed", backbone.width, SCALE, parts["train"].rated())
    reviews = {
        name: RatedTexts(texts=backbone.encoder.encode(parts[name].joined()), ratings=parts[name].rated())
        for name in ("train", "validation")
    }
    return Rater(backbone.model, head, pooling="mean"), reviews, backbone.encoder.settings


def test_likeness_comes_to_follow_the_ratings(run_of: Callable[..., Run], parts: dict[str, Reviews]) -> None:
    run = run_of(contrastive_passes=4.0)
    rater, reviews, settings = network(run, parts)
    head = [weight.clone() for weight in rater.head.parameters()]
    found = learn_pairs(rater, reviews, settings, run, None)
    assert (found.steps, found.best_step > 0) == (120, True)
    assert found.after < 0.6 * found.before
    assert all(torch.equal(before, after) for before, after in zip(head, rater.head.parameters(), strict=True))
    assert "learnt from pairs of reviews for 120 steps" in found.describe()
    again, reviews, settings = network(run, parts)
    learn_pairs(again, reviews, settings, run, None)
    for name, weight in rater.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], weight)


def test_a_batch_that_is_too_large_is_divided(
    run_of: Callable[..., Run], parts: dict[str, Reviews], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(contrastive_passes=1.0, batch_reviews=32)
    rater, reviews, settings = network(run, parts)
    rater.eval()
    learner = PairLearner(rater, reviews, settings, run.config)
    whole = sum(loss.item() for loss in learner.losses(0))
    monkeypatch.setattr("ratecast.text.batch.MOST_BATCH_TOKENS", 100)
    read: list[int] = []
    original = Rater.vectors

    def vectors(self: Rater, ids: torch.Tensor, *rest: Any) -> torch.Tensor:
        read.append(ids.numel())
        return original(self, ids, *rest)

    monkeypatch.setattr(Rater, "vectors", vectors)
    found = [loss.item() for loss in learner.losses(0)]
    assert len(found) == len(read) > 2
    assert max(read) <= 100
    assert 0.3 * whole < sum(found) < 3 * whole


def test_they_take_a_third_of_the_time_at_most(
    run_of: Callable[..., Run], parts: dict[str, Reviews], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Run] = []

    def train(learner: Any, run: Run) -> None:
        seen.append(run)
        raise KeyboardInterrupt

    monkeypatch.setattr("ratecast.train.pairs.train", train)
    run = run_of(contrastive_passes=1.0)
    rater, reviews, settings = network(run, parts)
    with pytest.raises(KeyboardInterrupt):
        learn_pairs(rater, reviews, settings, replace(run, on_evaluation=lambda *_: None), 30.0)
    assert seen[0].allowed_seconds == pytest.approx(10.0)
    assert seen[0].folder != run.folder
    assert seen[0].on_evaluation is None


def test_fine_tuning_goes_on_from_there(run_of: Callable[..., Run], parts: dict[str, Reviews]) -> None:
    small = {name: part.take(np.arange(40)) for name, part in parts.items()}
    tuned = finetune(small, SCALE, run_of(contrastive_passes=2.0, steps=2), time_left=None, reviews_after=0)
    assert tuned is not None
    assert tuned.pairs is not None
    assert tuned.pairs.steps == 10
    without = finetune(small, SCALE, run_of(steps=2, folder="other"), time_left=None, reviews_after=0)
    assert without is not None
    assert without.pairs is None
    assert np.abs(tuned.validation - without.validation).max() > 1e-3
