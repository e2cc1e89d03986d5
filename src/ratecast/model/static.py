"""A static embedding model: vectors of words and pairs from a table, their mean, and a small network over it, in NumPy.

A review costs a look-up for each word in place of a network over all of them. The idea is that of fastText (Joulin et al. 2016,
"Bag of Tricks for Efficient Text Classification"); that such a table can keep much of what a large model knows is shown by
model2vec (van Dongen & Tulkens 2024). Here it learns from ratings, or from the level probabilities of a fitted model.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ratecast.errors import ModelFolderError
from ratecast.scale import FloatArray
from ratecast.text.ngrams import Bags, Ngrams

STATIC: Final = "static"
"""Kind of the component."""

_CHUNK_TEXTS: Final = 1_000
_PIECE_ROWS: Final = 16_384
"""Rows whose vectors are in memory at once: few enough for the processor's cache."""
_TENSORS: Final = ("table", "hidden_weight", "hidden_bias", "output_weight", "output_bias", "pairs")
_SMALLEST: Final = 1e-6
"""No level is taken to be less probable."""


@dataclass(frozen=True, kw_only=True)
class StaticModel:
    """Level probabilities from the vectors of a text's words and pairs: ``softmax(W [v, relu(H v + h)] + b)``.

    ``v`` is the sum of the vectors divided by the square root of their number, so that long texts say more than short ones and
    not in proportion; a text without a known word has the zero vector.

    Saved as ``<name>.safetensors`` and ``<name>.words.json``; the table in half precision, which is lost when the model is
    made and not when it is saved.

    Attributes:
        ngrams: the row of each word and pair.
        table: their vectors, shape ``(row, width)``.
        hidden_weight: H, shape ``(hidden, width)``.
        hidden_bias: h, shape ``(hidden,)``.
        output_weight: W, shape ``(level, width + hidden)``.
        output_bias: b, shape ``(level,)``.
    """

    ngrams: Ngrams
    table: NDArray[np.float32]
    hidden_weight: NDArray[np.float32]
    hidden_bias: NDArray[np.float32]
    output_weight: NDArray[np.float32]
    output_bias: NDArray[np.float32]

    def probabilities(self, texts: Sequence[str]) -> FloatArray:
        """Probability of each level, shape ``(text, level)``."""
        chunks = (texts[begin : begin + _CHUNK_TEXTS] for begin in range(0, len(texts), _CHUNK_TEXTS))
        found = [self.probabilities_of(self.ngrams.bags(chunk)) for chunk in chunks]
        return np.concatenate([np.empty((0, len(self.output_bias))), *found])

    def probabilities_of(self, bags: Bags) -> FloatArray:
        """Probability of each level, shape ``(text, level)``, of texts whose rows are known."""
        vectors = self.vectors(bags)
        hidden = np.maximum(vectors @ self.hidden_weight.T + self.hidden_bias, 0)
        logits = np.hstack([vectors, hidden]) @ self.output_weight.T + self.output_bias
        exponentials = np.exp(np.asarray(logits - logits.max(axis=1, keepdims=True), dtype=np.float64))
        found = np.maximum(exponentials / exponentials.sum(axis=1, keepdims=True), _SMALLEST)
        return np.asarray(found / found.sum(axis=1, keepdims=True))

    def vectors(self, bags: Bags) -> NDArray[np.float32]:
        """The texts' vectors ``v``, shape ``(text, width)``."""
        found = np.zeros((len(bags), self.table.shape[1]), dtype=np.float32)
        filled = np.flatnonzero(bags.counts)
        begins, ends = bags.starts[filled], bags.starts[filled + 1]
        for begin in range(0, len(bags.rows), _PIECE_ROWS):
            end = min(begin + _PIECE_ROWS, len(bags.rows))
            first, last = np.searchsorted(ends, begin, side="right"), np.searchsorted(begins, end)
            inside = np.maximum(begins[first:last], begin) - begin
            found[filled[first:last]] += np.add.reduceat(self.table[bags.rows[begin:end]], inside, axis=0)
        return found / np.sqrt(np.maximum(bags.counts, 1)).astype(np.float32)[:, None]

    def save(self, folder: Path, name: str) -> list[str]:
        """Write the model into a folder and return the names of the files written."""
        tensors: dict[str, Any] = {part: getattr(self, part) for part in _TENSORS if part != "pairs"}
        tensors |= {"table": self.table.astype(np.float16), "pairs": self.ngrams.pairs}
        save_file(tensors, folder / f"{name}.safetensors")
        words = json.dumps(self.ngrams.words, ensure_ascii=False)
        (folder / f"{name}.words.json").write_text(words, encoding="utf-8")
        return [f"{name}.safetensors", f"{name}.words.json"]

    @classmethod
    def load(cls, folder: Path, files: Sequence[str], levels: int) -> "StaticModel":
        """The model that `save` wrote.

        Raises:
            ModelFolderError: if a file is missing, damaged or made for another scale.
        """
        try:
            tensors_file, words_file = sorted(files, key=lambda file: file.endswith(".json"))
            with safe_open(folder / tensors_file, framework="numpy") as stored:
                found: dict[str, Any] = {name: stored.get_tensor(name) for name in _TENSORS}
            words = json.loads((folder / words_file).read_text(encoding="utf-8"))
            ngrams = Ngrams(words=tuple(map(str, words)), pairs=found.pop("pairs"))
            model = cls(ngrams=ngrams, **(found | {"table": found["table"].astype(np.float32)}))
            hidden, width = model.hidden_weight.shape
            if len(model.table) != len(ngrams) or model.output_weight.shape != (levels, width + hidden):
                raise ValueError(
                    f"{len(ngrams)} words and pairs, vectors {model.table.shape}, output {model.output_weight.shape}, "
                    f"{levels} levels"
                )
        except (OSError, ValueError, LookupError, TypeError, SafetensorError) as error:
            raise ModelFolderError(f"cannot read the static model in {folder} ({error}); make it again") from None
        return model
