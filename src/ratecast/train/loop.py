"""The training loop, the only one."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from ratecast.config import FitConfig, TrackConfig
from ratecast.errors import require
from ratecast.progress import Reporter
from ratecast.text import training_batches
from ratecast.train.average import averaged, started_average, update_average
from ratecast.train.checkpoint import CHECKPOINT_FILE, TrainingState, load_checkpoint, save_checkpoint
from ratecast.train.inputs import Network, RatedTexts
from ratecast.train.objective import Objective
from ratecast.train.optim import create_optimizer, set_learning_rates
from ratecast.train.plan import Plan, wanted_epochs
from ratecast.train.probe import score_outputs
from ratecast.train.weights import weighted_mean

_TICKS = 1000


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """How a training went.

    Attributes:
        steps: steps done.
        planned_steps: steps of the plan.
        best_step: the step whose weights were kept.
        best_rmse: validation RMSE of these.
        seconds: time spent, over all sessions of the run.
        reviews_per_second: training speed, validation apart.
        stopped_by: "plan", "time budget" or "patience".
        curve: one entry for each evaluation: step, seconds, training_loss, validation_rmse, learning_rate.
    """

    steps: int
    planned_steps: int
    best_step: int
    best_rmse: float
    seconds: float
    reviews_per_second: float
    stopped_by: str
    curve: list[dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a training run needs besides the network and the reviews.

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
        on_evaluation: called after each evaluation with the progress, 0 to 1, and the validation RMSE. An error that it raises
            ends the training and reaches the caller.
    """

    config: FitConfig
    folder: Path
    fingerprint: str
    resume: bool
    reporter: Reporter
    log_folder: Path
    allowed_seconds: float | None = None
    plan: Plan | None = None
    on_evaluation: Callable[[float, float], None] | None = None

    def within(self, allowed_seconds: float | None) -> "Run":
        """The same run with a limit on the time for training."""
        return replace(self, allowed_seconds=allowed_seconds)


def train(network: Network, training: RatedTexts, validation: RatedTexts, run: Run) -> TrainingResult:
    """Train, keep the weights (or their average) that were best on the validation reviews, and leave the rater with these.

    Without a time limit the plan is a fixed number of steps, and a run that is stopped at any moment and resumed ends with
    the same weights as one that never was. With one, the learning rate reaches zero at whichever comes first, the last step
    or the limit.

    Args:
        network: the rater; its head should have been fitted to the untrained backbone.
        training: reviews to learn from.
        validation: reviews to choose the best weights by.
        run: settings and places.

    Raises:
        ConfigError: if a checkpoint to resume from belongs to other data or settings.
        OutputError: if a checkpoint cannot be written.
    """
    return _Loop(network, training, validation, run).run()


