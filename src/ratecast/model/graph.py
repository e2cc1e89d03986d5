"""The exported network on ONNX Runtime: texts to level probabilities without torch."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ratecast.errors import ModelFolderError
from ratecast.model.store import Component
from ratecast.progress import Advance, Reporter, SilentReporter
from ratecast.scale import FloatArray
from ratecast.text import TextEncoder, TextSettings, TokenisedTexts, inference_batches, pad
from ratecast.text.tokenise import TokenIds

GRAPH_FILE = "model.onnx"
GRAPH_DATA_FILE = "model.onnx.data"
"""The weights of a graph that is too large for one file; ONNX Runtime looks for it beside the graph."""
POOLING_FILE = "pooling.onnx"
"""What makes level probabilities of window vectors, where ``model.onnx`` reads windows."""
TOKENIZER_FILE = "tokenizer.json"


_AT_ONCE = 1024
"""Reviews whose window vectors are kept at once."""


class OnnxGraph:
    """A network exported to ONNX, with its tokenizer.

    Args:
        path: the graph's file.
        encoder: turns texts into token ids.
        levels: number of rating levels.
        threads: processor threads; all cores by default.
        pooling: the file of the graph that pools windows; None where each text is one.
    """

    def __init__(
        self, path: Path, encoder: TextEncoder, levels: int, threads: int | None = None, pooling: Path | None = None
    ) -> None:
        self._session = _session(path, threads)
        self._pooling = None if pooling is None else _session(pooling, threads)
        self.encoder = encoder
        self._levels = levels

    @classmethod
    def load(cls, folder: Path, component: Component, levels: int, threads: int | None = None) -> "OnnxGraph":
        """The graph component of a model folder, whose files have been verified.

        Raises:
            ModelFolderError: if the graph or tokenizer cannot be read.
        """
        settings = TextSettings.from_json(dict(component.settings["text"]))
        encoder = TextEncoder.load(folder / TOKENIZER_FILE, settings)
        pooling = folder / POOLING_FILE if POOLING_FILE in component.files else None
        return cls(folder / GRAPH_FILE, encoder, levels, threads, pooling)

    def probabilities(self, texts: Sequence[str], reporter: Reporter | None = None) -> FloatArray:
        """Level probabilities of each text, shape ``(text, level)``."""
        return self.explained(texts, reporter)[0]

    def explained(self, texts: Sequence[str], reporter: Reporter | None = None) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Level probabilities, shape ``(text, level)``, and whether each text was shortened, shape ``(text,)``."""
        tokenised = self.encoder.encode(texts)
        found = np.empty((len(texts), self._levels), dtype=np.float64)
        with (reporter or SilentReporter()).track("predicting", len(tokenised.ids)) as advance:
            if self._pooling is None:
                self._run("probabilities", tokenised.ids, np.arange(len(texts)), found, advance=advance)
            else:
                for start in range(0, len(texts), _AT_ONCE):
                    rows = np.arange(start, min(start + _AT_ONCE, len(texts)))
                    found[rows] = self._pooled(self._pooling, tokenised.take(rows), advance)
        return found / found.sum(axis=1, keepdims=True), tokenised.shortened

    def _pooled(self, pooling: Any, texts: TokenisedTexts, advance: Advance) -> FloatArray:
        """Level probabilities of texts that are read in windows, shape ``(text, level)``."""
        layout = texts.layout(np.arange(len(texts)))
        vectors = np.zeros((len(texts.ids), int(self._session.get_outputs()[0].shape[1])), dtype=np.float32)
        if len(self._session.get_inputs()) == 2:
            self._run("vectors", texts.ids, np.arange(len(texts.ids)), vectors, advance=advance)
        else:  # each window is read with what the one before it was read as
            before = np.zeros_like(vectors)
            for number, column in enumerate(layout.T):
                rows = column[column >= 0]
                before[rows] = vectors[rows - 1] if number else 0
                self._run("vectors", texts.ids, rows, vectors, advance=advance, before=before)
        feed = {"vectors": vectors[np.maximum(layout, 0)], "mask": (layout >= 0).astype(np.int64)}
        found: FloatArray = pooling.run(["probabilities"], feed)[0]
        return found

    def _run(
        self,
        output: str,
        ids: Sequence[TokenIds],
        rows: NDArray[np.int64],
        found: NDArray[Any],
        *,
        advance: Advance,
        before: NDArray[np.float32] | None = None,
    ) -> None:
        """Fill some rows of ``found``, shape ``(text or window, value)``, in batches of similar length."""
        settings = self.encoder.settings
        for places in inference_batches(np.array([len(ids[row]) for row in rows], dtype=np.int64)):
            chosen = rows[places]
            batch = pad(ids, chosen, pad_id=settings.pad_id)
            feed: dict[str, Any] = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
            if before is not None:
                feed["before"] = before[chosen]
            outputs: Any = self._session.run([output], feed)
            found[chosen] = outputs[0]
            advance(len(chosen), "")


def _session(path: Path, threads: int | None) -> Any:
    """A graph as ONNX Runtime has it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or os.cpu_count() or 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - onnxruntime's exceptions share no base class of their own
        raise ModelFolderError(f"ONNX Runtime cannot load {path}: {error}") from None


def graph_settings(encoder: TextEncoder) -> dict[str, Any]:
    """The settings of a graph component that `OnnxGraph.load` reads."""
    return {"text": dataclasses.asdict(encoder.settings)}
