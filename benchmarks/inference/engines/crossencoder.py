"""The CrossEncoder of sentence-transformers on one of its backends; it takes pairs, and the second text is empty."""

import tempfile
from pathlib import Path

from sentence_transformers import CrossEncoder

from engines.exchange import given, megabytes, serve
from engines.minilm import LEVELS, write_minilm


def main(backend: str = "torch") -> None:
    """Load it and answer."""
    asked = given()
    with tempfile.TemporaryDirectory() as name:
        folder = write_minilm(Path(name), asked.max_tokens)
        model = CrossEncoder(str(folder), num_labels=LEVELS, max_length=asked.max_tokens, backend=backend, device="cpu")
        size = megabytes([folder / "model.safetensors", folder / "tokenizer.json"])

        def predict(chosen: list[str]) -> None:
            model.predict([(text, "") for text in chosen], show_progress_bar=False)

        serve(asked.texts(), predict, size_mb=size, note=f"backend {backend}")


if __name__ == "__main__":
    main()
