"""The one path from a table of reviews to a model folder."""

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import arro3.core
import numpy as np
from numpy.typing import ArrayLike

from ratecast.assess import MODEL_NAME
from ratecast.baseline import Baseline, fit_baselines
from ratecast.card import write_card
from ratecast.config import FitConfig
from ratecast.data import DataReport, LoadedReviews, Source, load_reviews, split_reviews
from ratecast.errors import DataError, require
from ratecast.evaluate.contest import Contest, run_contest
from ratecast.evaluate.report import CurvePoint, write_report
from ratecast.model.store import Manifest, check_target, create_component, new_folder, write_json, write_manifest
from ratecast.predict import METRICS_FILE, Predictor, load
from ratecast.progress import ConsoleReporter, Reporter
from ratecast.records import Reviews
from ratecast.scale import FloatArray, RatingScale
from ratecast.text import Augmentation

if TYPE_CHECKING:
    from ratecast.train.finetune import FineTuned

MINIMUM_REVIEWS: Final = 20
PROBE_NAME: Final = "backbone before fine-tuning"
_WRITING_SECONDS: Final = 25.0
"""Time that export, bootstrap, report and model card take together; measured at 15 to 20 s on two idle cores."""
_MARGIN: Final = 0.05
"""Share of the budget that is kept for a machine that slows down."""


@dataclass(frozen=True, kw_only=True)
class _Clock:
    started: float
    budget_seconds: float | None

    def left(self) -> float:
        spent = time.monotonic() - self.started
        if self.budget_seconds is None:
            return float("inf")
        return self.budget_seconds * (1 - _MARGIN) - spent - _WRITING_SECONDS


def fit(
    source: Source | None = None,
    *,
    out: str | Path,
    texts: Sequence[str] | None = None,
    ratings: ArrayLike | None = None,
    config: FitConfig | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
    **settings: Any,
) -> Predictor:
    """Fit a rating model and write its folder.

    Reads the reviews, splits them without leaks, fits the baselines, fine-tunes the backbone, compares all of them on test
    reviews that were used for nothing else, and writes one folder that predicts without torch.

    Args:
        source: a file, folder, pattern, database or frame of rated reviews.
        out: folder for the model; an older model there is replaced.
        texts: review texts, in place of ``source``.
        ratings: their ratings, shape ``(review,)``.
        config: settings; the defaults otherwise.
        resume: go on with a run to the same folder that was interrupted.
        reporter: shows messages and progress; on standard error by default.
        **settings: single settings by their flat names, such as ``time_budget="10m"`` or ``learning_rate=1e-4``.

    Returns:
        The model, loaded from its folder.

    Raises:
        RatecastError: if the data, a setting, the backbone or the output folder cannot be used; nothing is written then.
    """
    started = time.monotonic()
    chosen = (config or FitConfig()).with_values(**settings)
    shown = reporter or ConsoleReporter()
    folder = Path(out)
    check_target(folder)
    torch = require("torch", "train", "fitting a model")
    torch.set_num_threads(chosen.threads or os.cpu_count() or 1)
    loaded = _load(source, texts, ratings, chosen)
    for line in loaded.report.lines():
        shown.tell(line)
    scale = loaded.scale or RatingScale.infer(loaded.reviews.rated())
    split = split_reviews(loaded.reviews, chosen.split, scale, chosen.seed)
    parts = {name: loaded.reviews.take(getattr(split, name)) for name in ("train", "validation", "test")}
    left_out = loaded.reviews.id[split.left_out]
    spared = f", {len(left_out)} left out that would leak" if len(left_out) else ""
    shown.tell("split: " + ", ".join(f"{len(part)} {name}" for name, part in parts.items()) + spared)
    job = _Job(
        config=chosen,
        clock=_Clock(started=started, budget_seconds=chosen.time_budget_seconds),
        reporter=shown,
        folder=folder,
        scale=scale,
        parts=parts,
        report=loaded.report,
        fingerprint=_fingerprint(parts, chosen),
        left_out=left_out.tolist(),
    )
    return _run(job, resume)


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What all steps of one fit share."""

    config: FitConfig
    clock: _Clock
    reporter: Reporter
    folder: Path
    scale: RatingScale
    parts: dict[str, Reviews]
    report: DataReport
    fingerprint: str
    left_out: list[str]

    @property
    def working(self) -> Path:
        """Where checkpoints lie until the model is written."""
        return self.folder.parent / f"{self.folder.name}.training"


def _run(job: _Job, resume: bool) -> Predictor:
    from ratecast.train.finetune import finetune
    from ratecast.train.loop import Run

    test = job.parts["test"]
    baselines = fit_baselines(
        job.parts["train"], job.parts["validation"], job.scale, seed=job.config.seed, reporter=job.reporter
    )
    run = Run(
        config=job.config,
        folder=job.working,
        fingerprint=job.fingerprint,
        resume=resume,
        reporter=job.reporter,
        log_folder=job.folder.parent / f"{job.folder.name}.logs",
    )
    limited = job.config.time_budget is not None
    tuned = finetune(job.parts, job.scale, run, time_left=job.clock.left if limited else None, reviews_after=2 * len(test))
    job.reporter.tell("writing the model folder")
    with new_folder(job.folder) as new:
        manifest = _write_components(new, job, tuned, baselines)
        contest, probabilities = _compare(new, manifest, job, tuned, baselines)
        notes = _notes(job, tuned)
        write_json(new / "config.json", job.config.to_mapping())
        write_json(new / "data.json", job.report.to_json())
        split = {name: part.id.tolist() for name, part in job.parts.items()}
        write_json(new / "split.json", split | {"left_out": job.left_out})
        write_json(new / METRICS_FILE, {"test": contest.to_json(), "training": asdict(tuned.result), "notes": notes})
        write_card(new, manifest, contest, job.report.lines(), notes)
        write_report(
            new / "report.html",
            title=f"Ratings of {job.report.source}",
            contest=contest,
            ratings=test.rated(),
            probabilities=probabilities,
            learning_curve=[_curve_point(point) for point in tuned.result.curve],
            data_report_lines=job.report.lines(),
            notes=notes,
        )
    shutil.rmtree(job.working, ignore_errors=True)
    return load(job.folder, threads=job.config.threads)


def _load(source: Source | None, texts: Sequence[str] | None, ratings: ArrayLike | None, config: FitConfig) -> LoadedReviews:
    if (source is None) == (texts is None) or (texts is None) != (ratings is None):
        raise DataError("expected either a table of reviews, or both texts and ratings")
    if texts is not None and ratings is not None:
        reviews = Reviews.from_texts(texts if isinstance(texts, str) else list(texts), np.asarray(ratings, dtype=np.float64))
        source = arro3.core.Table.from_pydict(
            {
                "text": arro3.core.Array(list(reviews.text), arro3.core.DataType.utf8()),
                "rating": arro3.core.Array(reviews.rated()),
            }
        )
        config = config.with_values(text_column="text", rating_column="rating")
    if source is None:
        raise DataError("expected a table of reviews")
    return load_reviews(source, config.columns, need_rating=True, minimum_rows=MINIMUM_REVIEWS)


def _write_components(new: Path, job: _Job, tuned: "FineTuned", baselines: Mapping[str, Baseline]) -> Manifest:
    from ratecast.model.export import export_rater

    graph, weights = export_rater(tuned.rater, tuned.backbone.encoder, new, job.parts["test"].joined()[:8])
    kept = [create_component(new, name, made.kind, made.model.save(new, name)) for name, made in baselines.items()]
    manifest = Manifest(
        scale=job.scale,
        components=(graph, weights, *kept),
        chain=(graph.name,),
        baselines=tuple(baselines),
        about={
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "source": job.report.source,
            "reviews": ", ".join(f"{len(part)} {name}" for name, part in job.parts.items()),
            "backbone": job.config.backbone.backbone,
            "backbone_sha256": tuned.backbone.sha256,
            "head": job.config.backbone.head,
            "max_tokens": job.config.backbone.max_tokens,
            "seed": job.config.seed,
            "fingerprint": job.fingerprint,
            "versions": _versions(),
        },
    )
    write_manifest(new, manifest)
    return manifest


def _compare(
    new: Path, manifest: Manifest, job: _Job, tuned: "FineTuned", baselines: Mapping[str, Baseline]
) -> tuple[Contest, FloatArray]:
    """The contest on the test reviews, with the model as it will be loaded, and the model's probabilities."""
    test = job.parts["test"]
    entries = {name: made.model.probabilities(test.joined()) for name, made in baselines.items()}
    entries[PROBE_NAME] = tuned.before
    model = Predictor(new, manifest, job.config.threads)
    entries[MODEL_NAME] = model.predict(test, reporter=job.reporter).probabilities
    seconds = {name: made.seconds for name, made in baselines.items()}
    seconds |= {PROBE_NAME: tuned.before_seconds, MODEL_NAME: tuned.before_seconds + tuned.result.seconds}
    contest = run_contest(test.rated(), entries, job.scale, model=MODEL_NAME, seconds=seconds, seed=job.config.seed)
    return contest, entries[MODEL_NAME]


