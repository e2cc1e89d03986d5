"""What every network does for a model, whatever computes it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ratecast.progress import Reporter
from ratecast.scale import FloatArray
from ratecast.text import TextEncoder, TokenisedTexts
from ratecast.text.unknown import unknown_id


class Explained(NamedTuple):
    """What a network makes of texts.

    Attributes:
        probabilities: of each level, shape ``(text, level)``.
        shortened: whether the middle of each text was left out, shape ``(text,)``.
        unknown: share of the tokens read of each text that the tokenizer does not know, shape ``(text,)``.
    """

    probabilities: FloatArray
    shortened: NDArray[np.bool_]
    unknown: FloatArray


class Network(ABC):
    """A network with its tokenizer: texts to level probabilities.

    Args:
        encoder: turns texts into token ids.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        self.encoder = encoder
        self._unknown = unknown_id(encoder.tokenizer)

    @abstractmethod
    def explained(self, texts: Sequence[str], reporter: Reporter | None = None) -> Explained:
        """Level probabilities, and what else there is to know of each text."""

    def probabilities(self, texts: Sequence[str], reporter: Reporter | None = None) -> FloatArray:
        """Level probabilities of each text, shape ``(text, level)``."""
        return self.explained(texts, reporter).probabilities

    def unknown_shares(self, texts: TokenisedTexts) -> FloatArray:
        """Share of unknown tokens of each text, shape ``(text,)``."""
        if self._unknown is None:
            return np.zeros(len(texts))
        counts = np.array([np.count_nonzero(ids == self._unknown) for ids in texts.ids], dtype=np.float64)
        if texts.starts is not None:
            counts = np.add.reduceat(counts, texts.starts[:-1])
        settings, windows = self.encoder.settings, 1 if texts.starts is None else np.diff(texts.starts)
        read = texts.lengths - windows * (len(settings.prefix_ids) + len(settings.suffix_ids))
        shares: FloatArray = counts / np.maximum(read, 1)
        return shares
