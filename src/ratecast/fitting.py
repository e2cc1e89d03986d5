"""The one path from a table of reviews to a model folder."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from numpy.typing import ArrayLike

from ratecast.baseline import Baseline
from ratecast.combine.decide import check_optimise
from ratecast.combine.stack import Columns, Stack, fit_stack
from ratecast.config import FitConfig, PretrainConfig, parse_duration
from ratecast.data import LoadedReviews, Source, load_reviews, split_reviews
from ratecast.data.split import division, judged_reviews, stopping_rows
from ratecast.data.table import build_table
from ratecast.errors import ConfigError, DataError, require
from ratecast.files import check_working_folder, working_folder
from ratecast.folder import write_components, write_documents
from ratecast.job import LEAST_SECONDS, Clock, Job, fingerprint, more_writing_seconds, working_place
from ratecast.members import fit_columns, fit_linear, fit_more, fit_words, scoring_seconds
from ratecast.model.store import check_target, new_folder
from ratecast.predict import Predictor, load
from ratecast.pretraining import Pretraining, pretrain_texts
from ratecast.pretraining.folder import FACTS_FILE
from ratecast.processors import available_processors
from ratecast.progress import ConsoleReporter, Reporter
from ratecast.records import Reviews
from ratecast.scale import RatingScale
from ratecast.verdict import GRAPH, judge, notes

if TYPE_CHECKING:
    from ratecast.train.finetuned import FineTuned
    from ratecast.train.loop import Run

MINIMUM_REVIEWS: Final = 20
_MUCH_LEFT: Final = 0.1
"""Share of a time budget that may be left over without a word."""
_MOST_PRETRAINING_PASSES: Final = 20.0
"""Passes over the training texts after which pretraining ends, even if there is time."""


def fit(
    source: Source | None = None,
    *,
    out: str | Path,
    texts: Sequence[str] | None = None,
    ratings: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    config: FitConfig | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
    **settings: Any,
) -> Predictor:
    """Fit a rating model and write its folder.

    Reads the reviews, splits them without leaks, fits linear models and word vectors, fine-tunes the backbone, blends all where
    that helps, compares the result with all baselines on test reviews that were used for nothing else, and writes one folder
    that predicts without torch.

    Args:
        source: a file, folder, pattern, database or frame of rated reviews.
        out: folder for the model; an older model there is replaced.
        texts: review texts, in place of ``source``.
        ratings: their ratings, shape ``(review,)``.
        weights: how much each of them counts in training, shape ``(review,)``, 0 or more; all the same by default. A table has
            them in a column, ``weight_column``. Metrics count every review the same.
        config: settings; the defaults otherwise.
        resume: go on with a run to the same folder that was interrupted.
        reporter: shows messages and progress; on standard error by default.
        **settings: single settings by their flat names, such as ``time_budget="10m"`` or ``learning_rate=1e-4``.

    Returns:
        The model, loaded from its folder.

    Raises:
        RatecastError: if the data, a setting, the backbone or the output folder cannot be used; nothing is written then.
    """
    chosen = (config or FitConfig()).with_values(**settings)
    job = prepare_job(source, texts, ratings, weights, out=Path(out), config=chosen, reporter=reporter or ConsoleReporter())
    return run_job(job, resume=resume)


def prepare_job(
    source: Source | None,
    texts: Sequence[str] | None = None,
    ratings: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    *,
    out: Path,
    config: FitConfig,
    reporter: Reporter,
) -> Job:
    """Read and split the reviews; arguments and errors as for `fit`. The time budget begins here."""
    started = time.monotonic()
    check_target(out)
    check_working_folder(working_place(out))
    clock = Clock(started=started, budget_seconds=config.time_budget_seconds)
    if clock.can_finetune:
        torch = require("torch", "train", "fitting a model")
        torch.set_num_threads(config.threads or available_processors())
    loaded = _load(source, texts, ratings, weights, config)
    for line in loaded.report.lines():
        reporter.tell(line)
    scale = loaded.scale or RatingScale.infer(loaded.reviews.rated())
    check_optimise(config.answer.optimise, scale)
    if clock.can_finetune:
        from ratecast.train.check import check_finetuning

        check_finetuning(config, scale, loaded.reviews.rated())
    if config.split.by is None and (column := loaded.report.columns.split) is not None:
        reporter.tell(
            f"divided as the column {column!r} says"
            if division(loaded.reviews, config.split) == "column"
            else f"divided at random: the column {column!r} does not say of all reviews whether they are for train or for test"
        )
    split = split_reviews(loaded.reviews, config.split, scale, config.seed)
    parts = {name: loaded.reviews.take(getattr(split, name)) for name in ("train", "validation", "test")}
    if scale.is_continuous:  # its range is that of all reviews, its bins those of the training reviews alone
        scale = RatingScale.continuous(parts["train"].rated(), scale.low, scale.high)
    left_out = loaded.reviews.id[split.left_out]
    spared = f", {len(left_out)} left out that would leak" if len(left_out) else ""
    reporter.tell("split: " + ", ".join(f"{len(part)} {name}" for name, part in parts.items()) + spared)
    return Job(
        config=config,
        clock=clock,
        reporter=reporter,
        folder=out,
        scale=scale,
        parts=parts,
        report=loaded.report,
        used=loaded.used,
        fingerprint=fingerprint(parts, config),
        left_out=left_out.tolist(),
    )


def run_job(job: Job, *, resume: bool) -> Predictor:
    """Fit the model that a job asks for, write its folder and load it; errors as for `fit`."""
    if job.working.exists() and not resume:
        job.reporter.tell(f"what an interrupted run left in {job.working} is dropped, as --resume was not given")
    with working_folder(job.working, resume=resume):
        _write_model(job, resume=resume)
    return load(job.folder, threads=job.config.threads)


def _write_model(job: Job, *, resume: bool) -> None:
    can_finetune = job.clock.can_finetune
    if not can_finetune:
        job.reporter.tell(
            f"the time budget of {job.config.time_budget} is too small to fine-tune in, which takes about "
            f"{job.clock.least_to_finetune():.0f} s at least: the model will be linear"
        )
    elif job.clock.budget_seconds is None and not resume:
        _tell_estimate(job)
    baselines = fit_linear(job)
    columns = fit_columns(job, baselines)
    if can_finetune and job.config.answer.blend and "tfidf-logistic" in baselines:  # else the texts have no words
        baselines |= fit_words(job, resume=resume)
    seconds_per_review = scoring_seconds(job, baselines)
    pretrained = _pretrained(job, resume) if can_finetune else job
    tuned = _finetune(pretrained, resume, seconds_per_review) if can_finetune else None
    if can_finetune and tuned is None:
        baselines |= fit_more(job, baselines)
    if tuned is not None:  # what the user gave, not the folder of the pretrained one, which goes
        tuned = replace(tuned, config=tuned.config.with_values(backbone=job.config.backbone.backbone))
    job = replace(pretrained, config=job.config)
    stack = _stack(job, baselines, tuned, columns)
    judged = job.judged(tuned.judged if tuned is not None else _judged_linear(job, seconds_per_review))
    if job.judged_name == "test" and len(judged) < len(job.parts["test"]):
        reviews = len(job.parts["test"])
        job.reporter.tell(f"the model is judged on {len(judged):,} of {reviews:,} test reviews: the time is short")
    job.reporter.tell("writing the model folder")
    with new_folder(job.folder) as new:
        manifest = write_components(new, job, tuned, baselines, stack)
        verdict = judge(Predictor(new, manifest, job.config.threads), job, tuned, baselines, stack, reviews=judged)
        write_documents(new, manifest, job, tuned, verdict=verdict, notes=notes(job, tuned, stack, verdict))
    _tell_left_over(job, tuned)


def _tell_left_over(job: Job, tuned: "FineTuned | None") -> None:
    """Say why much of the time is left over."""
    budget = job.clock.budget_seconds
    if budget is None or (left := budget - job.clock.spent()) < _MUCH_LEFT * budget:
        return
    if tuned is None:
        why = "the linear models learned from all training reviews, and fine-tuning a backbone takes more"
    elif tuned.result.stopped_by == "patience":
        why = "no more steps of the training made it better"
    elif tuned.result.stopped_by == "plan":
        train = job.config.train
        asked = train.epochs is not None or train.steps is not None
        why = "the training was as long as asked for" if asked else "as many passes as pay were made (--epochs asks for more)"
    else:
        why = "what comes after the training took less than was kept for it"
    job.reporter.tell(f"{left:.0f} s of the time budget are left over: {why}")


def _pretrained(job: Job, resume: bool) -> Job:
    """The job with a backbone that was pretrained on the training texts, and what to say of it, where that is asked for."""
    wanted = job.config.backbone.pretrain
    if wanted is None:
        return job
    folder = job.working / f"pretrained-{job.fingerprint[:12]}"
    facts = folder / FACTS_FILE
    if resume and facts.is_file():
        job.reporter.tell("pretrained already")
    elif job.clock.left() < parse_duration(wanted) + LEAST_SECONDS:
        job.reporter.tell(f"the backbone is not pretrained: {max(job.clock.left(), 0):.0f} s are left, too few for {wanted}")
        return job
    else:
        settings = PretrainConfig(
            backbone=job.config.backbone.backbone,
            precision=job.config.train.precision,
            epochs=_MOST_PRETRAINING_PASSES,
            time_budget=wanted,
            seed=job.config.seed,
            threads=job.config.threads,
        )
        try:
            pretrain_texts(job.parts["train"].joined(), out=folder, config=settings, resume=resume, reporter=job.reporter)
        except (DataError, ConfigError) as error:  # too few texts for it, or too little time: the fit goes on
            job.reporter.tell(f"the backbone is not pretrained: {error}")
            return replace(job, notes=(*job.notes, f"The backbone was not pretrained: {error}."))
    text = facts.read_text(encoding="utf-8")
    found = Pretraining.from_json(folder, json.loads(text))
    return replace(
        job,
        config=job.config.with_values(backbone=str(folder)),
        notes=(*job.notes, f"The backbone was pretrained on the training texts: {found.describe()}."),
        documents={**job.documents, FACTS_FILE: text},
    )


def _tell_estimate(job: Job) -> None:
    """Say how long a run without a limit is going to take, before anything that takes long."""
    from ratecast.train.plan import rounded
    from ratecast.train.planning import estimated_seconds

    seconds = estimated_seconds(job.parts, job.scale, _network_run(job, resume=False))
    job.reporter.tell(
        f"fine-tuning will take about {rounded(seconds)}, after simple models of the words; "
        "--time-budget sets a limit to it all"
    )


def _finetune(job: Job, resume: bool, seconds_per_review: float) -> "FineTuned | None":
    """The fine-tuned backbone, or None if the time budget is too small for one."""
    if job.clock.can_finetune:
        from ratecast.train.finetune import finetune

        tuned = finetune(
            job.parts,
            job.scale,
            _network_run(job, resume=resume),
            time_left=job.clock.left if job.clock.budget_seconds is not None else None,
            reviews_after=len(job.parts["test"]),
            seconds_after=seconds_per_review,
            judged=job.judged_name,
            more_seconds=more_writing_seconds,
        )
        if tuned is not None:
            return tuned
    networks = job.config.strengthen.ensemble
    what = "" if networks == 1 else f"{networks + 1} networks "
    job.reporter.tell(
        f"the time budget of {job.config.time_budget} is too small to fine-tune {what}in: the model will be without a backbone"
    )
    return None


def _network_run(job: Job, *, resume: bool) -> "Run":
    """What training the network needs besides the reviews."""
    from ratecast.train.loop import Run

    return Run(
        config=job.config,
        folder=job.working,
        fingerprint=_run_fingerprint(job),
        resume=resume,
        reporter=job.reporter,
        log_folder=job.folder.parent / f"{job.folder.name}.logs",
    )


def _run_fingerprint(job: Job) -> str:
    """That of the job and of the backbone's weights: another one may lie in the same place, or pretraining was left out."""
    from ratecast.model.source import find_backbone

    name = job.config.backbone.backbone
    return hashlib.sha256(f"{job.fingerprint} {find_backbone(name).sha256 or name}".encode()).hexdigest()


