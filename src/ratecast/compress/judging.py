"""What a smaller model is worth beside its teacher, on the same reviews."""

from collections.abc import Mapping

from ratecast.assessment import MODEL_NAME, assess_probabilities
from ratecast.baseline import Baseline
from ratecast.combine.stack import Stack
from ratecast.compress.teacher import Teacher
from ratecast.data import copy_groups
from ratecast.evaluate.contest import TEACHER
from ratecast.evaluate.metrics import root_mean_squared_error
from ratecast.job import Job
from ratecast.predict import Predictor
from ratecast.records import Reviews
from ratecast.scale import FloatArray
from ratecast.verdict import Verdict


def judge_beside_teacher(
    predictor: Predictor,
    teacher: Teacher,
    job: Job,
    *,
    reviews: Reviews,
    baselines: Mapping[str, Baseline],
    stack: Stack,
    validation: Mapping[str, FloatArray],
    seconds: float,
) -> Verdict:
    """Compare a smaller model, as it will be loaded, with its teacher and the baselines.

    Without test reviews the table is about validation reviews, which the teacher was stopped by or even learned from: it is not
    in it then.

    Args:
        predictor: the smaller model.
        teacher: what it was made from.
        job: settings.
        reviews: what `Job.judged` gave.
        baselines: the simple models.
        stack: what stands after the members of the smaller model.
        validation: probabilities of the validation reviews by each member of it, shape ``(review, level)``.
        seconds: what making it took.
    """
    texts = reviews.joined()
    if job.judged_name == "test":
        members = predictor.chain.members(texts, job.reporter)
        entries = {name: members.get(name, made.model.probabilities(texts)) for name, made in baselines.items()}
        entries[TEACHER] = teacher.predictor.predict(reviews, reporter=job.reporter).probabilities
        found = predictor.chain.combined(members, reviews)
    else:
        entries = {name: made.validation for name, made in baselines.items()}
        members = entries | dict(validation)
        found = stack.held_out
    assessment = assess_probabilities(
        predictor,
        reviews.rated(),
        entries | {MODEL_NAME: found},
        seconds={name: made.seconds for name, made in baselines.items()} | {MODEL_NAME: seconds},
        judged_on=job.judged_name,
        groups=copy_groups(texts),
        seed=job.config.seed,
    )
    ratings, mean = reviews.rated(), job.scale.mean
    rmse = {name: root_mean_squared_error(ratings, mean(members[name])) for name in stack.answer.members}
    return Verdict(assessment=assessment, members=rmse)
