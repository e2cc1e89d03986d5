"""Comparing loaded models on rated reviews."""

from collections.abc import Mapping

from ratecast.assessment import load_rated
from ratecast.combine.decide import decide
from ratecast.data import LoadedReviews, Source, copy_groups
from ratecast.errors import DataError, ScaleError
from ratecast.evaluate.comparison import Comparison, check_metric, run_comparison
from ratecast.model.learned import learned_warning
from ratecast.predict import Predictor
from ratecast.progress import Reporter, SilentReporter
from ratecast.scale import FloatArray, RatingScale


def compare(
    models: Mapping[str, Predictor],
    reviews: Source | LoadedReviews,
    *,
    metric: str = "rmse",
    seed: int = 0,
    reporter: Reporter | None = None,
) -> Comparison:
    """Measure models on the same rated reviews and say which is better. Their baselines take no part.

    QWK is that of the ratings that each model decides for it, with the thresholds of its folder.

    Args:
        models: two models or more, by the names that tables call them; all on one scale.
        reviews: a table of rated reviews, or what `load_rated` made of one for these models.
        metric: name of the metric in `ratecast.evaluate.METRICS` that decides which model is best; chosen beforehand.
        seed: seed of the bootstrap.
        reporter: shows the progress; nothing by default.

    Raises:
        DataError: if there are fewer than two models, the table cannot be read, a review has no rating, or the metric is
            unknown or not defined on the scale.
        ScaleError: if the models predict on different scales.
        ConfigError: as `load_rated` does.
        ModelFolderError: if the record of what a model learned from is missing or damaged.

    Example:
        ``ratecast.compare({"old": ratecast.load("old/"), "new": ratecast.load("new/")}, "held_out.csv").verdict()``
    """
    shown = reporter or SilentReporter()
    scale = shared_scale(models)
    check_metric(metric, scale)
    loaded = reviews if isinstance(reviews, LoadedReviews) else load_rated(reviews, models)
    ratings = loaded.reviews.rated()
    texts = loaded.reviews.joined()
    warnings = [line for name, model in models.items() for line in learned_warning(name, model.folder, model.manifest, texts)]
    probabilities = {name: model.predict(loaded.reviews, reporter=shown).probabilities for name, model in models.items()}
    if metric == "qwk":
        warnings.append("QWK is that of the ratings that each model decides for it; fit and evaluate round the expected rating")
    decided = {} if scale.is_continuous else _decided_for_qwk(models, probabilities)
    return run_comparison(
        ratings,
        probabilities,
        scale,
        metric=metric,
        for_qwk=decided,
        warnings=warnings,
        groups=copy_groups(texts),
        seed=seed,
    )


def _decided_for_qwk(models: Mapping[str, Predictor], probabilities: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """The ratings, shape ``(review,)``, that each model gives where QWK counts."""
    return {name: decide(probabilities[name], model.scale, "qwk", model.thresholds) for name, model in models.items()}


def shared_scale(models: Mapping[str, Predictor]) -> RatingScale:
    """The one scale that all models predict on.

    Raises:
        DataError: if there are fewer than two models.
        ScaleError: if the scales differ.
    """
    if len(models) < 2:
        raise DataError(f"expected two models or more to compare, found {', '.join(models) or 'none'}")
    scales = {name: model.scale for name, model in models.items()}
    scale = next(iter(scales.values()))
    if all(other == scale for other in scales.values()):
        return scale
    each = ", ".join(f"{name} on {other.describe()}" for name, other in scales.items())
    if len({(other.low, other.high) for other in scales.values()}) == 1 and all(
        other.is_continuous for other in scales.values()
    ):
        raise ScaleError(
            f"the models have bins from different training ratings ({each}), so their probabilities cannot be compared; fit "
            "them on the same training reviews (ratecast fit --by column keeps a split)"
        )
    raise ScaleError(f"the models predict on different scales ({each}); fit them with the same one (ratecast fit --scale)")
