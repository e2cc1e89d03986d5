"""The folder of a backbone that was pretrained further: that of transformers, and how it came about."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any, Final

import numpy as np

from ratecast.evaluate.page import STYLE, write_page
from ratecast.evaluate.plots import learning_curve
from ratecast.model.store import FolderKind, write_json

FACTS_FILE: Final = "pretraining.json"
PAGE_FILE: Final = "pretraining.html"
BACKBONE: Final = FolderKind(what="a backbone of ratecast pretrain", marker=FACTS_FILE)


def write_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write ``pretraining.json``."""
    write_json(folder / FACTS_FILE, facts)


def write_curve(
    folder: Path, *, title: str, verdict: str, measure: str, scores: list[float], curve: list[dict[str, float]]
) -> None:
    """Write ``pretraining.html``, with the course of training.

    Args:
        folder: where to.
        title: what was done.
        verdict: what came of it.
        measure: what ``scores`` are.
        scores: one for each evaluation, shape ``(evaluation,)``.
        curve: seconds and training loss of each.
    """
    plot = learning_curve(
        [point["seconds"] for point in curve],
        [point["training_loss"] for point in curve],
        scores,
        measure=measure,
        is_logarithmic=bool(np.max(scores) > 20 * np.min(scores)),
    )
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><main><h1>{escape(title)}</h1>"
        f'<section class="card"><p>{escape(verdict)}</p></section>'
        f'<figure class="card">{plot}</figure></main></body></html>\n'
    )
    write_page(folder / PAGE_FILE, page)
