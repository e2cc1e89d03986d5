"""What a fitted model is worth: the contest with its baselines, its intervals, and the notes that go with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ratecast.assessment import MODEL_NAME, Assessment, assess_probabilities
from ratecast.baseline import Baseline
from ratecast.combine.stack import Stack
from ratecast.config import translation_models
from ratecast.data import copy_groups
from ratecast.evaluate.metrics import root_mean_squared_error
from ratecast.job import Job
from ratecast.predict import Predictor
from ratecast.records import Reviews
from ratecast.scale import FloatArray
from ratecast.text.unknown import unknown_warning

if TYPE_CHECKING:
    from ratecast.train.finetuned import FineTuned

PROBE_NAME: Final = "backbone before fine-tuning"
GRAPH: Final = "backbone"
"""Name of the fine-tuned backbone among the members of a model."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a model and its members are worth on reviews that they did not learn from.

    Attributes:
        assessment: the contest with the baselines, and the coverage of the intervals.
        members: RMSE of each member of the blend by itself.
    """

    assessment: Assessment
    members: Mapping[str, float]


def judge(
    predictor: Predictor,
    job: Job,
    tuned: "FineTuned | None",
    baselines: Mapping[str, Baseline],
    stack: Stack,
    *,
    reviews: Reviews,
) -> Verdict:
    """Compare the model, as it will be loaded, with its baselines, on the reviews that `Job.judged` gave.

    Without test reviews the table is about validation reviews, each predicted by baselines that did not learn from it and by a
    blend that was fitted without it.
    """
    if job.judged_name == "test":
        texts = reviews.joined()
        members = predictor.chain.members(texts, job.reporter)
        entries = {
            name: members[name] if name in members else made.model.probabilities(texts) for name, made in baselines.items()
        }
        found = predictor.chain.combined(members, reviews)
    else:
        entries = {name: made.validation for name, made in baselines.items()}
        members = entries if tuned is None else entries | {GRAPH: tuned.validation}
        found = stack.held_out
    seconds = {name: made.seconds for name, made in baselines.items()}
    if tuned is not None and tuned.before is not None:
        entries[PROBE_NAME] = tuned.before
        seconds[PROBE_NAME] = tuned.before_seconds
    if tuned is not None:
        taught = 0.0 if tuned.ensemble is None else tuned.ensemble.seconds
        shared = [made.shared_seconds for made in baselines.values()]
        linear = sum(made.seconds for made in baselines.values()) - sum(shared) + max(shared)
        pairs = 0.0 if tuned.pairs is None else tuned.pairs.seconds
        seconds[MODEL_NAME] = tuned.before_seconds + taught + pairs + tuned.result.seconds + linear
    assessment = assess_probabilities(
        predictor,
        reviews.rated(),
        entries | {MODEL_NAME: found},
        seconds=seconds,
        judged_on=job.judged_name,
        groups=copy_groups(reviews.joined()),
        seed=job.config.seed,
    )
    return Verdict(
        assessment=assessment,
        members={name: _rmse(predictor, members[name], reviews.rated()) for name in stack.blend.members},
    )


def notes(job: Job, tuned: "FineTuned | None", stack: Stack, verdict: Verdict) -> list[str]:
    """What a reader of the report should know besides the numbers, a sentence or two each."""
    alone = ", ".join(f"{name} {rmse:.3f}" for name, rmse in verdict.members.items())
    blend = f"The model is the product {stack.blend.describe()} with calibrated levels. RMSE of each by itself: {alone}."
    found = [*job.notes, blend]
    if stack.effects is not None:
        found.append("Columns: " + "; ".join(stack.effects.describe()) + ".")
    elif job.used:
        found.append(f"The columns {', '.join(job.used)} did not clearly help on the validation reviews and are not used.")
    found += trust_notes(verdict, stack)
    judged, part = len(verdict.assessment.ratings), len(job.parts[job.judged_name])
    if job.judged_name == "test" and judged < part:
        found.append(f"The table is about {judged:,} of the {part:,} test reviews, drawn at random: the time was short.")
    if job.judged_name == "validation":
        found.append(
            "No test part was set apart: the table is about validation reviews, which training was stopped by, and flatters a "
            "little. `ratecast evaluate` judges the model on other reviews."
        )
    if tuned is None:
        return [*found, "The time budget was too small to fine-tune a backbone in: the model is without one."]
    return [*found, *_training_notes(job, tuned)]


def trust_notes(verdict: Verdict, stack: Stack) -> list[str]:
    """How far a model's probabilities and intervals can be trusted, a sentence each."""
    warning = stack.intervals.warning()
    return [*verdict.assessment.trust(), *([] if warning is None else [f"Prediction intervals: {warning}."])]