def _judged_linear(job: Job, seconds_per_review: float) -> int:
    """How many test reviews a linear model is judged on."""
    return judged_reviews(len(job.parts["test"]), seconds=job.clock.left_linear(), seconds_per_review=seconds_per_review)


def _stack(job: Job, baselines: Mapping[str, Baseline], tuned: "FineTuned | None", columns: Columns | None) -> Stack:
    """What stands after the members, fitted to the validation reviews."""
    rows = stopping_rows(len(job.parts["validation"]))
    members = {name: made.validation for name, made in baselines.items() if made.kind != "constant"}
    if tuned is not None:
        members = {GRAPH: tuned.validation} | (members if job.config.answer.blend else {})
    stack = fit_stack(
        members or {name: made.validation for name, made in baselines.items()},
        job.parts["validation"].take(rows),
        job.scale,
        columns=columns,
        coverage=job.config.answer.coverage,
        seed=job.config.seed,
    )
    job.reporter.tell(f"model: {stack.blend.describe()}")
    return stack


def _load(
    source: Source | None,
    texts: Sequence[str] | None,
    ratings: ArrayLike | None,
    weights: ArrayLike | None,
    config: FitConfig,
) -> LoadedReviews:
    if (source is None) == (texts is None) or (texts is None) != (ratings is None):
        raise DataError("expected either a table of reviews, or both texts and ratings")
    if source is not None and weights is not None:
        raise DataError("found weights beside a table of reviews; expected them in a column of it: name it as weight_column")
    if texts is not None and ratings is not None:
        reviews = Reviews.from_texts(texts if isinstance(texts, str) else list(texts), ratings, weights)
        columns: dict[str, list[Any]] = {"text": reviews.text.tolist(), "rating": reviews.rated().tolist()}
        if reviews.weight is not None:
            columns["weight"] = reviews.weight.tolist()
        source = build_table(columns)
        named = {f"{role}_column": role if role in columns else None for role in ("text", "rating", "weight")}
        config = config.with_values(**named)
    if source is None:
        raise DataError("expected a table of reviews")
    return load_reviews(source, config.columns, need_rating=True, minimum_rows=MINIMUM_REVIEWS)
