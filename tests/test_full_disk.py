"""Long work on a disk that gets full: one line, nothing half-written, and what was done is gone on from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import ratecast
from ratecast.compress import compress, quantise
from ratecast.errors import OutputError
from ratecast.pretraining import pretrain
from ratecast.progress import SilentReporter

Rated = tuple[list[str], list[float]]
Work = Callable[[Path, bool], Any]

DISK_KB = 2048  # the small disk's
FREE_KB = {
    "fit": (16, 48, 240, 320),
    "layers": (8, 20, 40, 240, 320),
    "static": (8, 20, 80),
    "compress": (8, 20, 240, 400, 500, 700),
    "quantise": (20, 400, 560),
    "pretrain": (8, 40),
}
"""Where each gets stuck in another step: in safetensors, tokenizers, ONNX, ONNX Runtime and Python's own files."""


@pytest.fixture
def works(tiny_model: Path, tiny_backbone: Path, tiny_reviews: Rated) -> dict[str, Work]:
    """What is done, into a folder, resumed or not."""
    texts, ratings = tiny_reviews
    frame = pl.DataFrame({"text": texts, "rating": ratings})
    common: dict[str, Any] = {"threads": 1, "reporter": SilentReporter()}
    few = common | {"steps": 6, "batch_reviews": 8}
    fitted = few | {"backbone": str(tiny_backbone), "max_tokens": 32}
    pretrained = common | {"backbone": str(tiny_backbone), "epochs": 1.0}
    return {
        "fit": lambda out, resume: ratecast.fit(texts=texts, ratings=ratings, out=out, resume=resume, **fitted),
        "layers": lambda out, resume: ratecast.distill(tiny_model, frame, out=out, resume=resume, student="layers", **few),
        "static": lambda out, resume: ratecast.distill(tiny_model, frame, out=out, resume=resume, student="static", **few),
        "compress": lambda out, resume: compress(
            tiny_model, frame, out=out, resume=resume, max_loss="20%", time_budget=None, **few
        ),
        "quantise": lambda out, _resume: quantise(tiny_model, texts, out=out),
        "pretrain": lambda out, resume: pretrain(frame.select("text"), out=out, resume=resume, **pretrained),
    }


@pytest.mark.parametrize("work", FREE_KB)
def test_a_full_disk(work: str, works: dict[str, Work], small_disk: Path) -> None:
    out, ballast = small_disk / "out", small_disk / "ballast"
    for free in FREE_KB[work]:
        ballast.write_bytes(bytes((DISK_KB - free) * 1024))
        with pytest.raises(OutputError, match="the disk is full: cannot write"):
            works[work](out, False)
        assert {path.name for path in small_disk.iterdir()} <= {"ballast", "out.training", "out.pretraining"}
    ballast.unlink()
    works[work](out, True)
    assert {path.name for path in small_disk.iterdir()} == {"out"}
