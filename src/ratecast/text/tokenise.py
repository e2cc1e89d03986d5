"""Texts to token ids, in one window or several, keeping the beginning and the end of what is too long for all of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ratecast.errors import BackboneError

TokenIds = NDArray[np.int32]

# A text of more than max_tokens * this many characters on either side cannot fill its tokens from the middle: cutting it
# before tokenising bounds the time that a text of megabytes takes. Tokens longer than this are no words.
_CHARACTERS_PER_TOKEN: Final = 24


@dataclass(frozen=True, kw_only=True)
class TextSettings:
    """How a model reads text.

    Attributes:
        max_tokens: longest window, special tokens included.
        head_fraction: share of the kept tokens that is taken from the beginning of a longer text.
        prefix_ids: special tokens before the text.
        suffix_ids: special tokens after the text.
        pad_id: token that fills shorter texts of a batch.
        windows: most windows that a text is read in.
        overlap_fraction: share of a window's text that it has in common with the next one, at least.
    """

    max_tokens: int
    head_fraction: float
    prefix_ids: tuple[int, ...]
    suffix_ids: tuple[int, ...]
    pad_id: int
    windows: int = 1
    overlap_fraction: float = 0.125

    def describe(self) -> str:
        """How much is read of a text, in words."""
        return f"{self.max_tokens} tokens" if self.windows == 1 else f"{self.windows} windows of {self.max_tokens} tokens"

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "TextSettings":
        """Settings from what ``dataclasses.asdict`` gave and JSON stored; older ones also have ``pad_left``, false."""
        value = {name: part for name, part in value.items() if name != "pad_left"}
        return cls(**{**value, "prefix_ids": tuple(value["prefix_ids"]), "suffix_ids": tuple(value["suffix_ids"])})


@dataclass(frozen=True, kw_only=True)
class TokenisedTexts:
    """Token ids of a batch of texts, each window of them with its special tokens.

    Attributes:
        ids: one array of token ids for each window, those of a text one after the other.
        shortened: whether the middle of each text was left out, shape ``(text,)``.
        starts: where each text's windows begin, and the number of all, shape ``(text + 1,)``; None where each text is a window.
    """

    ids: Sequence[TokenIds]
    shortened: NDArray[np.bool_]
    starts: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.shortened)

    @property
    def window_lengths(self) -> NDArray[np.int64]:
        """Number of tokens of each window, shape ``(window,)``."""
        return np.array([len(ids) for ids in self.ids], dtype=np.int64)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of tokens that are read of each text, those that windows have in common twice, shape ``(text,)``."""
        lengths = self.window_lengths
        return lengths if self.starts is None else np.add.reduceat(lengths, self.starts[:-1])

    @property
    def windowed(self) -> NDArray[np.bool_]:
        """Whether each text is read in more than one window, shape ``(text,)``."""
        return np.zeros(len(self), dtype=bool) if self.starts is None else np.diff(self.starts) > 1

    def windows_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where in ``ids`` the windows of the texts at some rows are, those of each text one after the other."""
        if self.starts is None:
            return rows
        return np.concatenate([np.arange(self.starts[row], self.starts[row + 1]) for row in rows] or [rows])

    def layout(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where in what `windows_of` gives for the same rows each text's windows are, −1 after its last: ``(text, window)``."""
        counts = np.ones(len(rows), dtype=np.int64) if self.starts is None else np.diff(self.starts)[rows]
        numbers = np.arange(counts.max(initial=0))
        return np.where(numbers < counts[:, None], (np.cumsum(counts) - counts)[:, None] + numbers, -1)

    def take(self, rows: NDArray[np.int64]) -> "TokenisedTexts":
        """The texts at the given rows."""
        starts = None if self.starts is None else np.concatenate([[0], np.cumsum(np.diff(self.starts)[rows])])
        ids = [self.ids[window] for window in self.windows_of(rows)]
        return TokenisedTexts(ids=ids, shortened=self.shortened[rows], starts=starts)


