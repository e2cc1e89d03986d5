"""The training loop: what ends it, and whom it tells of its course."""

from dataclasses import replace
from typing import Any

import pytest
from accelerate import Accelerator

from finetuned import Parts, RunOf, tune
from interruption import StoppedError


def test_patience_stops_a_run_that_does_not_improve(parts: Parts, run_of: RunOf) -> None:
    tuned = tune(parts, run_of(epochs=50.0, learning_rate=1e-12, head_learning_rate=1e-12, patience=2))
    assert tuned.result.stopped_by == "patience"
    assert tuned.result.steps == 2 * 15
    assert tuned.result.best_step == 0


@pytest.mark.parametrize(("epochs", "evaluations"), [(4.0, 4), (10.0, 10)])
def test_by_default_half_of_the_evaluations_may_pass_without_improvement(
    parts: Parts, run_of: RunOf, epochs: float, evaluations: int
) -> None:
    tuned = tune(parts, run_of(epochs=epochs, learning_rate=1e-12, head_learning_rate=1e-12))
    after = [point for point in tuned.result.curve if point["step"] > tuned.result.best_step]
    assert len(after) == evaluations  # rounding alone may make an early one the best


def test_time_limit_is_kept_and_ends_the_schedule(parts: Parts, run_of: RunOf, clock: Any) -> None:
    tuned = tune(parts, run_of(epochs=10_000.0, patience=10_000), lambda: 20 - clock.now)
    assert 17 < clock.now < 20.5
    assert tuned.result.curve[-1]["learning_rate"] < 3e-5  # of 1e-3 at its peak
    assert tuned.result.stopped_by == "time budget"
    assert tuned.result.steps > 10


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