class _Loop:
    """The state of `train`, and one method for each thing that it does."""

    def __init__(self, network: Network, training: RatedTexts, validation: RatedTexts, run: Run) -> None:
        self._network, self._training, self._validation, self._run = network, training, validation, run
        self._config = run.config.train
        self._accelerator = _accelerator(run)
        strengthen = run.config.strengthen
        optimizer = create_optimizer(network.rater, self._config, strengthen.layer_decay)
        self._rater, self._optimizer = self._accelerator.prepare(network.rater, optimizer)
        self._objective = Objective(network, strengthen)
        self._ratings = torch.as_tensor(training.ratings, device=self._accelerator.device)
        self._weights = None if training.weights is None else torch.as_tensor(training.weights, device=self._accelerator.device)
        self._steps_per_epoch = math.ceil(len(training) / self._config.batch_reviews)
        self._losses = _Mean()
        self._training_seconds = 0.0
        torch.manual_seed(run.config.seed)
        found = load_checkpoint(run.folder, run.fingerprint, self._rater, self._optimizer) if run.resume else None
        self._state = found or self._planned()
        if found is not None and run.allowed_seconds is not None:
            found.allowed_seconds = min(found.allowed_seconds or math.inf, found.seconds + run.allowed_seconds)
        self._average_decay = strengthen.average_decay
        if self._average_decay and not self._state.average:
            self._state.average = started_average(self._rater)
        self._first_step = self._state.step
        self._started = time.monotonic() - self._state.seconds

    def run(self) -> TrainingResult:
        """Train until the plan, the time or the patience ends."""
        state = self._state
        try:
            stopped_by = self._evaluated_steps()
        except KeyboardInterrupt:
            # The interrupt may have come in the middle of a step, whose weights must not be saved.
            if (self._run.folder / CHECKPOINT_FILE).exists():
                self._run.reporter.tell("stopped: the same command with --resume goes on from the last checkpoint")
            raise
        finally:
            self._accelerator.end_training()
        state.restore_best(self._rater)
        self._rater.eval()
        return TrainingResult(
            steps=state.step,
            planned_steps=state.steps,
            best_step=state.best_step,
            best_rmse=state.best_score,
            seconds=time.monotonic() - self._started,
            reviews_per_second=self._speed(),
            stopped_by=stopped_by,
            curve=state.curve,
        )

    def _evaluated_steps(self) -> str:
        """Do the steps, between an evaluation before the first and one after the last; return what ended them."""
        state = self._state
        if not state.curve:
            self._evaluate(0.0)
        self._rater.train()
        stopped_by = self._steps()
        if state.curve[-1]["step"] != state.step:
            self._evaluate(0.0)
        return stopped_by

    def _steps(self) -> str:
        """Do the steps, with evaluations and checkpoints, and return what ended them."""
        state, saved, shown = self._state, time.monotonic(), 0
        evaluate_every = max(1, min(self._steps_per_epoch // self._config.evaluations_per_epoch, state.steps))
        with self._run.reporter.track("training", _TICKS) as advance:
            while (stopped_by := self._stopped_by()) is None:
                factor = set_learning_rates(self._optimizer, self._config, _progress(state))
                self._step()
                if state.step % evaluate_every == 0 or state.step == state.steps:
                    self._evaluate(factor)
                state.seconds = time.monotonic() - self._started
                ticks = int(_TICKS * _progress(state))
                advance(ticks - shown, self._note())
                shown = ticks
                if time.monotonic() - saved > self._config.checkpoint_seconds:
                    save_checkpoint(self._run.folder, state, self._rater, self._optimizer)
                    saved = time.monotonic()
        return stopped_by

    def _planned(self) -> TrainingState:
        epochs = self._config.epochs or wanted_epochs(len(self._training))
        return TrainingState(
            fingerprint=self._run.fingerprint,
            steps=self._config.steps or max(1, math.ceil(epochs * self._steps_per_epoch)),
            allowed_seconds=self._run.allowed_seconds,
            plan=None if self._run.plan is None else self._run.plan.to_json(),
        )

    def _stopped_by(self) -> str | None:
        state = self._state
        if state.stale >= self._config.patience:
            return "patience"
        if state.step >= state.steps:
            return "plan"
        return "time budget" if _progress(state) >= 1 else None

    def _step(self) -> None:
        started = time.monotonic()
        rows = self._batch()
        minimised = 0.0
        for losses in self._objective.losses(self._reviews, rows, self._ratings[rows]):
            loss = weighted_mean(losses, None if self._weights is None else self._weights[rows])
            self._accelerator.backward(loss)
            minimised += loss.item()
        self._accelerator.clip_grad_norm_(self._rater.parameters(), self._config.max_gradient_norm)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._losses.add(minimised)
        self._state.step += 1
        if self._average_decay:
            update_average(self._state.average, self._rater, decay=self._average_decay, step=self._state.step)
        self._training_seconds += time.monotonic() - started

    def _batch(self) -> NDArray[np.int64]:
        epoch, position = divmod(self._state.step, self._steps_per_epoch)
        if position == 0 or self._state.step == self._first_step:
            self._reviews = self._training.in_pass(epoch)
            lengths, seed = self._reviews.texts.lengths, self._run.config.seed
            self._batches = training_batches(lengths, self._config.batch_reviews, seed=seed, epoch=epoch)
        return self._batches[position]

    def _evaluate(self, factor: float) -> None:
        state = self._state
        with averaged(state.average, self._rater):
            rmse = score_outputs(self._rater.head, self._network.outputs(self._validation), self._validation.ratings)
            state.keep_best(self._rater, rmse)
        state.seconds = time.monotonic() - self._started
        point = {"step": state.step, "seconds": state.seconds, "training_loss": self._losses.take(), "validation_rmse": rmse}
        state.curve.append(point | {"learning_rate": factor * self._config.learning_rate})
        if state.step:
            loss = f"training loss {point['training_loss']:.3f}"
            self._run.reporter.tell(f"{state.seconds:6.0f} s  step {state.step}  {loss}  validation RMSE {rmse:.3f}")
        if self._run.config.track != TrackConfig():
            self._accelerator.log(
                {key: value for key, value in state.curve[-1].items() if not math.isnan(value)}, step=state.step
            )
        if self._run.on_evaluation is not None:
            self._run.on_evaluation(_progress(state), rmse)

    def _speed(self) -> float:
        return (self._state.step - self._first_step) * self._config.batch_reviews / max(self._training_seconds, 1e-9)

    def _note(self) -> str:
        return f"loss {self._losses.latest:.3f}  validation RMSE {self._state.best_score:.3f}  {self._speed():.1f} reviews/s"


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
