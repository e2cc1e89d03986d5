"""The training loop, the only one."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator

from ratecast.config import FitConfig, TrackConfig
from ratecast.errors import require
from ratecast.progress import Reporter
from ratecast.train.average import averaged, started_average, update_average
from ratecast.train.checkpoint import CHECKPOINT_FILE, TrainingState, load_checkpoint, save_checkpoint
from ratecast.train.learner import Learner
from ratecast.train.memory import kept_memory
from ratecast.train.optim import RULES, set_learning_rates, trained_weights

_TICKS = 1000
_LEAST_PATIENCE = 4


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """How a training went.

    Attributes:
        steps: steps done.
        planned_steps: steps of the plan.
        best_step: the step whose weights were kept.
        measure: what evaluations tell, as `Learner.measure` has it.
        best_score: that of these.
        seconds: time spent, over all sessions of the run.
        units_per_second: training speed, evaluations apart, in the learner's units.
        trained_weights: how many numbers were trained.
        stopped_by: "plan", "time budget" or "patience".
        curve: one entry for each evaluation: step, seconds, training_loss, learning_rate, and the measure in small letters,
            such as validation_rmse.
    """

    steps: int
    planned_steps: int
    best_step: int
    measure: str
    best_score: float
    seconds: float
    units_per_second: float
    trained_weights: int
    stopped_by: str
    curve: list[dict[str, float]]


class KeptPlan(Protocol):
    """A plan that checkpoints keep."""

    def to_json(self) -> dict[str, Any]:
        """The plan as values that JSON can hold."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a training run needs besides what it trains.

    Attributes:
        config: the settings.
        folder: where checkpoints go.
        fingerprint: hash of the data and of the settings that decide the weights.
        resume: whether to go on from the last checkpoint.
        allowed_seconds: time for training in this session; None without a limit. A resumed run keeps to the limit of its
            checkpoint too, whichever comes first.
        reporter: shows the progress.
        log_folder: where trackers write.
        plan: what the settings were filled in from, to be kept in checkpoints.
        on_evaluation: called after each evaluation with the progress, 0 to 1, and the score. An error that it raises
            ends the training and reaches the caller.
    """

    config: FitConfig
    folder: Path
    fingerprint: str
    resume: bool
    reporter: Reporter
    log_folder: Path
    allowed_seconds: float | None = None
    plan: KeptPlan | None = None
    on_evaluation: Callable[[float, float], None] | None = None

    def within(self, allowed_seconds: float | None) -> "Run":
        """The same run with a limit on the time for training."""
        return replace(self, allowed_seconds=allowed_seconds)

    def with_config(self, config: FitConfig) -> "Run":
        """The same run with other settings."""
        return replace(self, config=config)


def train(learner: Learner, run: Run) -> TrainingResult:
    """Train, keep the weights (or their average) with the lowest score, and leave the network with these.

    Without a time limit the plan is a fixed number of steps, and a run that is stopped at any moment and resumed ends with
    the same weights as one that never was. With one, the learning rate reaches zero at whichever comes first, the last step
    or the limit.

    Args:
        learner: what is trained, on what and to which end.
        run: settings and places.

    Raises:
        ConfigError: if a checkpoint to resume from belongs to other data or settings.
        OutputError: if a checkpoint cannot be written.
    """
    return _Loop(learner, run).run()


class _Loop:
    """The state of `train`, and one method for each thing that it does."""

    def __init__(self, learner: Learner, run: Run) -> None:
        self._learner, self._run = learner, run
        self._config = run.config.train
        self._accelerator = _accelerator(run)
        self._network, self._optimizer = self._accelerator.prepare(learner.network, learner.create_optimizer())
        self._weights = trained_weights(self._network)  # here, because some of them may wait for their turn in a moment
        self._losses = _Mean()
        self._training_seconds = 0.0
        torch.manual_seed(run.config.seed)
        found = load_checkpoint(run.folder, run.fingerprint, self._weights, self._optimizer) if run.resume else None
        self._state = found or self._planned()
        if found is not None:
            run.reporter.tell(f"training goes on from step {found.step} of {found.steps}")
        elif run.resume:
            run.reporter.tell("there is no checkpoint of this training to go on from: it begins at its first step")
        if found is not None and run.allowed_seconds is not None:
            found.allowed_seconds = min(found.allowed_seconds or math.inf, found.seconds + run.allowed_seconds)
        planned_evaluations = math.ceil(self._state.steps / learner.evaluate_every)
        self._patience = self._config.patience or max(_LEAST_PATIENCE, math.ceil(planned_evaluations / 2))
        learner.memory = self._state.memory
        self._average_decay = run.config.strengthen.average_decay
        if self._average_decay and not self._state.average:
            self._state.average = started_average(self._network)
        self._first_step = self._state.step
        self._started = time.monotonic() - self._state.seconds

    def run(self) -> TrainingResult:
        """Train until the plan, the time or the patience ends."""
        state = self._state
        try:
            with kept_memory():
                stopped_by = self._evaluated_steps()
        except KeyboardInterrupt:
            # The interrupt may have come in the middle of a step, whose weights must not be saved.
            if (self._run.folder / CHECKPOINT_FILE).exists():
                self._run.reporter.tell("stopped: the same command with --resume goes on from the last checkpoint")
            raise
        finally:
            self._accelerator.end_training()
        state.restore_best(self._weights)
        self._network.eval()
        return TrainingResult(
            steps=state.step,
            planned_steps=state.steps,
            best_step=state.best_step,
            measure=self._learner.measure,
            best_score=state.best_score,
            seconds=time.monotonic() - self._started,
            units_per_second=self._speed(),
            trained_weights=sum(weight.numel() for group in self._optimizer.param_groups for weight in group["params"]),
            stopped_by=stopped_by,
            curve=state.curve,
        )

    def _evaluated_steps(self) -> str:
        """Do the steps, between an evaluation before the first and one after the last; return what ended them."""
        state = self._state
        if not state.curve:
            self._evaluate(0.0)
        self._network.train()
        stopped_by = self._steps()
        if state.curve[-1]["step"] != state.step:
            self._evaluate(0.0)
        return stopped_by

    def _steps(self) -> str:
        """Do the steps, with evaluations and checkpoints, and return what ended them."""
        state, saved, shown = self._state, time.monotonic(), 0
        with self._run.reporter.track("training", _TICKS) as advance:
            while (stopped_by := self._stopped_by()) is None:
                progress = _progress(state)
                factor = set_learning_rates(self._optimizer, self._config, progress)
                self._learner.before_step(progress)
                self._step()
                if state.step % self._learner.evaluate_every == 0 or state.step == state.steps:
                    self._evaluate(factor)
                state.seconds = time.monotonic() - self._started
                ticks = int(_TICKS * _progress(state))
                advance(ticks - shown, self._note())
                shown = ticks
                if time.monotonic() - saved > self._config.checkpoint_seconds:
                    state.memory = self._learner.memory
                    save_checkpoint(self._run.folder, state, self._weights, self._optimizer)
                    saved = time.monotonic()
        return stopped_by

    def _planned(self) -> TrainingState:
        return TrainingState(
            fingerprint=self._run.fingerprint,
            steps=self._learner.planned_steps,
            allowed_seconds=self._run.allowed_seconds,
            plan=None if self._run.plan is None else self._run.plan.to_json(),
        )

    def _stopped_by(self) -> str | None:
        state = self._state
        if state.stale >= self._patience:
            return "patience"
        if state.step >= state.steps:
            return "plan"
        return "time budget" if _progress(state) >= 1 else None

    def _step(self) -> None:
        started = time.monotonic()
        minimised = 0.0
        for loss in self._learner.losses(self._state.step):
            self._accelerator.backward(loss)
            minimised += loss.item()
        self._accelerator.clip_grad_norm_(self._network.parameters(), self._config.max_gradient_norm)
        self._optimizer.step()
        self._learner.after_step(self._state.step)
        self._optimizer.zero_grad()
        self._losses.add(minimised)
        self._state.step += 1
        if self._average_decay:
            update_average(self._state.average, self._network, decay=self._average_decay, step=self._state.step)
        self._training_seconds += time.monotonic() - started

    def _evaluate(self, factor: float) -> None:
        state = self._state
        with averaged(state.average, self._network):
            score = self._learner.score(state.step)
            state.keep_best(self._weights, score)
        state.seconds = time.monotonic() - self._started
        point = {"step": state.step, "seconds": state.seconds, "training_loss": self._losses.take()}
        peak = self._config.learning_rate or RULES[self._config.optimizer].learning_rate
        state.curve.append(point | {curve_key(self._learner.measure): score, "learning_rate": factor * peak})
        if state.step:
            loss = f"training loss {point['training_loss']:.3f}"
            found = f"{self._learner.measure} {shown_score(score)}"
            self._run.reporter.tell(f"{state.seconds:6.0f} s  step {state.step}  {loss}  {found}")
        if self._run.config.track != TrackConfig():
            self._accelerator.log(
                {key: value for key, value in state.curve[-1].items() if not math.isnan(value)}, step=state.step
            )
        if self._run.on_evaluation is not None:
            self._run.on_evaluation(_progress(state), score)

    def _speed(self) -> float:
        return (self._state.step - self._first_step) * self._learner.units_per_step / max(self._training_seconds, 1e-9)

    def _note(self) -> str:
        best, speed = shown_score(self._state.best_score), f"{self._speed():,.1f} {self._learner.unit}/s"
        return f"loss {self._losses.latest:.3f}  {self._learner.measure} {best}  {speed}"


def curve_key(measure: str) -> str:
    """What a measure is called in the curve: "validation RMSE" is ``validation_rmse``."""
    return measure.lower().replace(" ", "_").replace("-", "_")


def shown_score(score: float) -> str:
    """A score for people, to three decimals, or whole from 1,000 on."""
    return f"{score:.3f}" if score < 1000 else f"{score:,.0f}"


def _progress(state: TrainingState) -> float:
    done = state.step / state.steps
    if state.allowed_seconds is None:
        return done
    return 1.0 if state.seconds >= state.allowed_seconds else max(done, state.seconds / state.allowed_seconds)


def wanted_trackers(track: TrackConfig) -> list[str]:
    """Names of the trackers that are asked for.

    Raises:
        MissingExtraError: if one of them is not installed.
    """
    trackers = [name for name, wanted in (("tensorboard", track.tensorboard), ("wandb", track.wandb)) if wanted]
    for name in trackers:
        require(name, "track", f"logging to {name}")
    return trackers


def _accelerator(run: Run) -> Accelerator:
    track: TrackConfig = run.config.track
    trackers = wanted_trackers(track)
    accelerator = Accelerator(log_with=trackers or None, project_dir=str(run.log_folder))
    if trackers:
        settings = {
            key: value for stage in run.config.to_mapping().values() if isinstance(stage, dict) for key, value in stage.items()
        }
        plain = {key: value for key, value in settings.items() if isinstance(value, int | float | str)}
        wandb: dict[str, Any] = {"name": track.run_name, "dir": str(run.log_folder)}
        accelerator.init_trackers("ratecast", config=plain, init_kwargs={"wandb": wandb})
    return accelerator


class _Mean:
    """Mean of the losses since the last evaluation."""

    def __init__(self) -> None:
        self.latest = math.nan
        self._sum, self._count = 0.0, 0

    def add(self, value: float) -> None:
        self.latest = value
        self._sum += value
        self._count += 1

    def take(self) -> float:
        mean = self._sum / self._count if self._count else math.nan
        self._sum, self._count = 0.0, 0
        return mean
