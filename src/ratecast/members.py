"""The members of a model besides its backbone, and what else rests on them, within the time that there is."""

import time
from collections.abc import Mapping
from typing import Final

from ratecast.baseline import Baseline, LinearTextModel, fit_baselines
from ratecast.baseline.words import WORD_VECTORS, fit_word_vectors
from ratecast.combine.out_of_fold import out_of_fold_probabilities
from ratecast.combine.stack import Columns
from ratecast.data.split import sampled_rows, stopping_rows
from ratecast.errors import require
from ratecast.job import Job
from ratecast.progress import Reporter, SilentReporter

_REVIEWS_PER_SECOND: Final = 150
"""Training reviews of the linear models for each second that is left: they take about a quarter of it then."""
_LEAST_REVIEWS: Final = 2_000
_FEW_REVIEWS: Final = 300
"""Training reviews that the linear models begin with where they are all that the time allows."""
_CAUTION: Final = 0.6
"""Share of the time left that more reviews are reckoned to take: a review takes 1.3 times as long among three to seven times
as many, and the machine may slow down."""

_WORTH_MORE: Final = 1.3
"""Times as many training reviews that fitting the linear models again is worth."""

_WORDS_SHARE: Final = 0.1
"""Share of the time left that word vectors may learn in. They take as much only where the reviews are many or long."""
_TICKS: Final = 1000

_COLUMNS_SHARE: Final = 0.15
"""Share of the time left that the out-of-fold predictions for the effects of columns may take."""
_COLUMNS_COST: Final = 1.5
"""What they take for each review as a multiple of fitting the logistic baseline, measured on the embedded reviews."""
_LEAST_COLUMN_REVIEWS: Final = 500
_TIMED_TEXTS: Final = 200


def fit_linear(job: Job) -> dict[str, Baseline]:
    """The baselines; within a time budget the linear ones learn from as many training reviews as it allows."""
    if job.clock.budget_seconds is None:
        return _fit(job, None, job.reporter)
    if job.clock.can_finetune:
        return _fit(job, _most_reviews(job), job.reporter)
    return _fit_in_little_time(job)


def fit_more(job: Job, linear: Mapping[str, Baseline]) -> dict[str, Baseline]:
    """The linear baselines anew, on as many more reviews as the time allows where it does not go to a backbone; else none."""
    made = [baseline for baseline in linear.values() if baseline.kind == "linear"]
    if not made:
        return {}
    reviews, shared = made[0].reviews, max(baseline.shared_seconds for baseline in made)
    took = shared + sum(baseline.seconds - baseline.shared_seconds for baseline in made)
    affordable = int(min(len(job.parts["train"]), _CAUTION * job.clock.left_linear() / took * reviews))
    if affordable < _WORTH_MORE * reviews:
        return {}
    job.reporter.tell("the linear models are fitted again, in the time that is left without a backbone")
    return _fit(job, affordable, job.reporter)


def fit_words(job: Job, *, resume: bool) -> dict[str, Baseline]:
    """The baseline of word vectors by its name; none where the model is linear, or the texts have no words.

    Within a time budget it learns from no more reviews than the linear models, in a small part of the time.
    """
    from ratecast.train.loop import Run

    train, validation = job.parts["train"], job.parts["validation"]
    limited = job.clock.budget_seconds is not None
    if limited and len(train) > (most := _most_reviews(job)):
        train = train.take(sampled_rows(len(train), most, job.config.seed))
    folder = job.working / WORD_VECTORS
    folder.mkdir(exist_ok=True)
    with job.reporter.track("word vectors", _TICKS) as advance:
        shown = 0

        def show(progress: float, score: float) -> None:
            nonlocal shown
            ticks = int(_TICKS * progress)
            advance(ticks - shown, f"validation RMSE {score:.3f}")
            shown = ticks

        run = Run(
            config=job.config,
            folder=folder,
            fingerprint=job.fingerprint,
            resume=resume,
            reporter=SilentReporter(),
            log_folder=folder,
            allowed_seconds=_WORDS_SHARE * job.clock.left() if limited else None,
            on_evaluation=show,
        )
        held_out = validation.take(stopping_rows(len(validation)))
        found = fit_word_vectors(train, held_out, job.scale, run, class_weights=job.config.train.class_weights)
    return {WORD_VECTORS: found}


