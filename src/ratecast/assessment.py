"""Measuring a model, beside its baselines, on rated reviews."""

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from ratecast.combine.decide import decide
from ratecast.config import ColumnsConfig
from ratecast.data import LoadedReviews, Source, copy_groups, load_reviews
from ratecast.data.used import Kind
from ratecast.errors import ConfigError
from ratecast.evaluate.calibration import CalibrationTest, calibration_test
from ratecast.evaluate.contest import Contest, run_contest
from ratecast.evaluate.coverage import Coverage, interval_coverage
from ratecast.evaluate.metrics import quadratic_weighted_kappa
from ratecast.model.learned import learned_warning
from ratecast.predict import Predictor
from ratecast.progress import Reporter, SilentReporter
from ratecast.scale import FloatArray, IntArray

MODEL_NAME: Final = "model"


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """What a model is worth on some reviews.

    Attributes:
        contest: the model's metrics beside those of its baselines.
        ratings: true ratings, shape ``(review,)``.
        probabilities: the model's probabilities, shape ``(review, level)``.
        calibration: whether its probabilities are calibrated, as far as so many reviews can tell; None if it was these reviews
            that they were calibrated on.
        coverage: how its prediction intervals did; None if it has none or they were fitted to these reviews.
        tuned_qwk: quadratic weighted kappa of ratings that are decided for it; None on a continuous scale, or if the thresholds
            were fitted to these reviews.
        warnings: what to know before trusting the numbers.
    """

    contest: Contest
    ratings: FloatArray
    probabilities: FloatArray
    calibration: CalibrationTest | None
    coverage: Coverage | None
    tuned_qwk: float | None
    warnings: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """What stands below the table: warnings, calibration, intervals, and the ratings that are decided for QWK."""
        found = [*(f"Note: {warning}." for warning in self.warnings), *self.trust()]
        if self.tuned_qwk is not None:
            found.append(f"Ratings decided for QWK (--optimise qwk) reach a QWK of {round(self.tuned_qwk, 3) + 0.0:.3f}.")
        return found

    def trust(self) -> list[str]:
        """How far probabilities and intervals can be trusted, a sentence each; nothing of what was fitted to these reviews."""
        found = [] if self.calibration is None else [f"Calibration: {self.calibration.summary()}."]
        return found + ([] if self.coverage is None else [f"Prediction intervals: {self.coverage.summary()}."])


def assess(
    predictor: Predictor,
    reviews: Source | LoadedReviews,
    *,
    coverage: float | None = None,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> Assessment:
    """Measure a model and the baselines that its folder keeps on rated reviews.

    Args:
        predictor: the model.
        reviews: a table of rated reviews, or what `load_rated` made of one.
        coverage: share of ratings that the prediction intervals shall hold; the model's own, mostly 0.9, by default.
        seed: seed of the bootstrap.
        reporter: shows the progress; nothing by default.

    Raises:
        DataError: if the table cannot be read, or a review has no rating.
        ConfigError: if the coverage is not between 0 and 1.
        ModelFolderError: if a file of the baselines, or the record of what the model learned from, is missing or damaged.

    Example:
        ``ratecast.assess(ratecast.load("model/"), "held_out.csv").lines()``
    """
    predictor.check_answer(coverage=coverage)
    loaded = reviews if isinstance(reviews, LoadedReviews) else load_rated(reviews, {"the model": predictor})
    shown = reporter or SilentReporter()
    ratings = loaded.reviews.rated()
    texts = loaded.reviews.joined()
    warnings = learned_warning("the model", predictor.folder, predictor.manifest, texts)
    members = predictor.chain.members(texts, shown)
    entries = {
        name: members[name] if name in members else model.probabilities(texts) for name, model in predictor.baselines().items()
    }
    entries[MODEL_NAME] = predictor.chain.combined(members, loaded.reviews)
    found = assess_probabilities(predictor, ratings, entries, groups=copy_groups(texts), coverage=coverage, seed=seed)
    return replace(found, warnings=tuple(warnings))


def load_rated(source: Source, models: Mapping[str, Predictor], columns: ColumnsConfig | None = None) -> LoadedReviews:
    """Rated reviews that models can be judged on: on their scale, with the columns that they use, copies kept.

    Args:
        source: whatever `read_table` reads.
        models: by name; all on one scale.
        columns: columns that are known already, and the SQL query.

    Raises:
        DataError: if the table cannot be read, or its columns are not found.
        ScaleError: if the ratings are not on the models' scale.
        ConfigError: if one model reads a column as numbers that another one reads as categories.
    """
    used: dict[str, Kind] = {}
    for name, model in models.items():
        for column, kind in model.used.items():
            if used.setdefault(column, kind) != kind:
                raise ConfigError(
                    f"{name} reads the column {column!r} as {kind}s and another model as {used[column]}s: judge them one by one"
                )
    return load_reviews(
        source,
        columns,
        need_rating=True,
        drop_duplicates=False,  # what repeats is judged as often as it is met; the intervals know of copies
        scale=next(iter(models.values())).scale,
        used=used,
        known=dict(ChainMap(*(dict(model.columns) for model in models.values()))),  # the first model's come first
    )


def assess_probabilities(
    predictor: Predictor,
    ratings: FloatArray,
    entries: Mapping[str, FloatArray],
    *,
    seconds: Mapping[str, float] | None = None,
    judged_on: str = "test",
    groups: IntArray | None = None,
    coverage: float | None = None,
    seed: int = 0,
) -> Assessment:
    """Measure what a model and its baselines predicted.

    Args:
        predictor: the model, whose intervals and thresholds are measured.
        ratings: true ratings, shape ``(review,)``.
        entries: probabilities by name, shape ``(review, level)``; the model's under `MODEL_NAME`.
        seconds: what fitting each entry took, where known.
        judged_on: what the reviews are: "test", or "validation", which calibration, intervals and thresholds were fitted to, so
            that these are not measured.
        groups: group number of each review that is resampled whole, as for `bootstrap`.
        coverage: share of ratings that the intervals shall hold; the model's own by default.
        seed: seed of the bootstrap.
    """
    scale, found = predictor.scale, entries[MODEL_NAME]
    intervals, covered, kappa = predictor.intervals, None, None
    answers = judged_on == "test"
    if intervals is not None and answers:
        share = intervals.coverage if coverage is None else coverage
        covered = interval_coverage(ratings, intervals.intervals(found, scale, share), share)
    if not scale.is_continuous and answers:
        kappa = quadratic_weighted_kappa(ratings, decide(found, scale, "qwk", predictor.thresholds), scale)
    return Assessment(
        contest=run_contest(
            ratings, entries, scale, model=MODEL_NAME, seconds=seconds, groups=groups, judged_on=judged_on, seed=seed
        ),
        ratings=ratings,
        probabilities=found,
        calibration=calibration_test(ratings, found, scale, groups=groups, seed=seed) if answers else None,
        coverage=covered,
        tuned_qwk=kappa,
    )
