"""What smaller models learn from and are judged on: the reviews, divided, and what the teacher says of them."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from ratecast.compress.division import Division, divide
from ratecast.compress.students import run_settings
from ratecast.compress.teacher import Teacher
from ratecast.config import AnswerConfig, DistillConfig
from ratecast.data import Source, load_reviews
from ratecast.data.split import sampled_rows
from ratecast.files import read_state, write_state
from ratecast.job import Clock, Job, fingerprint
from ratecast.progress import Reporter

if TYPE_CHECKING:
    from ratecast.train.taught import Taught

MINIMUM_REVIEWS: Final = 20
_WRITING_SECONDS: Final = 25.0
"""What is kept for writing a smaller model of any kind and judging it beside its teacher."""
_READING_SHARE: Final = 0.4
"""Share of the time that is left after judging which the teacher may read in."""
_READING_FILE: Final = "reading.json"
"""How many reviews the teacher reads, kept in the working folder: a run that is resumed must not plan anew."""


def prepare(
    source: Source, teacher: Teacher, config: DistillConfig, *, out: Path, reporter: Reporter, started: float
) -> tuple[Job, Division]:
    """Read and divide the reviews.

    Args:
        source: a table of reviews.
        teacher: the fitted model.
        config: settings.
        out: where the smaller model goes.
        reporter: is told what was found.
        started: when the command began, in seconds of ``time.monotonic``; the time budget counts from there.

    Raises:
        DataError: if the reviews cannot be read, or too few have a rating on the teacher's scale.
    """
    predictor = teacher.predictor
    loaded = load_reviews(
        source,
        config.columns,
        need_rating=False,
        scale=predictor.scale,
        minimum_rows=MINIMUM_REVIEWS,
        used=predictor.used,  # for the teacher, when it is judged
        known=predictor.manifest.columns,
    )
    for line in loaded.report.lines():
        reporter.tell(line)
    division = divide(loaded.reviews, teacher, predictor.scale, config, reporter)
    settings = run_settings(config)
    settings = replace(settings, answer=_answer(settings.answer, teacher, reporter))
    job = Job(
        config=settings,
        clock=Clock(started=started, budget_seconds=config.time_budget_seconds, writing=_WRITING_SECONDS),
        reporter=reporter,
        folder=out,
        scale=predictor.scale,
        parts=division.parts,
        report=loaded.report,
        used=(),
        fingerprint=fingerprint(division.parts, settings),
        left_out=division.left_out,
        notes=("The division of the reviews is that of the teacher.",) if division.is_teachers else (),
    )
    return job, division


def _answer(given: AnswerConfig, teacher: Teacher, reporter: Reporter) -> AnswerConfig:
    """What the smaller model answers with: as the settings say, and as the teacher does where they say nothing."""
    default, predictor = AnswerConfig(), teacher.predictor
    optimise, coverage = given.optimise, given.coverage
    if optimise == default.optimise:
        optimise = predictor.manifest.about.get("optimise", optimise)
    if coverage == default.coverage and predictor.intervals is not None:
        coverage = predictor.intervals.coverage
    if (optimise, coverage) != (given.optimise, given.coverage):
        reporter.tell(f"as the teacher, it answers for {optimise}, and its intervals hold {100 * coverage:g} % of the ratings")
    return replace(given, optimise=optimise, coverage=coverage)


def teach(job: Job, division: Division, teacher: Teacher, *, each: float, seconds: float, resume: bool) -> "Taught":
    """What the teacher says of the training reviews and of those without a rating, as many as the time allows.

    A rated review that it has no time to read teaches its rating alone.

    Args:
        job: settings, reviews and places.
        division: the reviews without a rating.
        teacher: the fitted model.
        each: seconds that it takes for a review.
        seconds: time for all that is still to be done but judging.
        resume: whether to go on with what an interrupted run has read.
    """
    from ratecast.train.taught import Taught

    training, unlabelled, seed = job.parts["train"], division.unlabelled, job.config.seed
    most = int(min(len(training) + len(unlabelled), max(0.0, _READING_SHARE * seconds / max(each, 1e-9))))
    most = _planned(job.working / _READING_FILE, most, resume=resume)
    rows = np.random.default_rng(seed).permutation(len(training))
    read = rows[:most]
    further = [unlabelled[row] for row in sampled_rows(len(unlabelled), max(0, most - len(read)), seed)]
    if most < len(training) + len(unlabelled):
        job.reporter.tell(
            f"the teacher reads {len(read):,} of {len(training):,} training reviews and {len(further):,} of "
            f"{len(unlabelled):,} without a rating: the time is short"
        )
    texts = training.joined()
    found = teacher.read([*(texts[row] for row in read), *further], job.working, job.reporter)
    targets = np.eye(len(job.scale))[job.scale.level_index(training.rated())]
    targets[read] = found[: len(read)]
    weights = None if training.weight is None else np.concatenate([training.weight, np.ones(len(further))])
    return Taught(
        texts=[*texts, *further],
        targets=np.concatenate([targets, found[len(read) :]]),
        ratings=np.concatenate([training.rated(), np.full(len(further), np.nan)]),
        weights=weights,
    )


def _planned(path: Path, most: int, *, resume: bool) -> int:
    """The number that an interrupted run has left, or else this one, which is left for a later run."""
    found = read_state(path) if resume else None
    if found is None:
        write_state(path, most)
    return most if found is None else int(found)