class TextEncoder:
    """Turns texts into token ids with a tokenizer from the ``tokenizers`` library."""

    def __init__(self, tokenizer: Tokenizer, settings: TextSettings) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.tokenizer = tokenizer
        self.settings = settings
        self._room = settings.max_tokens - len(settings.prefix_ids) - len(settings.suffix_ids)
        self._overlap = int(self._room * settings.overlap_fraction)
        self._capacity = self._room + (settings.windows - 1) * (self._room - self._overlap)
        self._head = min(self._capacity, max(1, round(self._capacity * settings.head_fraction)))

    @classmethod
    def create(
        cls,
        tokenizer: Tokenizer,
        *,
        max_tokens: int,
        head_fraction: float,
        pad_id: int,
        end_id: int | None = None,
        windows: int = 1,
        overlap_fraction: float = 0.125,
    ) -> "TextEncoder":
        """Encoder that adds the special tokens which the tokenizer itself puts around a single text.

        Where there are none, ``end_id`` stands after it, if it is given: else an empty text would have no token at all.
        """
        prefix, suffix = _special_tokens(tokenizer)
        if end_id is not None and not prefix and not suffix:
            suffix = (end_id,)
        settings = TextSettings(
            max_tokens=max_tokens,
            head_fraction=head_fraction,
            prefix_ids=prefix,
            suffix_ids=suffix,
            pad_id=pad_id,
            windows=windows,
            overlap_fraction=overlap_fraction,
        )
        return cls(tokenizer, settings)

    @classmethod
    def load(cls, path: Path, settings: TextSettings) -> "TextEncoder":
        """Encoder from a ``tokenizer.json`` file.

        Raises:
            BackboneError: if the file is no tokenizer.
        """
        try:
            return cls(Tokenizer.from_file(str(path)), settings)
        except Exception as error:  # noqa: BLE001 - the tokenizers library raises bare Exception
            raise BackboneError(f"cannot read the tokenizer {path}: {error}") from None

    def limited(self, max_tokens: int) -> "TextEncoder":
        """The same encoder with another longest window."""
        return TextEncoder(self.tokenizer, replace(self.settings, max_tokens=max_tokens))

    def save(self, path: Path) -> None:
        """Write the ``tokenizer.json`` that `load` reads."""
        self.tokenizer.save(str(path), pretty=False)

    def encode(self, texts: Sequence[str]) -> TokenisedTexts:
        """Token ids of each text; of one with too many tokens for all windows the beginning and the end are kept."""
        limit = self.settings.windows * self.settings.max_tokens * _CHARACTERS_PER_TOKEN
        cut = [len(text) > 2 * limit for text in texts]
        within = [f"{text[:limit]} {text[-limit:]}" if is_cut else text for text, is_cut in zip(texts, cut, strict=True)]
        encodings = self.tokenizer.encode_batch_fast(within, add_special_tokens=False)
        shortened = np.array(
            [is_cut or len(found) > self._capacity for is_cut, found in zip(cut, encodings, strict=True)], dtype=bool
        )
        texts_windows = [self._windows(self._kept(found.ids)) for found in encodings]
        starts = np.concatenate([[0], np.cumsum([len(windows) for windows in texts_windows], dtype=np.int64)])
        return TokenisedTexts(
            ids=[self._framed(window) for windows in texts_windows for window in windows],
            shortened=shortened,
            starts=starts if self.settings.windows > 1 else None,
        )

    def _kept(self, ids: list[int]) -> list[int]:
        if len(ids) <= self._capacity:
            return ids
        tail = self._capacity - self._head
        return ids[: self._head] + ids[len(ids) - tail :]

    def _windows(self, ids: list[int]) -> list[list[int]]:
        """As few windows as hold all tokens, of one size and at even distances.

        A last one of three words would count as much as the others when they are pooled.
        """
        if len(ids) <= self._room:
            return [ids]
        count = math.ceil((len(ids) - self._overlap) / (self._room - self._overlap))
        size = math.ceil((len(ids) + (count - 1) * self._overlap) / count)
        starts = [number * (len(ids) - size) // (count - 1) for number in range(count)]
        return [ids[start : start + size] for start in starts]

    def _framed(self, ids: list[int]) -> TokenIds:
        return np.array([*self.settings.prefix_ids, *ids, *self.settings.suffix_ids], dtype=np.int32)


def _special_tokens(tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    tokenizer.no_truncation()
    tokenizer.no_padding()
    bare = tokenizer.encode("good", add_special_tokens=False).ids
    framed = tokenizer.encode("good", add_special_tokens=True).ids
    for start in range(len(framed) - len(bare) + 1):
        if framed[start : start + len(bare)] == bare:
            return tuple(framed[:start]), tuple(framed[start + len(bare) :])
    raise BackboneError(
        "the tokenizer changes a text's tokens when it adds special tokens; expected it to put them around the text"
    )
