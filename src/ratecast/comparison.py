"""Comparing loaded models on rated reviews."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from ratecast.data import LoadedReviews, copy_groups
from ratecast.errors import DataError, ScaleError
from ratecast.evaluate.comparison import Comparison, check_metric, run_comparison
from ratecast.predict import Predictor
from ratecast.progress import Reporter, SilentReporter
from ratecast.scale import RatingScale


def compare(
    models: Mapping[str, Predictor],
    loaded: LoadedReviews,
    *,
    metric: str = "rmse",
    seed: int = 0,
    reporter: Reporter | None = None,
) -> Comparison:
    """Measure models on the same rated reviews and say which is better. Their baselines take no part.

    Args:
        models: two models or more, by the names that tables call them; all on one scale.
        loaded: reviews that were loaded with that scale and ``need_rating=True``.
        metric: name of the metric in `ratecast.evaluate.METRICS` that decides which model is best; chosen beforehand.
        seed: seed of the bootstrap.
        reporter: shows the progress; nothing by default.

    Raises:
        DataError: if there are fewer than two models, a review has no rating, or the metric is unknown or not defined on the
            scale.
        ScaleError: if the models predict on different scales.
    """
    shown = reporter or SilentReporter()
    scale = shared_scale(models)
    check_metric(metric, scale)
    ratings = loaded.reviews.rated()
    warnings = [warning for name, model in models.items() for warning in _trained_on(name, model, loaded)]
    probabilities = {name: model.predict(loaded.reviews, reporter=shown).probabilities for name, model in models.items()}
    groups = copy_groups(loaded.reviews.joined())
    return run_comparison(ratings, probabilities, scale, metric=metric, warnings=warnings, groups=groups, seed=seed)


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


def _trained_on(name: str, model: Predictor, loaded: LoadedReviews) -> Iterable[str]:
    """A warning if the model was fitted on the very file that the reviews are from, and learned from some of them."""
    source = loaded.report.source
    if model.manifest.about.get("source") != source or not Path(source).exists():
        return
    try:
        split = json.loads((model.folder / "split.json").read_text(encoding="utf-8"))
        learned = np.isin(loaded.reviews.id.astype(str), np.asarray(split["train"] + split["validation"], dtype=str))
    except (OSError, ValueError, LookupError, TypeError):
        return  # only the warning needs the file; the model itself is whole
    if learned.any():
        yield (
            f"{name} was fitted on {source}: {learned.sum()} of these {len(learned)} reviews took part, and on them it looks "
            "better than it is; compare on reviews that no model has seen"
        )
