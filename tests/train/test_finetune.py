"""Fine-tuning from reviews to weights: what is learned, kept and frozen."""

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_sample_weight

from finetuned import SCALE, ComputingNetwork, Parts, RunOf, tune, weights_of
from ratecast.data.split import sampled_rows
from ratecast.model.heads import HEADS
from ratecast.progress import SilentReporter
from ratecast.records import Reviews
from ratecast.train import finetune as finetune_module
from ratecast.train import planning
from ratecast.train.finetune import finetune
from ratecast.train.frozen import encode
from ratecast.train.inputs import Network, RatedTexts
from ratecast.train.network import distribution
from ratecast.train.speed import Speed


@pytest.mark.parametrize(
    ("head", "trained_layers"),
    [*((head, None) for head in HEADS), *((head, layers) for head in ("softmax", "coral", "regression") for layers in (1, 0))],
)
def test_learns_what_the_words_say(
    parts: Parts, run_of: RunOf, head: str, trained_layers: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ratecast.train.probe._minimise", lambda *_, **__: None
    )  # the head alone would learn it before training
    tuned = tune(parts, run_of(head=head, trained_layers=trained_layers, epochs=12.0, patience=50, head_learning_rate=1e-2))
    curve = [point["validation_rmse"] for point in tuned.result.curve]
    assert tuned.result.best_score == min(curve)
    assert tuned.result.best_score < 0.6 * curve[0]


def half_wrong(reviews: Reviews) -> Reviews:
    """Reviews every other of which has its rating upside down, and the weight 0."""
    wrong = np.arange(len(reviews)) % 2 == 1
    return replace(reviews, rating=np.where(wrong, 6 - reviews.rated(), reviews.rated()), weight=np.where(wrong, 0.0, 3.0))


def test_reviews_without_weight_teach_nothing(parts: Parts, run_of: RunOf, monkeypatch: pytest.MonkeyPatch) -> None:
    weighted = parts | {"train": half_wrong(parts["train"])}
    before = tune(weighted, run_of(steps=1, learning_rate=1e-12, head_learning_rate=1e-12)).before
    assert before is not None
    assert np.sqrt(np.mean((SCALE.mean(before) - parts["test"].rated()) ** 2)) < 1.0
    monkeypatch.setattr("ratecast.train.probe._minimise", lambda *_, **__: None)
    tuned = tune(weighted, run_of(epochs=12.0, patience=50, head_learning_rate=1e-2))
    assert tuned.result.best_score < 0.6 * tuned.result.curve[0]["validation_rmse"]


def test_equal_weights_change_nothing_and_balanced_levels_are_sample_weights(parts: Parts, run_of: RunOf) -> None:
    train = parts["train"].take((parts["train"].rated() > 2) | (np.arange(240) % 7 == 0))
    plain, equal, by_level, by_review = (
        weights_of(tune(parts | {"train": replace(train, weight=weight)}, run_of(steps=4, class_weights=class_weights)))
        for weight, class_weights in (
            (None, "none"),
            (np.full(len(train), 5.0), "none"),
            (None, "balanced"),
            (compute_sample_weight("balanced", train.rated()), "none"),
        )
    )
    assert all(torch.equal(plain[name], equal[name]) for name in plain)
    assert not torch.allclose(plain["head.linear.bias"], by_level["head.linear.bias"], atol=1e-2)
    for name, value in by_review.items():
        torch.testing.assert_close(value, by_level[name], rtol=1e-3, atol=1e-4, msg=name)


def test_label_smoothing_reaches_the_head(parts: Parts, run_of: RunOf) -> None:
    head = tune(parts, run_of(steps=1, label_smoothing=0.1)).rater.head
    np.testing.assert_allclose(head.get_buffer("targets")[0], [0.92, 0.02, 0.02, 0.02, 0.02], rtol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"trained_layers": 1}, {"tune": "lora"}, {"average_decay": 0.9}])
def test_validation_reviews_are_read_once_for_each_evaluation(
    parts: Parts, run_of: RunOf, monkeypatch: pytest.MonkeyPatch, settings: dict[str, object]
) -> None:
    read: list[int] = []

    class Counting(Network):
        def outputs(self, reviews: RatedTexts) -> torch.Tensor:
            read.append(len(reviews))
            return super().outputs(reviews)

    monkeypatch.setattr("ratecast.train.finetune.Network", Counting)
    tuned = tune(parts, run_of(epochs=1.0, evaluations_per_epoch=4, **settings))
    evaluations = len(tuned.result.curve) - 1  # before the first step the head's fit has told it already
    assert read == [len(parts["validation"])] * evaluations
    texts = tuned.backbone.encoder.encode(parts["validation"].joined())
    network = Network(tuned.rater, tuned.backbone.encoder.settings, frozen=0, layers=2)
    again = network.outputs(RatedTexts(texts=texts, ratings=parts["validation"].rated()))
    tolerance = 2e-3 if "trained_layers" in settings else 1e-6  # stored outputs have half precision
    np.testing.assert_allclose(tuned.validation, distribution(tuned.rater, again), atol=tolerance)
    errors = SCALE.mean(tuned.validation) - parts["validation"].rated()
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(tuned.result.best_score)


