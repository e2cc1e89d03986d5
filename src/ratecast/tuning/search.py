"""The search: trials that are drawn, judged, stopped early where they lag behind, and kept on disk.

Settings are drawn by the tree-structured Parzen estimator (Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization",
section 4), and a trial ends early when its best value so far is worse than the median of the earlier trials at the same
progress (Golovin et al. 2017, "Google Vizier", section 3.2.2).
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from ratecast.errors import ConfigError
from ratecast.files import explained_write
from ratecast.progress import Reporter

OnEvaluation = Callable[[float, float], None]
"""Told the progress of a trial, 0 to 1, and its validation RMSE; raises where the trial should end."""
Objective = Callable[[Mapping[str, Any], OnEvaluation], float | None]
"""Trains with some settings and returns the validation RMSE; None if the time was too short to begin."""
Ended = Literal["complete", "stopped early", "failed"]

STUDY_FILE: Final = "study.log"
LEAST_FOR_IMPORTANCES: Final = 4
"""Complete trials below which nothing can be said about which setting matters."""
_STARTUP_TRIALS: Final = 6
"""Trials drawn at random before the estimator has enough to go by."""
_UNPRUNED_TRIALS: Final = 4
"""Trials that are completed before any is stopped early."""
_UNPRUNED_TENTHS: Final = 2
"""Progress, in tenths, before which no trial is stopped: the learning rate is still rising."""
_ENDED: Final[Mapping[TrialState, Ended]] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "stopped early",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A trial that came to its end.

    Attributes:
        number: its place in the order, from 0.
        settings: what was tried.
        ended: how it went.
        rmse: validation RMSE of the weights it kept, or the best that it had reached when stopped; None if it failed.
        seconds: time it took.
        failure: why it failed; empty if it did not.
    """

    number: int
    settings: Mapping[str, Any]
    ended: Ended
    rmse: float | None
    seconds: float
    failure: str


class Search:
    """A search over settings that can be interrupted at any moment and resumed.

    Args:
        folder: where the trials are kept.
        space: what is searched over.
        start: the settings of the first trial.
        fingerprint: hash of what must be the same when a search is resumed.
        seed: of the draws; a trial's settings follow from it and from the trials before.
        resume: go on with the search in the folder; otherwise one that is there is dropped.

    Attributes:
        space: what is searched over.

    Raises:
        ConfigError: if the search in the folder was made with other data or settings, or is damaged.
        OutputError: if the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        space: Mapping[str, BaseDistribution],
        start: Mapping[str, Any],
        *,
        fingerprint: str,
        seed: int,
        resume: bool,
    ) -> None:
        self.space, self._seed = dict(space), seed
        with explained_write(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if not resume:
                (folder / STUDY_FILE).unlink(missing_ok=True)
            _mend(folder / STUDY_FILE)
        try:
            with _quiet():
                self._study = _open(folder / STUDY_FILE)
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"the search in {folder} is damaged ({error}); run without --resume") from None
        if self._study.user_attrs.get("fingerprint", fingerprint) != fingerprint:
            raise ConfigError(
                f"the search in {folder} was made with other data or settings; use the same ones, or run without --resume"
            )
        self._study.set_user_attr("fingerprint", fingerprint)
        self._begin(dict(start))

    def trials(self) -> list[Trial]:
        """The trials that came to their end, in order."""
        return [_trial(number, trial) for number, trial in enumerate(filter(_is_whole, self._study.get_trials(deepcopy=False)))]

    def best(self) -> Trial | None:
        """The complete trial with the lowest RMSE, the earliest of equal ones; None if there is no complete one."""
        complete = [trial for trial in self.trials() if trial.ended == "complete"]
        return min(complete, key=lambda trial: (trial.rmse, trial.number), default=None)

    def seconds(self) -> float:
        """Time that all trials took together, over all sessions."""
        return sum(trial.seconds for trial in self.trials())

    def importances(self) -> dict[str, float]:
        """Share of the variance of the RMSE that each setting explains (fANOVA, Hutter et al. 2014), the greatest first.

        Empty with too few complete trials, or where all of them have the same RMSE.
        """
        if sum(trial.ended == "complete" for trial in self.trials()) < LEAST_FOR_IMPORTANCES:
            return {}
        try:
            return get_param_importances(self._study, evaluator=FanovaImportanceEvaluator(seed=self._seed))
        except RuntimeError:  # no variance
            return {}

    def run(self, objective: Objective, *, trials: int, reporter: Reporter, has_time: Callable[[], bool] = lambda: True) -> int:
        """Go on until there are so many trials or the time is over, and return how many were run now.

        A trial in which training raises a `RuntimeError`, as PyTorch does where memory runs out, counts as failed and does not
        end the search; one after the first that raises a `ConfigError` does so too: what was drawn does not go with the rest.
        """
        done = first = len(self.trials())
        with reporter.track("trials", trials) as advance:
            advance(done, self._note())
            while done < trials:
                if not has_time():
                    reporter.tell(f"the time for the search is over after {done} of {trials} trials")
                    break
                self._run_one(objective)
                done += 1
                reporter.tell(self._describe(self.trials()[-1], trials))
                advance(1, self._note())
        return done - first

    def _begin(self, start: dict[str, Any]) -> None:
        """Queue the first trial; one that was cut off is given up, and its settings are queued again."""
        if not self._study.get_trials(deepcopy=False):
            self._study.enqueue_trial(start)
        for cut_off in self._study.get_trials(states=(TrialState.RUNNING,)):
            self._study.enqueue_trial(cut_off.params if self.trials() else start)
            self._study.tell(cut_off.number, state=TrialState.FAIL)

    def _run_one(self, objective: Objective) -> None:
        # Seeded for each trial, so that a search that was interrupted draws what it would have drawn.
        seed = int(np.random.SeedSequence((self._seed, len(self.trials()))).generate_state(1)[0])
        self._study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP_TRIALS)
        trial = self._study.ask(self.space)
        started = time.monotonic()
        rmse, failure, state = None, "", TrialState.COMPLETE
        try:
            rmse = objective(trial.params, _Watch(trial))
        except optuna.TrialPruned:
            state = TrialState.PRUNED
        except (RuntimeError, ConfigError) as error:
            if isinstance(error, ConfigError) and not self.trials():
                raise
            failure = f"{type(error).__name__}: {' '.join(str(error).split())}"
        if state is TrialState.COMPLETE and (rmse is None or not math.isfinite(rmse)):
            state = TrialState.FAIL
            failure = failure or ("the time was too short to begin" if rmse is None else f"the validation RMSE was {rmse}")
        trial.set_user_attr("failure", failure)
        trial.set_user_attr("seconds", time.monotonic() - started)
        self._study.tell(trial, rmse if state is TrialState.COMPLETE else None, state=state)

    def _describe(self, trial: Trial, trials: int) -> str:
        found = "failed" if trial.rmse is None else f"RMSE {trial.rmse:.3f}"
        how = {"complete": "", "stopped early": " when stopped early", "failed": f" ({trial.failure})"}[trial.ended]
        best = self.best()
        mark = "  the best so far" if best is not None and best.number == trial.number else ""
        return f"trial {trial.number + 1} of {trials}  {found}{how}  {trial.seconds:.0f} s  {describe(trial.settings)}{mark}"

    def _note(self) -> str:
        best = self.best()
        return "" if best is None else f"best RMSE {best.rmse:.3f}"


def describe(settings: Mapping[str, Any]) -> str:
    """Settings in a line for people."""
    return ", ".join(f"{name}={shown(value)}" for name, value in settings.items())


def shown(value: Any) -> str:
    """A setting's value for people; None leaves the choice to the plan."""
    if value is None:
        return "auto"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


