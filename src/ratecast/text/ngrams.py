"""Words and pairs of neighbouring words as row numbers of a table, quickly: no model reads text faster than this."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, repeat
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ratecast.data.near import UNSPACED
from ratecast.scale import IntArray

_EMOJI: Final = "\u2600-\u27bf\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff"
_ASCII_WORD: Final = re.compile(r"[a-z0-9]+(?:'[a-z]+)?|[!?]")
_WORD: Final = re.compile(rf"[{UNSPACED}{_EMOJI}]|[^\W_{UNSPACED}]+(?:'[^\W\d_{UNSPACED}]+)?|[!?]")
_ONE_FORM: Final = {0x2019: "'", 0xFF01: "!", 0xFF1F: "?"}
"""The curly apostrophe and the marks of full width, as code points."""
_SLOTS_PER_PAIR: Final = 16
"""Size of the hash table of pairs, so that one of 16 pairs at most has to give way to another in the same slot."""
_HALF: Final = np.uint64(32)
_LOW: Final = np.uint64(0xFFFFFFFF)
_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio, odd (Knuth, "The Art of Computer Programming", volume 3, section 6.4)."""


def words(text: str) -> list[str]:
    """Lower-case words of a text, with exclamation and question marks.

    Contractions are one word, since "don't" says another thing than "do". Single digits count: "1 star". A character of a
    script without spaces, and an emoji, is a word by itself.

    Example:
        >>> words("Don't buy it!! 1 star 好用")
        ["don't", 'buy', 'it', '!', '!', '1', 'star', '好', '用']
    """
    text = text.lower()
    return _ASCII_WORD.findall(text) if text.isascii() else _WORD.findall(text.translate(_ONE_FORM))


@dataclass(frozen=True, kw_only=True)
class Bags:
    """The rows of a table that texts ask for.

    Attributes:
        rows: row numbers of all texts, one text after the other, shape ``(gram,)``.
        counts: how many each text has, shape ``(text,)``.
    """

    rows: IntArray
    counts: IntArray

    def __len__(self) -> int:
        return len(self.counts)

    @cached_property
    def starts(self) -> IntArray:
        """Where each text's rows begin, and the number of all, shape ``(text + 1,)``."""
        return np.concatenate([[0], np.cumsum(self.counts)])

    def take(self, texts: IntArray) -> "Bags":
        """The texts at the given positions."""
        counts = self.counts[texts]
        shifts = np.repeat(self.starts[texts] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
        return Bags(rows=self.rows[shifts + np.arange(counts.sum())], counts=counts)


@dataclass(frozen=True, kw_only=True)
class Ngrams:
    """Which words and pairs have a row: the words first, in their order, then the pairs.

    Attributes:
        words: the words.
        pairs: the two words of each pair, by number, shape ``(pair, 2)``; no two pairs share a slot of the hash table.
    """

    words: tuple[str, ...]
    pairs: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.words) + len(self.pairs)

    @classmethod
    def fit(cls, texts: Sequence[str], *, least: int = 2, most: int = 200_000) -> "Ngrams":
        """The words and pairs that are in enough of the texts, each kind the most frequent first.

        Args:
            texts: the texts.
            least: a word or pair that is in fewer of them has no row.
            most: most rows of words, and of pairs.
        """
        found = Counter(chain.from_iterable(set(words(text)) for text in texts))
        frequent = sorted((word for word, count in found.items() if count >= least), key=lambda word: (-found[word], word))
        alone = cls(words=tuple(frequent[:most]), pairs=np.empty((0, 2), dtype=np.int32))
        keys = _frequent(*alone._keys(texts), least=least)[:most]
        while len(firsts := np.unique(_slots(keys), return_index=True)[1]) < len(keys):
            keys = keys[np.sort(firsts)]  # of two pairs in one slot the more frequent one stays
        pairs = np.stack([keys >> _HALF, keys & _LOW], axis=1).astype(np.int32)
        return cls(words=alone.words, pairs=pairs)

    def bags(self, texts: Sequence[str]) -> Bags:
        """The rows of each text's words, then of its pairs; those without a row are left out."""
        numbers, counts = self._numbers(texts)
        keys, places = _pair_keys(numbers, counts)
        slots, known = self._table
        candidates = slots[_slots(keys, len(slots))]
        is_known = known[candidates] == keys
        owners = np.repeat(np.arange(len(texts)), counts)
        has_row = numbers >= 0
        all_owners = np.concatenate([owners[has_row], owners[places][is_known]])
        rows = np.concatenate([numbers[has_row], len(self.words) + candidates[is_known]])
        order = np.argsort(all_owners, kind="stable")  # a radix sort: the time grows with the number of rows
        return Bags(rows=rows[order], counts=np.bincount(all_owners, minlength=len(texts)))

    @cached_property
    def _number(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}

    @cached_property
    def _table(self) -> tuple[IntArray, NDArray[np.uint64]]:
        """The pair in each slot of the hash table (0 where there is none), and the key of each pair."""
        pairs = self.pairs.astype(np.uint64)
        keys = (pairs[:, 0] << _HALF) | pairs[:, 1]
        slots = np.zeros(_slot_count(len(keys)), dtype=np.int64)
        slots[_slots(keys)] = np.arange(len(keys))
        return slots, keys if len(keys) else np.full(1, ~np.uint64(0))

    def _numbers(self, texts: Sequence[str]) -> tuple[IntArray, IntArray]:
        """The number of each word of all texts, one text after the other, -1 if it has none; and how many each text has."""
        found = [words(text) for text in texts]
        counts = np.fromiter(map(len, found), np.int64, len(found))
        lookup = map(self._number.get, chain.from_iterable(found), repeat(-1))
        return np.fromiter(lookup, np.int64, int(counts.sum())), counts

    def _keys(self, texts: Sequence[str]) -> tuple[NDArray[np.uint64], IntArray]:
        """The key of each pair of known words, and the text that it is in."""
        numbers, counts = self._numbers(texts)
        keys, places = _pair_keys(numbers, counts)
        return keys, np.repeat(np.arange(len(texts)), counts)[places]


