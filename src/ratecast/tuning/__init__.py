"""Searching for the best settings within a time budget, and fitting a model with them."""

import hashlib
import json
import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ratecast.config import FitConfig, TrackConfig
from ratecast.data import Source
from ratecast.data.split import sampled_rows
from ratecast.errors import ConfigError, require
from ratecast.files import working_folder
from ratecast.fitting import prepare_job, run_job
from ratecast.job import LEAST_SECONDS, Clock, Job
from ratecast.predict import Predictor
from ratecast.progress import ConsoleReporter, Reporter, SilentReporter
from ratecast.records import Reviews

if TYPE_CHECKING:
    from ratecast.tuning.search import Objective, OnEvaluation, Search

__all__ = ["tune"]

SEARCH_SHARE: Final = 0.6
"""Share of the time for fitting that trials may take; the final fit has the rest, and what pruning saves."""
MOST_TRIALS: Final = 20
"""Trials that a long time budget is divided into when their number is not given."""
_WANTED_SECONDS: Final = 180.0
"""A short time budget is divided into fewer trials, so that each has this time."""
_LEAST_TRIALS: Final = 3
"""A very short one is divided into no fewer, so that the final fit has clearly more time than a trial."""
_TIMED_REVIEWS: Final = 500
"""Validation reviews that trials are judged on within a time budget: each is scored several times in every trial."""


def tune(
    source: Source,
    *,
    out: str | Path,
    config: FitConfig | None = None,
    trials: int | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
    **settings: Any,
) -> Predictor:
    """Search for the settings that are best on the validation reviews, fit a model with them and write its folder.

    The first trial has the settings as given, so that the search never ends below them on the validation reviews. The test
    reviews take no part in it. Settings that are given stay as they are: those in ``settings``, and those of ``config``
    that are not the default. With a time budget all trials have an equal share of it; those that lag behind are stopped early.

    Args:
        source: a file, folder, pattern, database or frame of rated reviews.
        out: folder for the model, which also gets ``tuning.html`` and ``tuning.json``; an older model there is replaced.
        config: settings; the defaults otherwise.
        trials: how many settings are tried. By default as many as give each three minutes, but 3 to 20.
        resume: go on with a search for the same folder that was interrupted.
        reporter: shows messages and progress; on standard error by default.
        **settings: single settings by their flat names, such as ``time_budget="1h"`` or ``head="corn"``.

    Returns:
        The model, loaded from its folder.

    Raises:
        RatecastError: if the data, a setting, the backbone or the output folder cannot be used; no model is written then.
    """
    require("optuna", "tune", "searching for settings")
    chosen = (config or FitConfig()).with_values(**settings)
    if chosen.backbone.pretrain is not None:
        raise ConfigError("a search cannot pretrain: run ratecast pretrain before it, and give its folder as the backbone")
    told = reporter or ConsoleReporter()
    count, seconds = _divided(chosen, trials)
    job = prepare_job(source, out=Path(out), config=chosen, reporter=told)
    folder = job.folder.parent / f"{job.folder.name}.tuning"
    if folder.exists() and not resume:
        told.tell(f"the search in {folder} that did not end is dropped, as --resume was not given")
    with working_folder(folder, resume=resume):
        search = _search(job, folder, settings, asked=trials, seconds=seconds, resume=resume)
        return _tuned(job, folder, search, trials=count, seconds=seconds, resume=resume)


def _tuned(job: Job, folder: Path, search: "Search", *, trials: int, seconds: float | None, resume: bool) -> Predictor:
    """Search, then fit the best."""
    job = replace(job, clock=replace(job.clock, started=job.clock.started - search.seconds()))
    try:
        # Half a share is worth a start: the last trial may begin late by what loading and the others took too long.
        ran = search.run(
            _objective(job, folder / "trial", seconds),
            trials=trials,
            reporter=job.reporter,
            has_time=lambda: job.clock.spent() + (seconds or 0.0) / 2 < SEARCH_SHARE * job.clock.fitting_seconds,
        )
        # Only if the search was over before can there be a checkpoint of the fit that it leads to.
        return run_job(_best_job(job, search), resume=resume and not ran)
    except KeyboardInterrupt:
        job.reporter.tell(f"stopped: the same command with --resume keeps the {len(search.trials())} trials that are done")
        raise


