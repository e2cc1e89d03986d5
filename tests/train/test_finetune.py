"""Fine-tuning from reviews to weights: what is learned, kept, frozen and resumed."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.utils.class_weight import compute_sample_weight

from ratecast.data.split import sampled_rows
from ratecast.errors import ConfigError, ModelFolderError
from ratecast.model.heads import HEADS
from ratecast.model.rater import Rater
from ratecast.progress import Advance
from ratecast.records import Reviews
from ratecast.scale import RatingScale
from ratecast.text import TextSettings
from ratecast.train.checkpoint import CHECKPOINT_FILE
from ratecast.train.finetune import FineTuned, finetune
from ratecast.train.inputs import Network
from ratecast.train.loop import Run

SCALE = RatingScale.parse("1..5")
RunOf = Callable[..., Run]
Parts = dict[str, Reviews]


def weights_of(tuned: FineTuned) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in tuned.rater.state_dict().items()}


def tune(parts: Parts, run: Run) -> FineTuned:
    return tune_within(parts, run, None)


def tune_within(parts: Parts, run: Run, time_left: Callable[[], float] | None) -> FineTuned:
    tuned = finetune(parts, SCALE, run, time_left=time_left, reviews_after=0)
    assert tuned is not None
    return tuned


def written_thesaurus(folder: Path) -> str:
    path = folder / "thesaurus.dat"
    path.write_text("UTF-8\nroom|1\n(noun)|hotel\nfood|1\n(noun)|story|movie\n", encoding="utf-8")
    return str(path)


class StoppedError(Exception):
    """Stands for a killed process."""


class InterruptingReporter:
    """Stops the training at a given step."""

    def __init__(self, step: int) -> None:
        self._left = step

    def tell(self, message: str) -> None:
        """Nothing."""

    @contextmanager
    def track(self, task: str, total: int) -> Iterator[Advance]:
        """Counts the steps of training."""

        def advance(units: int, note: str) -> None:
            if task == "training":
                self._left -= 1
                if self._left < 0:
                    raise StoppedError

        yield advance


@pytest.mark.parametrize(
    ("head", "trained_layers"),
    [*((head, None) for head in HEADS), *((head, layers) for head in ("softmax", "coral", "regression") for layers in (1, 0))],
)
def test_learns_what_the_words_say(
    parts: Parts, run_of: RunOf, head: str, trained_layers: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ratecast.train.probe._minimise", lambda *_: None)  # the head alone would learn it before training
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
    monkeypatch.setattr("ratecast.train.probe._minimise", lambda *_: None)
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


def test_head_on_the_untrained_backbone_learns_too(parts: Parts, run_of: RunOf) -> None:
    tuned = tune(parts, run_of(steps=1, learning_rate=1e-12, head_learning_rate=1e-12))
    assert tuned.before is not None
    error = SCALE.mean(tuned.before) - parts["test"].rated()
    assert np.sqrt(np.mean(error**2)) < 0.8


STRENGTHENED = {
    "layer_decay": 0.7,
    "average_decay": 0.9,
    "dropout_samples": 3,
    "r_drop": 0.5,
    "reinitialised_layers": 1,
    "adversarial": 0.3,
}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"trained_layers": 1},
        {"trained_layers": 0},
        {"head": "regression"},
        {"head": "coral"},
        STRENGTHENED,
        STRENGTHENED | {"trained_layers": 1, "head": "regression"},
        {"word_deletion": 0.2, "synonyms": 0.3, "batch_reviews": 30},  # eight steps to a pass: others are drawn in each session
    ],
)
def test_a_run_that_was_killed_ends_with_the_same_weights(
    parts: Parts, run_of: RunOf, settings: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ratecast.train.probe._minimise", lambda *_: None)  # else the weights before training would be the best
    thesaurus = {"synonyms_file": written_thesaurus(tmp_path)} if "synonyms" in settings else {}
    fixed = {"steps": 25, "patience": 50, "checkpoint_seconds": 1e-9, "dropout": 0.3, **settings, **thesaurus}
    whole = tune(parts, run_of(folder="whole", **fixed))
    assert whole.result.best_step > 14
    for stop in (3, 11):  # killed twice: in the first session after three steps, in the second after eleven more
        with pytest.raises(StoppedError):
            tune(parts, replace(run_of(resume=True, **fixed), reporter=InterruptingReporter(stop)))
    resumed = tune(parts, run_of(resume=True, **fixed))
    assert resumed.result.steps == 25
    for name, value in weights_of(whole).items():
        torch.testing.assert_close(weights_of(resumed)[name], value, rtol=0, atol=0, msg=name)
    curves = [[point["validation_rmse"] for point in tuned.result.curve] for tuned in (whole, resumed)]
    assert curves[0] == curves[1]


def test_a_process_killed_while_training_leaves_a_whole_checkpoint(parts: Parts, run_of: RunOf) -> None:
    run = run_of(steps=10_000, checkpoint_seconds=1e-9, patience=10_000)
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        tune(parts, run)
        os._exit(0)
    deadline = time.monotonic() + 60
    while not (run.folder / CHECKPOINT_FILE).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with pytest.raises(StoppedError):  # it goes on, where a fresh run would have been stopped by the damaged file
        tune(parts, replace(run_of(steps=10_000, patience=10_000, resume=True), reporter=InterruptingReporter(3)))
    with safe_open(run.folder / CHECKPOINT_FILE, framework="pt") as file:
        assert json.loads(file.metadata()["state"])["step"] > 0


class ImpatientReporter(InterruptingReporter):
    """Presses Ctrl-C at a given step and keeps what is told."""

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.told: list[str] = []

    def tell(self, message: str) -> None:
        """Keeps the message."""
        self.told.append(message)

    @contextmanager
    def track(self, task: str, total: int) -> Iterator[Advance]:
        """Counts the steps of training."""
        with super().track(task, total) as advance:

            def pressed(units: int, note: str) -> None:
                try:
                    advance(units, note)
                except StoppedError:
                    raise KeyboardInterrupt from None

            yield pressed


def test_ctrl_c_tells_how_to_go_on(parts: Parts, run_of: RunOf) -> None:
    reporter = ImpatientReporter(7)
    with pytest.raises(KeyboardInterrupt):
        tune(parts, replace(run_of(steps=25, checkpoint_seconds=1e-9), reporter=reporter))
    assert reporter.told[-1] == "stopped: the same command with --resume goes on from the last checkpoint"


def test_checkpoint_of_other_data_is_refused(parts: Parts, run_of: RunOf) -> None:
    tune(parts, run_of(steps=2, checkpoint_seconds=1e-9))
    with pytest.raises(ConfigError, match="made with other data or settings"):
        tune(parts, run_of(steps=2, resume=True, fingerprint="other"))


def test_damaged_checkpoint_is_told(parts: Parts, run_of: RunOf) -> None:
    run = run_of(steps=2, resume=True)
    run.folder.mkdir()
    (run.folder / CHECKPOINT_FILE).write_bytes(b"half a file")
    with pytest.raises(ModelFolderError, match="is damaged"):
        tune(parts, run)


def test_frozen_weights_do_not_move(parts: Parts, run_of: RunOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ratecast.train.probe._minimise", lambda *_: None)
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


class ComputingNetwork(Network):
    """Computes the frozen layers in every step."""

    def __init__(self, rater: Rater, settings: TextSettings, **_: int) -> None:
        super().__init__(rater, settings, frozen=0, layers=2)


def test_same_seed_same_weights_other_seed_other_weights(parts: Parts, run_of: RunOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ratecast.train.probe._minimise", lambda *_: None)  # else the weights before training would be the best
    first, second, other = (weights_of(tune(parts, run_of(steps=6, seed=seed))) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_patience_stops_a_run_that_does_not_improve(parts: Parts, run_of: RunOf) -> None:
    tuned = tune(parts, run_of(epochs=50.0, learning_rate=1e-12, head_learning_rate=1e-12, patience=2))
    assert tuned.result.stopped_by == "patience"
    assert tuned.result.steps == 2 * 15
    assert tuned.result.best_step == 0


@pytest.mark.parametrize(("epochs", "evaluations"), [(2.0, 4), (10.0, 10)])
def test_by_default_half_of_the_evaluations_may_pass_without_improvement(
    parts: Parts, run_of: RunOf, epochs: float, evaluations: int
) -> None:
    tuned = tune(parts, run_of(epochs=epochs, learning_rate=1e-12, head_learning_rate=1e-12))
    assert len(tuned.result.curve) == 1 + evaluations  # the first one is before any step


def test_time_limit_is_kept_and_ends_the_schedule(parts: Parts, run_of: RunOf) -> None:
    run = run_of(epochs=10_000.0, patience=10_000)
    started = time.monotonic()
    tuned = tune_within(parts, run, lambda: started + 6 - time.monotonic())
    assert time.monotonic() - started < 8
    assert tuned.result.stopped_by == "time budget"
    assert tuned.result.steps > 10


def test_a_resumed_run_keeps_to_a_smaller_limit(parts: Parts, run_of: RunOf) -> None:
    settings = {"epochs": 10_000.0, "patience": 100_000, "checkpoint_seconds": 1e-9}
    begun = time.monotonic()
    run = replace(run_of(**settings), reporter=InterruptingReporter(3))
    with pytest.raises(StoppedError):
        tune_within(parts, run, lambda: begun + 600 - time.monotonic())
    started = time.monotonic()
    tuned = tune_within(parts, run_of(resume=True, **settings), lambda: started + 4 - time.monotonic())
    assert time.monotonic() - started < 12
    assert tuned.result.stopped_by == "time budget"
    assert tuned.result.steps > 3


def test_a_checkpoint_of_a_gpu_is_gone_on_with_on_a_processor(
    parts: Parts, run_of: RunOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("there is no GPU")

    with pytest.raises(StoppedError):
        tune(parts, replace(run_of(steps=8, checkpoint_seconds=1e-9), reporter=InterruptingReporter(3)))
    path = run_of().folder / CHECKPOINT_FILE
    with safe_open(path, framework="pt") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    save_file(tensors | {"random_cuda": torch.zeros(16, dtype=torch.uint8)}, path, metadata=metadata)
    monkeypatch.setattr(torch.cuda, "set_rng_state", refuse)
    assert tune(parts, run_of(steps=8, resume=True)).result.steps == 8


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


@pytest.mark.parametrize("tracker", ["tensorboard", "wandb"])
def test_trackers_get_the_curve(parts: Parts, run_of: RunOf, tracker: str) -> None:
    run = run_of(steps=15, **{tracker: True})
    tune(parts, run)
    assert [path for path in run.log_folder.rglob("*") if path.is_file()]


def test_evaluations_are_told_with_the_progress(parts: Parts, run_of: RunOf) -> None:
    told: list[tuple[float, float]] = []
    run = replace(run_of(steps=20), on_evaluation=lambda progress, rmse: told.append((progress, rmse)))
    curve = tune(parts, run).result.curve
    assert told == [(point["step"] / 20, point["validation_rmse"]) for point in curve]
    assert len(told) >= 3


def test_an_error_of_the_listener_ends_the_training_and_the_trackers(
    parts: Parts, run_of: RunOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(progress: float, rmse: float) -> None:
        if progress > 0:
            raise StoppedError

    ended: list[Accelerator] = []

    def end(self: Accelerator) -> None:
        ended.append(self)

    monkeypatch.setattr(Accelerator, "end_training", end)
    run = replace(run_of(steps=40, trained_layers=1), on_evaluation=stop)
    with pytest.raises(StoppedError):
        tune(parts, run)
    assert len(ended) == 1
    monkeypatch.undo()
    assert tune(parts, run_of(steps=3, folder="next")).result.steps == 3  # nothing of the stopped one is in the way


def test_without_a_test_part_the_backbone_is_judged_on_validation_reviews(parts: Parts, run_of: RunOf) -> None:
    few = {name: parts[name] for name in ("train", "validation")}
    tuned = finetune(few, SCALE, run_of(steps=2), time_left=None, reviews_after=0, judged="validation")
    assert tuned is not None
    judged = finetune({**few, "test": few["validation"]}, SCALE, run_of(steps=2), time_left=None, reviews_after=0)
    assert judged is not None
    assert tuned.before is not None
    assert judged.before is not None
    np.testing.assert_allclose(tuned.before, judged.before, atol=1e-6)
