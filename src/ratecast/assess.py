"""Measuring a model, beside its baselines, on rated reviews."""

from dataclasses import dataclass

from ratecast.data import LoadedReviews
from ratecast.evaluate.contest import Contest, run_contest
from ratecast.predict import Predictor
from ratecast.progress import Reporter, SilentReporter
from ratecast.scale import FloatArray

MODEL_NAME = "fine-tuned model"


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """What a model is worth on some reviews.

    Attributes:
        contest: the model's metrics beside those of its baselines.
        ratings: true ratings, shape ``(review,)``.
        probabilities: the model's probabilities, shape ``(review, level)``.
    """

    contest: Contest
    ratings: FloatArray
    probabilities: FloatArray


def assess(predictor: Predictor, loaded: LoadedReviews, *, seed: int = 0, reporter: Reporter | None = None) -> Assessment:
    """Measure a model and the baselines that its folder keeps on rated reviews.

    Args:
        predictor: the model.
        loaded: reviews that were loaded with the model's scale and ``need_rating=True``.
        seed: seed of the bootstrap.
        reporter: shows the progress; nothing by default.

    Raises:
        DataError: if a review has no rating.
    """
    shown = reporter or SilentReporter()
    ratings = loaded.reviews.rated()
    texts = loaded.reviews.joined()
    entries = {name: model.probabilities(texts) for name, model in predictor.baselines().items()}
    entries[MODEL_NAME] = predictor.predict(loaded.reviews, reporter=shown).probabilities
    contest = run_contest(ratings, entries, predictor.scale, model=MODEL_NAME, seed=seed)
    return Assessment(contest=contest, ratings=ratings, probabilities=entries[MODEL_NAME])