def _divided(config: FitConfig, trials: int | None) -> tuple[int, float | None]:
    """Number of trials, and the seconds that each of them has; None without a time budget."""
    if trials is not None and trials < 2:
        raise ConfigError(f"a search needs 2 trials or more, found {trials}; `ratecast fit` trains with the settings as given")
    if config.time_budget_seconds is None:
        if trials is None:
            raise ConfigError(
                "a search has to end: give a time budget (--time-budget 1h), a number of trials (--trials 20) or both"
            )
        return trials, None
    room = SEARCH_SHARE * Clock(started=0.0, budget_seconds=config.time_budget_seconds).fitting_seconds
    count = trials or min(MOST_TRIALS, max(_LEAST_TRIALS, int(room // _WANTED_SECONDS)))
    if room / count < LEAST_SECONDS:
        raise ConfigError(
            f"{count} trials within a time budget of {config.time_budget} would have {max(room, 0) / count:.0f} s each, and "
            f"{LEAST_SECONDS:.0f} s are needed; give more time" + (" or fewer trials" if count > 2 else "")
        )
    return count, room / count


def _search(
    job: Job, folder: Path, settings: Mapping[str, Any], *, asked: int | None, seconds: float | None, resume: bool
) -> "Search":
    """A search, or the one to resume; ``asked`` is the number of trials that was given, None without one."""
    from ratecast.model.backbone import load_backbone, transformer_layers
    from ratecast.train.optim import with_learning_rate
    from ratecast.tuning.search import Search, describe
    from ratecast.tuning.space import fixed_settings, flat, search_space

    backbone = load_backbone(job.config.backbone)
    layers, longest = len(transformer_layers(backbone.model)), backbone.encoder.settings.max_tokens
    space = search_space(job.config, settings, layers=layers, longest=longest)
    start = {name: flat(with_learning_rate(job.config))[name] for name in space}
    limit = (
        None if seconds is None else (job.config.time_budget_seconds, asked)
    )  # the share of a trial varies by what is measured
    deciding = [job.fingerprint, sorted(space), limit]
    search = Search(
        folder,
        space,
        start,
        fingerprint=hashlib.sha256(json.dumps(deciding).encode()).hexdigest(),
        seed=job.config.seed,
        resume=resume,
    )
    each = "" if seconds is None else f", {seconds:.0f} s for each trial"
    job.reporter.tell(f"search over {', '.join(space)}{each}")
    if fixed := fixed_settings(job.config, space):
        job.reporter.tell(f"fixed as given: {describe(fixed)}")
    return search


def _objective(job: Job, folder: Path, seconds: float | None) -> "Objective":
    """Fine-tunes with some settings and gives the validation RMSE of the weights that are kept.

    An ensemble and back-translation are left to the final fit: they would take the most of a trial's time.
    """
    from ratecast.train.finetune import finetune
    from ratecast.train.loop import Run

    parts = {name: job.parts[name] for name in ("train", "validation")}
    if seconds is not None:
        parts["validation"] = _sample(parts["validation"], job.config.seed)

    def train(settings: Mapping[str, Any], on_evaluation: "OnEvaluation") -> float | None:
        started = time.monotonic()
        config = job.config.with_values(**settings, checkpoint_seconds=math.inf, ensemble=1, back_translation=None)
        run = Run(
            config=replace(config, track=TrackConfig()),
            folder=folder,
            fingerprint="",
            resume=False,
            reporter=SilentReporter(),
            log_folder=folder,
            on_evaluation=on_evaluation,
        )
        left = None if seconds is None else lambda: seconds - (time.monotonic() - started)
        try:
            tuned = finetune(parts, job.scale, run, time_left=left, reviews_after=0, judged="validation")
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return None if tuned is None else tuned.result.best_score

    return train


def _sample(validation: Reviews, seed: int) -> Reviews:
    return validation.take(sampled_rows(len(validation), _TIMED_REVIEWS, seed))


def _best_job(job: Job, search: "Search") -> Job:
    """The job with the best settings of the search, and the documents that tell of it."""
    from ratecast.tuning.report import Findings
    from ratecast.tuning.space import fixed_settings

    best = search.best()
    findings = Findings(
        trials=search.trials(),
        best=best,
        importances=search.importances(),
        fixed=fixed_settings(job.config, search.space),
        source=job.report.source,
    )
    job.reporter.tell(findings.verdict())
    documents = {"tuning.html": findings.to_html(), "tuning.json": findings.to_json()}
    tuned = job if best is None else job.with_config(job.config.with_values(**best.settings))
    return replace(tuned, notes=(findings.note(),), documents=documents)