def _notes(job: _Job, tuned: "FineTuned") -> list[str]:
    result, reviews = tuned.result, len(job.parts["train"])
    passes = result.steps * job.config.train.batch_reviews / reviews
    course = (
        f"{passes:.1f} passes over {reviews} reviews, {result.seconds:.0f} s, {result.reviews_per_second:.1f} reviews a second"
    )
    ended = f"Training ended by its {result.stopped_by} after {result.steps} steps ({course})"
    notes = [f"{ended}; the weights of step {result.best_step} are kept."]
    if result.best_step == 0:
        notes.append(
            "No step of fine-tuning was better on the validation reviews than the untrained backbone: more time may help."
        )
    if tuned.shortened:
        limit = job.config.backbone.max_tokens
        notes.append(
            f"{tuned.shortened} of {reviews} training reviews are longer than {limit} tokens: their middle was left out "
            "(--max-tokens reads more, and takes more time)."
        )
    return notes


def _curve_point(point: Mapping[str, float]) -> CurvePoint:
    return CurvePoint(
        step=int(point["step"]),
        seconds=point["seconds"],
        training_loss=point["training_loss"],
        validation_rmse=point["validation_rmse"],
        learning_rate=point["learning_rate"],
    )


def _fingerprint(parts: dict[str, Reviews], config: FitConfig) -> str:
    """Hash of everything that decides the weights of a run of fixed steps."""
    deciding = {name: value for name, value in config.to_mapping().items() if name not in {"track", "time_budget", "threads"}}
    digest = hashlib.sha256(json.dumps(deciding, sort_keys=True).encode())
    if augmentation := Augmentation.create(config.strengthen, config.seed):
        digest.update(repr(augmentation).encode())  # with all synonyms: the thesaurus may be another one under the same name
    for name, part in parts.items():
        digest.update(f"\0{name}\0".encode())
        digest.update(part.rated().tobytes())
        for text in part.joined():
            digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    packages = ("ratecast", "torch", "transformers", "tokenizers", "onnxruntime", "numpy", "scikit-learn")
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}
