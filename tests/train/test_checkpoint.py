"""Checkpoints: a run that was stopped at any moment ends as if it had not been."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from finetuned import Parts, RunOf, assert_resumes_exactly, tune
from interruption import InterruptingReporter, StoppedError
from ratecast.errors import ConfigError, ModelFolderError
from ratecast.progress import Advance
from ratecast.train.checkpoint import CHECKPOINT_FILE, load_plan
from ratecast.train.speed import Speed

STRENGTHENED = {
    "layer_decay": 0.7,
    "average_decay": 0.9,
    "dropout_samples": 3,
    "r_drop": 0.5,
    "reinitialised_layers": 1,
    "adversarial": 0.3,
}


def written_thesaurus(folder: Path) -> str:
    path = folder / "thesaurus.dat"
    path.write_text("UTF-8\nroom|1\n(noun)|hotel\nfood|1\n(noun)|story|movie\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"trained_layers": 1},
        {"trained_layers": 0},
        {"head": "regression"},
        {"head": "coral"},
        {"optimizer": "sgd"},
        {"optimizer": "adafactor"},
        STRENGTHENED,
        STRENGTHENED | {"trained_layers": 1, "head": "regression"},
        {"word_deletion": 0.2, "synonyms": 0.3, "batch_reviews": 30},  # eight steps to a pass: others are drawn in each session
    ],
)
def test_a_run_that_was_killed_ends_with_the_same_weights(
    parts: Parts, run_of: RunOf, settings: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ratecast.train.probe._minimise", lambda *_, **__: None
    )  # else the weights before training would be the best
    thesaurus = {"synonyms_file": written_thesaurus(tmp_path)} if "synonyms" in settings else {}
    fixed = {"steps": 25, "patience": 50, "checkpoint_seconds": 1e-9, "dropout": 0.3, **settings, **thesaurus}
    # Killed twice: in the first session after three steps, in the second after eleven more.
    whole = assert_resumes_exactly(parts, run_of, (3, 11), **fixed)
    assert whole.result.steps == 25
    assert whole.result.best_step > 14


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
    again = ImpatientReporter(100)
    tune(parts, replace(run_of(steps=25, resume=True), reporter=again))
    assert "training goes on from step 7 of 25" in again.told


def test_a_run_without_a_checkpoint_says_that_it_begins_anew(parts: Parts, run_of: RunOf) -> None:
    reporter = ImpatientReporter(100)
    tune(parts, replace(run_of(steps=2, resume=True), reporter=reporter))
    assert "there is no checkpoint of this training to go on from: it begins at its first step" in reporter.told


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


def test_a_resumed_run_keeps_to_a_smaller_limit(parts: Parts, run_of: RunOf, clock: Any) -> None:
    settings = {"epochs": 10_000.0, "patience": 100_000, "checkpoint_seconds": 1e-9}
    run = replace(run_of(**settings), reporter=InterruptingReporter(3))
    with pytest.raises(StoppedError):
        tune(parts, run, lambda: 600 - clock.now)
    started = clock.now
    tuned = tune(parts, run_of(resume=True, **settings), lambda: started + 20 - clock.now)
    assert clock.now - started < 20.5
    assert tuned.result.stopped_by == "time budget"
    assert tuned.result.steps > 3


def test_a_resumed_run_follows_the_plan_of_its_checkpoint(
    parts: Parts, run_of: RunOf, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"max_tokens": None, "patience": 100_000, "checkpoint_seconds": 1e-9}
    run = replace(run_of(**settings), reporter=InterruptingReporter(3))
    with pytest.raises(StoppedError):
        tune(parts, run, lambda: 60 - clock.now)
    plan = load_plan(run.folder / CHECKPOINT_FILE, run.fingerprint)
    assert plan is not None
    slow = Speed(encoding=3000.0, training=30.0, graph=1e6)  # by which not all layers would be trained
    monkeypatch.setattr("ratecast.train.planning.measure_speed", lambda *_: slow)
    started = clock.now
    tuned = tune(parts, run_of(resume=True, **settings), lambda: started + 60 - clock.now)
    assert plan.trained_layers == plan.layers == 2
    resolved = plan.resolve(run_of(**settings).config)
    assert tuned.config.backbone == replace(resolved.backbone, pooling="mean")
    assert (tuned.config.train.epochs, tuned.config.train.precision) == (plan.most_epochs, plan.precision)
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
