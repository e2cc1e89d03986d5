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
from ratecast.progress import Reporter, SilentReporter
from ratecast.scale import FloatArray
from ratecast.text import TextEncoder, TextSettings, inference_batches, pad

GRAPH_FILE = "model.onnx"
GRAPH_DATA_FILE = "model.onnx.data"
"""The weights of a graph that is too large for one file; ONNX Runtime looks for it beside the graph."""
TOKENIZER_FILE = "tokenizer.json"


class OnnxGraph:
    """A network exported to ONNX, with its tokenizer.

    Args:
        path: the graph's file.
        encoder: turns texts into token ids.
        levels: number of rating levels.
        threads: processor threads; all cores by default.
    """

    def __init__(self, path: Path, encoder: TextEncoder, levels: int, threads: int | None = None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or os.cpu_count() or 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 - onnxruntime's exceptions share no base class of their own
            raise ModelFolderError(f"ONNX Runtime cannot load {path}: {error}") from None
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
        return cls(folder / GRAPH_FILE, encoder, levels, threads)

    def probabilities(self, texts: Sequence[str], reporter: Reporter | None = None) -> FloatArray:
        """Level probabilities of each text, shape ``(text, level)``."""
        return self.explained(texts, reporter)[0]

    def explained(self, texts: Sequence[str], reporter: Reporter | None = None) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Level probabilities, shape ``(text, level)``, and whether each text was shortened, shape ``(text,)``."""
        tokenised = self.encoder.encode(texts)
        settings = self.encoder.settings
        found = np.empty((len(texts), self._levels), dtype=np.float64)
        with (reporter or SilentReporter()).track("predicting", len(texts)) as advance:
            for rows in inference_batches(tokenised.lengths):
                batch = pad(tokenised.ids, rows, pad_id=settings.pad_id, pad_left=settings.pad_left)
                feed = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
                outputs: Any = self._session.run(["probabilities"], feed)
                found[rows] = outputs[0]
                advance(len(rows), "")
        return found / found.sum(axis=1, keepdims=True), tokenised.shortened


def graph_settings(encoder: TextEncoder) -> dict[str, Any]:
    """The settings of a graph component that `OnnxGraph.load` reads."""
    return {"text": dataclasses.asdict(encoder.settings)}