class _Watch:
    """Reports a trial's best RMSE so far at each tenth of its course, where trials of all batch sizes can be compared."""

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial, self._best, self._tenth = trial, math.inf, -1

    def __call__(self, progress: float, rmse: float) -> None:
        self._best = min(self._best, rmse)
        tenth = int(10 * progress + 1e-9)
        if tenth <= self._tenth or not math.isfinite(self._best):
            return
        for passed in range(self._tenth + 1, tenth + 1):
            self._trial.report(self._best, passed)
        self._tenth = tenth
        if progress < 1 and self._trial.should_prune():
            raise optuna.TrialPruned


def _is_whole(trial: FrozenTrial) -> bool:
    """Whether a trial came to its end; one that was cut off failed without a reason."""
    failed = trial.state is TrialState.FAIL
    return trial.state.is_finished() and "seconds" in trial.user_attrs and not (failed and not trial.user_attrs["failure"])


def _trial(number: int, trial: FrozenTrial) -> Trial:
    reached = min(trial.intermediate_values.values(), default=None)
    return Trial(
        number=number,
        settings=trial.params,
        ended=_ENDED[trial.state],
        rmse={TrialState.COMPLETE: trial.value, TrialState.PRUNED: reached}.get(trial.state),
        seconds=trial.user_attrs["seconds"],
        failure=trial.user_attrs["failure"],
    )


def _open(path: Path) -> optuna.Study:
    pruner = optuna.pruners.MedianPruner(n_startup_trials=_UNPRUNED_TRIALS, n_warmup_steps=_UNPRUNED_TENTHS)
    storage = JournalStorage(JournalFileBackend(str(path)))
    return optuna.create_study(storage=storage, study_name="tuning", load_if_exists=True, pruner=pruner)


def _mend(path: Path) -> None:
    """Remove what a killed process left behind: its lock, and a last line that was not written to its end.

    No other process is at work with it: the whole folder is locked.
    """
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
    if path.exists():
        content = path.read_bytes()
        path.write_bytes(content[: content.rfind(b"\n") + 1])


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Optuna from logging that it made a study."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)
