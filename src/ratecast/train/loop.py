"""The training loop, the only one."""

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from ratecast.config import FitConfig, TrackConfig
from ratecast.errors import require
from ratecast.progress import Reporter
from ratecast.text import training_batches
from ratecast.train.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from ratecast.train.inputs import Network, RatedTexts
from ratecast.train.optim import create_optimizer, set_learning_rates
from ratecast.train.probe import score_outputs

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
        allowed_seconds: time for training, over all sessions of the run; None without a limit. A resumed run keeps to the
            limit of its checkpoint.
        reporter: shows the progress.
        log_folder: where trackers write.
    """

    config: FitConfig
    folder: Path
    fingerprint: str
    resume: bool
    reporter: Reporter
    log_folder: Path
    allowed_seconds: float | None = None

    def within(self, allowed_seconds: float | None) -> "Run":
        """The same run with a limit on the time for training."""
        return replace(self, allowed_seconds=allowed_seconds)


def train(network: Network, training: RatedTexts, validation: RatedTexts, run: Run) -> TrainingResult:
    """Train, keep the weights that were best on the validation reviews, and leave the rater with these.

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
    config, rater = run.config.train, network.rater
    accelerator = _accelerator(run)
    optimizer = create_optimizer(rater, config)
    rater, optimizer = accelerator.prepare(rater, optimizer)
    per_epoch = math.ceil(len(training) / config.batch_reviews)
    torch.manual_seed(run.config.seed)
    state = load_checkpoint(run.folder, run.fingerprint, rater, optimizer) if run.resume else None
    if state is None:
        steps = config.steps or math.ceil(config.epochs * per_epoch)
        state = TrainingState(fingerprint=run.fingerprint, steps=steps, allowed_seconds=run.allowed_seconds)
        _evaluate(network, validation, state, loss=math.nan, factor=0.0)
    started = time.monotonic() - state.seconds
    first_step, training_seconds, losses = state.step, 0.0, _Mean()
    last_saved = time.monotonic()
    stopped_by = "plan"
    evaluate_every = max(1, min(per_epoch // config.evaluations_per_epoch, state.steps))
    ratings = torch.as_tensor(training.ratings, device=accelerator.device)
    rater.train()
    with run.reporter.track("training", _TICKS) as advance:
        shown = 0
        while state.step < state.steps:
            progress = _progress(state)
            if progress >= 1:
                stopped_by = "time budget"
                break
            factor = set_learning_rates(optimizer, config, progress)
            epoch, position = divmod(state.step, per_epoch)
            if position == 0 or state.step == first_step:
                batches = training_batches(training.texts.lengths, config.batch_reviews, seed=run.config.seed, epoch=epoch)
            rows = batches[position]
            step_started = time.monotonic()
            loss = rater.head.loss(network.output(training, rows), ratings[rows]).mean()
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(rater.parameters(), config.max_gradient_norm)
            optimizer.step()
            optimizer.zero_grad()
            training_seconds += time.monotonic() - step_started
            state.step += 1
            losses.add(loss.item())
            if state.step % evaluate_every == 0 or state.step == state.steps:
                state.seconds = time.monotonic() - started
                _evaluate(network, validation, state, loss=losses.take(), factor=factor)
                accelerator.log(state.curve[-1], step=state.step)
            state.seconds = time.monotonic() - started
            speed = (state.step - first_step) * config.batch_reviews / training_seconds
            ticks = int(_TICKS * _progress(state))
            advance(ticks - shown, _note(losses.latest, state, speed))
            shown = ticks
            if state.stale >= config.patience:
                stopped_by = "patience"
                break
            if time.monotonic() - last_saved > config.checkpoint_seconds:
                save_checkpoint(run.folder, state, rater, optimizer)
                last_saved = time.monotonic()
    if state.curve[-1]["step"] != state.step:
        _evaluate(network, validation, state, loss=losses.take(), factor=0.0)
        accelerator.log(state.curve[-1], step=state.step)
    accelerator.end_training()
    state.restore_best(rater)
    rater.eval()
    return TrainingResult(
        steps=state.step,
        planned_steps=state.steps,
        best_step=state.best_step,
        best_rmse=state.best_score,
        seconds=time.monotonic() - started,
        reviews_per_second=(state.step - first_step) * config.batch_reviews / max(training_seconds, 1e-9),
        stopped_by=stopped_by,
        curve=state.curve,
    )


def _progress(state: TrainingState) -> float:
    done = state.step / state.steps
    if state.allowed_seconds is None:
        return done
    return 1.0 if state.seconds >= state.allowed_seconds else max(done, state.seconds / state.allowed_seconds)


def _evaluate(network: Network, validation: RatedTexts, state: TrainingState, *, loss: float, factor: float) -> None:
    rmse = score_outputs(network.rater.head, network.outputs(validation), validation.ratings)
    state.keep_best(network.rater, rmse)
    point = {"step": state.step, "seconds": state.seconds, "training_loss": loss, "validation_rmse": rmse}
    state.curve.append(point | {"learning_rate": factor})


def _note(loss: float, state: TrainingState, speed: float) -> str:
    return f"loss {loss:.3f}  validation RMSE {state.best_score:.3f}  {speed:.1f} reviews/s"


def _accelerator(run: Run) -> Accelerator:
    track: TrackConfig = run.config.track
    trackers = [name for name, wanted in (("tensorboard", track.tensorboard), ("wandb", track.wandb)) if wanted]
    for name in trackers:
        require(name, "track", f"logging to {name}")
    accelerator = Accelerator(log_with=trackers or None, project_dir=str(run.log_folder))
    if trackers:
        settings = {key: value for stage in run.config.to_mapping().values() if isinstance(stage, dict) for key, value in stage.items()}
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