def _training_notes(job: Job, tuned: "FineTuned") -> list[str]:
    result, reviews = tuned.result, tuned.reviews
    passes = result.steps * job.config.train.batch_reviews / reviews
    course = (
        f"{passes:.1f} passes over {reviews} reviews, {result.seconds:.0f} s, {result.units_per_second:.1f} reviews a second"
    )
    ended = f"Training ended by its {result.stopped_by} after {result.steps} steps ({course})"
    found = [f"{ended}; the weights of step {result.best_step} are kept."]
    if tuned.config.backbone.trained_layers == 0:
        short = ": the time was too short to train its layers" if job.config.backbone.trained_layers is None else ""
        found.append(f"The backbone is as it was pretrained, its head alone has learnt{short}.")
    elif tuned.is_untrained or result.best_step == 0:
        before = "the untrained backbone: more time may help"
        if not tuned.is_untrained and tuned.pairs is not None:
            before = "what pairs of reviews had taught"
        elif not tuned.is_untrained and tuned.config.strengthen.reinitialised_layers:
            before = "a head on the backbone with new topmost layers: more time may help"
        found.append(f"No step of fine-tuning was better on the validation reviews than {before}.")
    if tuned.config.strengthen.reinitialised_layers == 1 and not tuned.is_untrained:
        found.append("The backbone's topmost layer started from random weights, which helps on few reviews.")
    if tuned.prompt is not None:
        found.append(f"The reviews were read in the prompt {tuned.prompt.describe()}.")
        found += [f"Warning: {warning}." for warning in [tuned.prompt.warning()] if warning]
    if tuned.pairs is not None:
        found.append(tuned.pairs.describe())
    if tuned.ensemble is not None:
        found.append(tuned.ensemble.describe(result.best_score))
    if tuned.paraphrased:
        found.append(
            f"{tuned.paraphrased} of {reviews} training reviews were read half of the time as they came back from another "
            f"language, through {' and '.join(translation_models(job.config.strengthen.back_translation or ''))}."
        )
    backbone, texts = tuned.backbone, job.parts["train"].joined()
    if (warning := unknown_warning(backbone.encoder.tokenizer, texts, job.config.backbone.backbone)) is not None:
        found.append(f"{warning}.")
    found += _reading_notes(tuned)
    return found


def reading(tuned: "FineTuned") -> str:
    """How many training reviews were read in one piece, in windows, and without their middle, in windows or not."""
    whole = tuned.reviews - max(tuned.windowed, tuned.shortened)
    windowed = f"{tuned.windowed} in windows, " if tuned.config.backbone.windows > 1 else ""
    return f"{whole} in one piece, {windowed}{tuned.shortened} shortened"


def _reading_notes(tuned: "FineTuned") -> list[str]:
    """Which training reviews were not read in one piece."""
    settings, reviews, found = tuned.config.backbone, tuned.reviews, []
    limit, more = f"{settings.max_tokens} tokens", "--windows and --max-tokens read"
    if settings.windows > 1:
        limit = f"{settings.windows} windows of {limit}"
        found.append(
            f"{tuned.windowed} of {reviews} training reviews are longer than {settings.max_tokens} tokens and were read in up "
            f"to {limit} ({settings.window_pooling})."
        )
    if tuned.shortened:
        found.append(
            f"{tuned.shortened} of {reviews} training reviews are longer than {limit}: their middle was left out "
            f"({more} more, and take more time)."
        )
    return found


def _rmse(predictor: Predictor, probabilities: FloatArray, ratings: FloatArray) -> float:
    return root_mean_squared_error(ratings, predictor.scale.mean(probabilities))