def fit_columns(job: Job, baselines: Mapping[str, Baseline]) -> Columns | None:
    """What the effects of columns are fitted on; None if none are used, or the texts have no words.

    Made before fine-tuning, so that the time it takes is known when the rest is planned. Within a time budget it rests on no
    more training reviews than the linear models, and on as many as a part of the time allows.
    """
    logistic = baselines.get("tfidf-logistic")
    if not job.used or logistic is None or not isinstance(logistic.model, LinearTextModel):
        return None
    training = job.parts["train"]
    left = job.clock.left() if job.clock.can_finetune else job.clock.left_linear()
    affordable = _COLUMNS_SHARE * max(left, 0.0) / (_COLUMNS_COST * max(logistic.seconds, 1e-9)) * logistic.reviews
    most = int(min(len(training), max(_LEAST_COLUMN_REVIEWS, min(affordable, logistic.reviews))))
    if most < len(training):
        job.reporter.tell(f"the effects of columns rest on {most:,} of {len(training):,} training reviews: the time is short")
        training = training.take(sampled_rows(len(training), most, job.config.seed))
    with job.reporter.track("columns", total=1) as advance:
        base = out_of_fold_probabilities(training, job.scale, penalty=logistic.model.penalty, seed=job.config.seed)
        advance(1, "done")
    return Columns(used=job.used, training=training, base=base)


def scoring_seconds(job: Job, baselines: Mapping[str, Baseline]) -> float:
    """What all baselines take together to score a review, measured on some of the validation reviews."""
    texts = job.parts["validation"].joined()[:_TIMED_TEXTS]
    started = time.perf_counter()
    for made in baselines.values():
        made.model.probabilities(texts)
    return (time.perf_counter() - started) / len(texts)


def _most_reviews(job: Job) -> int:
    """How many training reviews the time left allows simple models to learn from."""
    return max(_LEAST_REVIEWS, int(_REVIEWS_PER_SECOND * job.clock.left()))


def _fit(job: Job, most: int | None, reporter: Reporter) -> dict[str, Baseline]:
    train, validation = job.parts["train"], job.parts["validation"]
    return fit_baselines(train, validation, job.scale, seed=job.config.seed, reporter=reporter, most_reviews=most)


def _fit_in_little_time(job: Job) -> dict[str, Baseline]:
    """Fit few reviews, which takes the least time that there is a model in, then as many as the rest of the time allows."""
    require("sklearn.linear_model", "train", "fitting the baselines")  # loading it is not a matter of the number of reviews
    started = time.monotonic()
    found = _fit(job, _FEW_REVIEWS, SilentReporter())
    took = time.monotonic() - started
    least, budget = job.clock.least_linear(), job.clock.budget_seconds
    if budget is not None and least > budget:
        job.reporter.tell(f"a linear model takes about {least:.0f} s at least: the time budget of {budget:g} s is exceeded")
    reviews, held_out = len(job.parts["train"]), len(stopping_rows(len(job.parts["validation"])))
    time_for_more = _CAUTION * (1 - (_COLUMNS_SHARE if job.used else 0.0)) * job.clock.left_linear()
    affordable = int(time_for_more / took * (min(_FEW_REVIEWS, reviews) + held_out)) - held_out
    if min(affordable, reviews) > _FEW_REVIEWS:
        return _fit(job, affordable, job.reporter)
    if reviews > _FEW_REVIEWS:
        job.reporter.tell(f"the linear models learn from {_FEW_REVIEWS} of {reviews:,} training reviews: the time is short")
    return found
