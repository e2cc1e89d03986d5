"""The pipeline of transformers as its documentation calls it first: one review after the other."""

import tempfile
import time
from pathlib import Path

from transformers import pipeline

from engines.exchange import given, megabytes, serve
from engines.minilm import write_minilm

TRIED = (4, 8, 16, 32, 64)
_TRIAL = 128


def main(*, batched: bool = False) -> None:
    """Load it, find its best batch size where asked to, and answer."""
    asked = given()
    texts = asked.texts()
    with tempfile.TemporaryDirectory() as name:
        folder = write_minilm(Path(name), asked.max_tokens)
        size = megabytes([folder / "model.safetensors", folder / "tokenizer.json"])
        run = pipeline("text-classification", model=str(folder), device="cpu")
    options = {"truncation": True, "max_length": asked.max_tokens}

    def seconds(batch: int) -> float:
        started = time.perf_counter()
        run(texts[:_TRIAL], batch_size=batch, **options)
        return time.perf_counter() - started

    best = min(TRIED, key=seconds) if batched else 1

    def predict(chosen: list[str]) -> None:
        run(chosen, batch_size=best, **options)

    serve(texts, predict, size_mb=size, note=f"batches of {best}")


if __name__ == "__main__":
    main()