def test_what_the_head_says_before_training_is_the_first_evaluation(parts: Parts, run_of: RunOf) -> None:
    tuned = tune(parts, run_of(steps=1, learning_rate=1e-12, head_learning_rate=1e-12))
    first, last = (point["validation_rmse"] for point in tuned.result.curve)
    assert first == pytest.approx(last, rel=1e-5)


def test_head_on_the_untrained_backbone_learns_too(parts: Parts, run_of: RunOf) -> None:
    tuned = tune(parts, run_of(steps=1, learning_rate=1e-12, head_learning_rate=1e-12))
    assert tuned.before is not None
    error = SCALE.mean(tuned.before) - parts["test"].rated()
    assert np.sqrt(np.mean(error**2)) < 0.8


def test_frozen_weights_do_not_move(parts: Parts, run_of: RunOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ratecast.train.probe._minimise", lambda *_, **__: None)
    before = weights_of(tune(parts, run_of(steps=1, learning_rate=1e-12, head_learning_rate=1e-12)))
    after = weights_of(tune(parts, run_of(steps=40, trained_layers=1, head_learning_rate=1e-2)))
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert any("layer.1." in name for name in moved)
    assert not any("layer.0." in name or "embeddings" in name for name in moved)


def test_training_on_stored_layers_is_training(parts: Parts, run_of: RunOf, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"steps": 30, "trained_layers": 1, "dropout": 0.0}
    stored = tune(parts, run_of(**settings)).result.curve
    monkeypatch.setattr("ratecast.train.finetune.Network", ComputingNetwork)
    computed = tune(parts, run_of(**settings)).result.curve
    assert [point["validation_rmse"] for point in stored] == pytest.approx(
        [point["validation_rmse"] for point in computed], rel=0.02
    )


def test_same_seed_same_weights_other_seed_other_weights(parts: Parts, run_of: RunOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "ratecast.train.probe._minimise", lambda *_, **__: None
    )  # else the weights before training would be the best
    first, second, other = (weights_of(tune(parts, run_of(steps=6, seed=seed))) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_no_more_reviews_are_judged_than_a_fifth_of_the_time_allows(
    parts: Parts, run_of: RunOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ratecast.data.split.LEAST_JUDGED", 1)
    started = time.monotonic()
    tuned = finetune(
        parts,
        SCALE,
        run_of(max_tokens=24, steps=2),
        time_left=lambda: started + 100 - time.monotonic(),
        reviews_after=40,
        seconds_after=1.0,
    )
    assert tuned is not None
    assert 15 <= tuned.judged <= 20  # a fifth of 100 s and what is left after loading, a second each
    assert tuned.before is not None
    chosen = parts["test"].take(sampled_rows(40, tuned.judged, 0)).rated()
    assert np.sqrt(np.mean((SCALE.mean(tuned.before) - chosen) ** 2)) < 0.8
    assert finetune(parts, SCALE, run_of(), time_left=None, reviews_after=40, seconds_after=1.0) is not None


def test_no_time_at_all_is_not_worth_a_start(parts: Parts, run_of: RunOf) -> None:
    assert finetune(parts, SCALE, run_of(), time_left=lambda: 0.0, reviews_after=0) is None


def test_without_a_test_part_the_backbone_is_judged_on_validation_reviews(parts: Parts, run_of: RunOf) -> None:
    few = {name: parts[name] for name in ("train", "validation")}
    tuned = finetune(few, SCALE, run_of(steps=2), time_left=None, reviews_after=0, judged="validation")
    assert tuned is not None
    judged = finetune({**few, "test": few["validation"]}, SCALE, run_of(steps=2), time_left=None, reviews_after=0)
    assert judged is not None
    assert tuned.before is not None
    assert judged.before is not None
    np.testing.assert_allclose(tuned.before, judged.before, atol=1e-6)


class Recorder(SilentReporter):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def tell(self, message: str) -> None:
        self.lines.append(message)


def test_a_head_alone_learns_from_fewer_reviews_where_the_machine_turns_out_slower(
    parts: Parts, run_of: RunOf, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "measure_speed", lambda *_: Speed(encoding=1e9, training=1e9, graph=1e9))
    monkeypatch.setattr(finetune_module, "_TELLING_SECONDS", 0.3)

    def slow(*arguments: Any, **named: Any) -> Any:
        clock.now += 0.4
        return encode(*arguments, **named)

    monkeypatch.setattr(finetune_module, "encode", slow)
    seen = []
    for seconds in (1000.0, 1.0):
        reporter, clock.now = Recorder(), 0.0
        run = replace(run_of(trained_layers=0), reporter=reporter)
        tuned = finetune(parts, SCALE, run, time_left=lambda left=seconds: left - clock.now, reviews_after=0)  # type: ignore[misc]
        assert tuned is not None
        seen.append((tuned.reviews, [line for line in reporter.lines if "slower" in line]))
    assert seen == [(240, []), (100, ["the machine has become slower: the head learns from 100 reviews"])]
