"""What `fit` writes into a model folder: the components that predict, and the documents for people."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ratecast.baseline import Baseline
from ratecast.card import write_card
from ratecast.combine.stack import Stack
from ratecast.evaluate.page import write_page
from ratecast.evaluate.report import CurvePoint, write_report
from ratecast.job import Job
from ratecast.model.learned import save_learned
from ratecast.model.store import (
    METRICS_FILE,
    REPORT_FILE,
    Component,
    Manifest,
    create_component,
    package_versions,
    write_json,
    write_manifest,
)
from ratecast.verdict import GRAPH, Verdict, reading

if TYPE_CHECKING:
    from ratecast.train.finetuned import FineTuned
    from ratecast.train.loop import TrainingResult

PACKAGES: Final = ("ratecast", "torch", "transformers", "tokenizers", "onnxruntime", "numpy", "scikit-learn")

READ: Final = ("text", "rating", "title", "user", "item", "category")
"""Columns that predicting and evaluating read too, by role."""


def write_components(
    new: Path, job: Job, tuned: "FineTuned | None", baselines: Mapping[str, Baseline], stack: Stack
) -> Manifest:
    """Write everything that predicts, and the manifest."""
    exported: list[Component] = []
    if tuned is not None and GRAPH in stack.blend.members:
        from ratecast.model.export import export_rater

        sample = job.parts["validation"].joined()[:8]
        exported = list(export_rater(tuned.rater, tuned.backbone.encoder, new, sample, name=GRAPH, adapter=tuned.adapter))
    kept = [create_component(new, name, made.kind, made.model.save(new, name)) for name, made in baselines.items()]
    learned = save_learned(new, [text for name in ("train", "validation") for text in job.parts[name].joined()])
    manifest = Manifest(
        scale=job.scale,
        components=(*stack.save(new), *exported, *kept, learned),
        chain=stack.chain,
        baselines=tuple(baselines),
        about=_about(job, tuned if exported else None),
        columns={role: name for role, name in job.report.columns.roles().items() if role in READ},
    )
    write_manifest(new, manifest)
    return manifest


def write_documents(
    new: Path,
    manifest: Manifest,
    job: Job,
    tuned: "FineTuned | None",
    *,
    verdict: Verdict,
    notes: Sequence[str],
    result: "TrainingResult | None" = None,
) -> None:
    """Write settings, metrics, the division of the reviews, the model card, the report and what else the job brings.

    ``result`` tells how training went where no fine-tuned backbone does.
    """
    result = result if tuned is None else tuned.result
    assessment = verdict.assessment
    write_json(new / "config.json", (job.config if tuned is None else tuned.config).to_mapping())
    write_json(new / "data.json", job.report.to_json())
    for name, text in job.documents.items():
        write_page(new / name, text)
    split = {name: part.id.tolist() for name, part in job.parts.items()}
    write_json(new / "split.json", split | {"left_out": job.left_out})
    metrics: dict[str, Any] = {
        "test": assessment.contest.to_json(),
        "judged_on": job.judged_name,
        "members": {name: {"rmse": rmse} for name, rmse in verdict.members.items()},
        "coverage": None if assessment.coverage is None else assessment.coverage.to_json(),
        "tuned_qwk": assessment.tuned_qwk,
        "training": None if result is None else asdict(result),
        "ensemble": None if tuned is None or tuned.ensemble is None else asdict(tuned.ensemble),
        "notes": list(notes),
    }
    write_json(new / METRICS_FILE, metrics)
    write_card(new, manifest, assessment.contest, job.report.lines(), notes)
    write_report(
        new / REPORT_FILE,
        title=f"Ratings of {job.report.source}",
        contest=assessment.contest,
        ratings=assessment.ratings,
        probabilities=assessment.probabilities,
        learning_curve=[] if result is None else [_curve_point(point) for point in result.curve],
        data_report_lines=job.report.lines(),
        notes=notes,
    )


def _about(job: Job, tuned: "FineTuned | None") -> dict[str, Any]:
    found: dict[str, Any] = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "source": job.report.source,
        "reviews": ", ".join(f"{len(part)} {name}" for name, part in job.parts.items()),
    }
    if tuned is not None:
        settings = tuned.config.backbone
        found |= {
            "backbone": settings.backbone,
            "backbone_sha256": tuned.backbone.sha256,
            "tune": tuned.config.adapter.tune,
            "head": settings.head,
            "max_tokens": settings.max_tokens,
            "training_reviews_read": reading(tuned),
        }
        if settings.windows > 1:
            found |= {"windows": settings.windows, "window_pooling": settings.window_pooling}
        if tuned.ensemble is not None:
            found["distilled_from"] = f"{len(tuned.ensemble.seeds)} networks"
    return found | {
        "optimise": job.config.answer.optimise,
        "seed": job.config.seed,
        "fingerprint": job.fingerprint,
        "versions": package_versions(*PACKAGES),
    }


def _curve_point(point: Mapping[str, float]) -> CurvePoint:
    return CurvePoint(
        step=int(point["step"]),
        seconds=point["seconds"],
        training_loss=point["training_loss"],
        validation_rmse=point["validation_rmse"],
        learning_rate=point["learning_rate"],
    )