def _pair_keys(numbers: IntArray, counts: IntArray) -> tuple[NDArray[np.uint64], IntArray]:
    """The key of each pair of known neighbouring words of one text, and the place of its first word."""
    is_pair = (numbers[:-1] >= 0) & (numbers[1:] >= 0)
    lasts = np.cumsum(counts)[:-1] - 1
    is_pair[lasts[(lasts >= 0) & (lasts < len(is_pair))]] = False  # pairs across the end of a text
    places = np.flatnonzero(is_pair)
    pairs = numbers.astype(np.uint64)
    return (pairs[places] << _HALF) | pairs[places + 1], places


def _frequent(keys: NDArray[np.uint64], texts: IntArray, *, least: int) -> NDArray[np.uint64]:
    """The keys that are in enough texts, those in most texts first."""
    order = np.lexsort((texts, keys))
    keys, texts = keys[order], texts[order]
    is_first = np.ones(len(keys), dtype=np.bool_)
    is_first[1:] = (keys[1:] != keys[:-1]) | (texts[1:] != texts[:-1])
    found, counts = np.unique(keys[is_first], return_counts=True)
    enough = counts >= least
    return np.asarray(found[enough][np.argsort(-counts[enough], kind="stable")])


def _slot_count(pairs: int) -> int:
    return 1 << max(4, (_SLOTS_PER_PAIR * pairs - 1).bit_length())


def _slots(keys: NDArray[np.uint64], slots: int | None = None) -> IntArray:
    """Slot of each key by multiplicative hashing, in a table of so many slots or of as many as the keys need."""
    bits = (slots or _slot_count(len(keys))).bit_length() - 1
    return ((keys * _MULTIPLIER) >> np.uint64(64 - bits)).astype(np.int64)
