"""The exported network on ONNX Runtime: texts to level probabilities without torch."""

import dataclasses
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ratecast.errors import ConfigError, ModelFolderError
from ratecast.model.network import Explained, Network
from ratecast.model.reference import EXACT_FILE, REFERENCE_FILE, Reference
from ratecast.model.session import create_session
from ratecast.model.store import Component
from ratecast.processors import available_processors
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
PACKED: Final = "packed"
"""Setting of a graph component whose graph was left out of the folder; only the tokenizer is there."""
PREFIX: Final = "prefix"
"""Setting of a graph component: what its files' names begin with, where a folder has two graphs."""

_AT_ONCE: Final = 1024
"""Texts that are tokenised, and sorted by length, at once; the next ones are while these are computed."""
_BATCH_REVIEWS: Final = 64
_BATCH_TOKENS: Final = 1024
"""Tokens in a batch for two threads: what a layer computes of them stays in the processor's cache. 300 to 1,600 were equally
fast with MiniLM, 3,000 to 8,000 slower by a tenth."""


class OnnxGraph(Network):
    """A network exported to ONNX, with its tokenizer.

    Args:
        path: the graph's file.
        encoder: turns texts into token ids.
        levels: number of rating levels.
        threads: processor threads; one for each processor that this process may use by default.
        pooling: the file of the graph that pools windows; None where each text is one.
        device: what it computes on, "cpu" or "cuda".
    """

    def __init__(
        self,
        path: Path,
        encoder: TextEncoder,
        levels: int,
        *,
        threads: int | None = None,
        pooling: Path | None = None,
        device: str = "cpu",
    ) -> None:
        super().__init__(encoder)
        self._session = create_session(path, threads, device)
        self._pooling = None if pooling is None else create_session(pooling, threads, device)
        self._batch_tokens = max(_BATCH_TOKENS, _BATCH_TOKENS // 2 * (threads or available_processors()))
        self._levels = levels

    @classmethod
    def load(
        cls, folder: Path, component: Component, levels: int, threads: int | None = None, device: str = "cpu"
    ) -> "OnnxGraph":
        """The graph component of a model folder, whose files have been verified.

        Raises:
            ConfigError: if the device is unknown or cannot be used.
            ModelFolderError: if the graph was left out, or it or the tokenizer cannot be read.
        """
        if PACKED in component.settings:
            raise ModelFolderError(f"{folder} is packed and predicts nothing; run ratecast unpack {folder} --out MODEL first")
        settings = TextSettings.from_json(dict(component.settings["text"]))
        prefix = component.settings.get(PREFIX, "")
        for file in (f"{prefix}{GRAPH_FILE}", f"{prefix}{TOKENIZER_FILE}"):
            if file not in component.files:  # whose hashes have been checked
                raise ModelFolderError(f"{folder} is damaged: it does not name {file}; fit again or restore the folder")
        encoder = TextEncoder.load(folder / f"{prefix}{TOKENIZER_FILE}", settings)
        pooling = folder / f"{prefix}{POOLING_FILE}"

        def load(file: str) -> "OnnxGraph":
            return cls(
                folder / f"{prefix}{file}",
                encoder,
                levels,
                threads=threads,
                pooling=pooling if pooling.name in component.files else None,
                device=device,
            )

        if f"{prefix}{REFERENCE_FILE}" not in component.files:
            return load(GRAPH_FILE)
        reference = Reference.load(folder / f"{prefix}{REFERENCE_FILE}")
        try:
            graph = load(GRAPH_FILE)
            if (told := graph.mismatch(reference)) is None:
                return graph
            del graph  # before the other one takes as much memory
        except (ConfigError, MemoryError):  # of the device and the machine, whichever network it is
            raise
        except Exception as error:  # noqa: BLE001 - onnxruntime's exceptions share no base class of their own
            told = f"cannot be computed on this processor ({' '.join(str(error).split())[:300]})"
        if f"{prefix}{EXACT_FILE}" not in component.files:
            raise ModelFolderError(
                f"the quantised network in {folder} {told}; use the model that it was made from, or quantise that one here"
            )
        warnings.warn(f"the quantised network in {folder} {told}; the exact network is used, which is slower", stacklevel=2)
        return load(EXACT_FILE)

    def mismatch(self, reference: Reference) -> str | None:
        """What to say where it gives other answers than the exact network; None where it does not."""
        difference, most = reference.difference(self._session), reference.tolerance
        if difference <= most:
            return None
        return f"gives other answers on this processor: they differ by {difference:.2g}, expected at most {most:.2g}"

    def explained(self, texts: Sequence[str], reporter: Reporter | None = None) -> Explained:
        """Level probabilities, and what else there is to know of each text."""
        found = np.empty((len(texts), self._levels), dtype=np.float64)
        shortened, unknown = np.zeros(len(texts), dtype=np.bool_), np.zeros(len(texts))
        with (reporter or SilentReporter()).track("predicting", len(texts)) as advance:
            for rows, tokenised in _ahead(self.encoder.encode, texts):
                shortened[rows], unknown[rows] = tokenised.shortened, self.unknown_shares(tokenised)
                of_texts = _per_text(advance, tokenised)
                if self._pooling is None:
                    self._run("probabilities", tokenised.ids, np.arange(len(tokenised)), found[rows], advance=of_texts)
                else:
                    found[rows] = self._pooled(self._pooling, tokenised, of_texts)
        found /= found.sum(axis=1, keepdims=True)
        return Explained(found, shortened, unknown)

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
        lengths = np.array([len(ids[row]) for row in rows], dtype=np.int64)
        for places in inference_batches(lengths, _BATCH_REVIEWS, self._batch_tokens):
            chosen = rows[places]
            batch = pad(ids, chosen, pad_id=settings.pad_id)
            feed: dict[str, Any] = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
            if before is not None:
                feed["before"] = before[chosen]
            outputs: Any = self._session.run([output], feed)
            found[chosen] = outputs[0]
            advance(len(chosen), "")


def _ahead(encode: Callable[[Sequence[str]], TokenisedTexts], texts: Sequence[str]) -> Iterator[tuple[slice, TokenisedTexts]]:
    """Tokenised texts, a part at a time; the next part is tokenised in a thread while the caller works on this one."""
    parts = [slice(start, start + _AT_ONCE) for start in range(0, len(texts), _AT_ONCE)]
    if len(parts) < 2:
        yield from ((part, encode(texts)) for part in parts)
        return
    with ThreadPoolExecutor(1, "ratecast-tokenise") as executor:
        coming = executor.submit(encode, texts[parts[0]])
        for part, after in zip(parts, [*parts[1:], None], strict=True):
            tokenised = coming.result()
            if after is not None:
                coming = executor.submit(encode, texts[after])
            yield part, tokenised


def _per_text(advance: Advance, texts: TokenisedTexts) -> Advance:
    """Tells the texts that are done where windows are counted."""
    done, told = 0, 0

    def of_windows(windows: int, note: str) -> None:
        nonlocal done, told
        done += windows
        whole = done * len(texts) // len(texts.ids)
        advance(whole - told, note)
        told = whole

    return of_windows


def graph_settings(encoder: TextEncoder) -> dict[str, Any]:
    """The settings of a graph component that `OnnxGraph.load` reads."""
    return {"text": dataclasses.asdict(encoder.settings)}
