"""Equal and nearly equal texts: which reviews are copies of each other and must stay on one side of a split.

Texts are compared by the sets of their shingles, that is of three words in a row. Two texts are near-duplicates when the
Jaccard similarity of their sets is at least 0.8 (Broder, "On the resemblance and containment of documents", 1997). Candidates
come from MinHash signatures cut into bands (Leskovec, Rajaraman & Ullman, "Mining of Massive Datasets", section 3.4), so that
the time grows with the number of texts and not with its square; every candidate is then verified on the shingles themselves.
"""

import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ratecast.scale import IntArray

UNSPACED: Final = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u3040-\u30ff\u31f0-\u31ff"  # Hiragana, Katakana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"  # Han
)
"""Characters of scripts that put no spaces between words, as the inside of a regular expression's character class."""

SIMILARITY: Final = 0.8
"""Jaccard similarity of shingles from which two texts are near-duplicates."""

SHINGLE_WORDS: Final = 3
SHORTEST_WORDS: Final = 4
"""Texts with fewer words are copies only when they are equal: one or two shingles know nothing between equal and different."""

BANDS: Final = 16
BAND_ROWS: Final = 4
"""A pair of similarity s shares a band with probability 1 - (1 - s^4)^16: 0.9998 at 0.8, 0.12 at 0.3, 0.0000004 at 0.01."""

_ESTIMATE: Final = 0.6  # signatures of pairs at 0.8 agree in less than this share of 64 places about once in 20,000 pairs
_NEIGHBOURS: Final = 10  # each text is compared with so many that follow it in its bucket; up to 11 are compared in full
_CHUNK_TEXTS: Final = 2000  # texts whose shingles are in memory at once

_WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")
_SEED: Final = 20_011  # any fixed number: the result must not depend on the seed of a run

HashArray = NDArray[np.uint64]


class DisjointSets:
    """Numbers from 0 to ``size - 1`` in sets that can be united (union-find with path halving).

    Example:
        >>> sets = DisjointSets(4)
        >>> sets.unite(1, 3)
        >>> sets.roots().tolist()
        [0, 1, 2, 1]
    """

    def __init__(self, size: int) -> None:
        self._parents = list(range(size))

    def find(self, member: int) -> int:
        """The smallest number in the member's set."""
        parents = self._parents
        while parents[member] != member:
            parents[member] = parents[parents[member]]
            member = parents[member]
        return member

    def unite(self, one: int, other: int) -> None:
        """Put the sets of two members together."""
        low, high = sorted((self.find(one), self.find(other)))
        self._parents[high] = low

    def roots(self) -> IntArray:
        """The smallest number in each member's set, shape ``(size,)``."""
        return np.fromiter((self.find(member) for member in range(len(self._parents))), np.int64, len(self._parents))


def fold(text: str) -> str:
    """What counts of a text when copies are sought: its words in compatibility form and without case, joined by spaces.

    A character of a script without spaces counts as a word. A text without any word (emoji only) is folded to itself, so that
    such texts are not all alike.

    Example:
        >>> fold("  Great phone -- GREAT!  ")
        'great phone great'
    """
    folded = text.casefold() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    return " ".join(_WORD.findall(folded)) or folded.strip()


def duplicate_groups(texts: Sequence[str]) -> IntArray:
    """Group number of each text; equal and nearly equal texts share one.

    Nearness is carried on: where a is near b and b near c, all three are in one group. Equal texts are always found, pairs at
    the similarity of 0.8 with a probability above 0.999. Time and memory grow linearly with the texts: in a bucket of more
    than 11 different texts each is compared with its 10 neighbours only.

    Args:
        texts: what is compared, shape ``(text,)``.

    Returns:
        Numbers from 0 in order of first appearance, shape ``(text,)``.

    Example:
        >>> duplicate_groups(["Great phone!", "Poor battery", "great phone"]).tolist()
        [0, 1, 0]
    """
    unique: dict[str, int] = {}
    folded = np.fromiter((unique.setdefault(fold(text), len(unique)) for text in texts), np.int64, len(texts))
    sets = DisjointSets(len(unique))
    _unite_near(list(unique), sets)
    return numbered(sets.roots()[folded])


def copy_groups(texts: Sequence[str]) -> IntArray:
    """Group number of each text; copies, that is equal texts of at least four words, share one.

    Shorter texts are equal by chance: "very good" from two people are two reviews, forty equal words are one that was copied.

    Args:
        texts: what is compared, shape ``(text,)``.

    Returns:
        Numbers from 0 in order of first appearance, shape ``(text,)``.

    Example:
        >>> copy_groups(["Good!", "good", "It broke after a week.", "it broke after a week"]).tolist()
        [0, 1, 2, 2]
    """
    folded = (fold(text) for text in texts)
    return numbered(row if _has_few_words(text) else text for row, text in enumerate(folded))


def is_short(text: str) -> bool:
    """Whether a text has so few words that others equal it by chance."""
    return _has_few_words(fold(text))


def united_groups(one: IntArray, other: IntArray) -> IntArray:
    """The finest groups that neither grouping cuts: rows that share a number in either share one in the result.

    Args:
        one: group number of each row, 0 or more, shape ``(row,)``.
        other: numbers of another grouping, same shape.

    Returns:
        Numbers from 0 in order of first appearance, shape ``(row,)``.
    """
    size = int(one.max(initial=-1)) + 1
    sets = DisjointSets(size + int(other.max(initial=-1)) + 1)
    for pair in np.unique(np.stack([one, other + size], axis=1), axis=0).tolist():
        sets.unite(*pair)
    return numbered(sets.roots()[one])


def numbered(labels: Iterable[object]) -> IntArray:
    """Numbers from 0 in order of first appearance that tell the same labels apart, shape ``(row,)``."""
    numbers: dict[object, int] = {}
    values = labels.tolist() if isinstance(labels, np.ndarray) else list(labels)
    return np.fromiter((numbers.setdefault(label, len(numbers)) for label in values), np.int64, len(values))


def _has_few_words(folded: str) -> bool:
    return folded.count(" ") < SHORTEST_WORDS - 1


def _unite_near(folded: list[str], sets: DisjointSets) -> None:
    """Unite the texts, all different and folded, whose shingles are similar."""
    long = [row for row, text in enumerate(folded) if not _has_few_words(text)]
    if len(long) < 2:
        return
    rows = np.array(long)
    signatures = _signatures([folded[row] for row in long])
    shingles: dict[int, HashArray] = {}  # of candidates only, which are few
    rejected: set[tuple[int, int]] = set()
    for one, other in _candidates(signatures):
        near = (signatures[one] == signatures[other]).mean(axis=1) >= _ESTIMATE
        for pair in zip(rows[one[near]].tolist(), rows[other[near]].tolist(), strict=True):
            if pair in rejected or sets.find(pair[0]) == sets.find(pair[1]):
                continue
            for row in pair:
                if row not in shingles:
                    shingles[row] = np.unique(_shingles([folded[row]])[0])
            if _jaccard(shingles[pair[0]], shingles[pair[1]]) >= SIMILARITY:
                sets.unite(*pair)
            else:
                rejected.add(pair)


def _candidates(signatures: NDArray[np.uint32]) -> Iterator[tuple[IntArray, IntArray]]:
    """Pairs of texts that agree in a band, as two arrays of row numbers; a pair may come several times."""
    for band in range(BANDS):
        columns = [signatures[:, (band * BAND_ROWS + shift) % signatures.shape[1]] for shift in range(2 * BAND_ROWS)]
        # Sorted by the next band too, so that in a large bucket the most similar texts are neighbours.
        order = np.lexsort(columns[::-1])
        key = np.stack(columns[:BAND_ROWS], axis=1)[order]
        same = np.r_[False, (key[1:] == key[:-1]).all(axis=1)]
        bucket = np.cumsum(~same)
        for distance in range(1, _NEIGHBOURS + 1):
            together = np.flatnonzero(bucket[distance:] == bucket[:-distance])
            if not len(together):
                break
            yield order[together], order[together + distance]


def _signatures(folded: list[str]) -> NDArray[np.uint32]:
    """MinHash signatures, shape ``(text, band * row)``: the least value of each of 64 hash functions on a text's shingles.

    The hash functions are multiply-add-shift ones from 64 to 32 bits (Dietzfelbinger, "Universal hashing and k-wise
    independent random variables via integer arithmetic without primes", 1996).
    """
    random = np.random.default_rng(_SEED)
    factors, shifts = random.integers(0, 2**64, (2, BANDS * BAND_ROWS), dtype=np.uint64)
    found = np.empty((len(folded), BANDS * BAND_ROWS), dtype=np.uint32)
    for begin in range(0, len(folded), _CHUNK_TEXTS):
        rows = slice(begin, begin + _CHUNK_TEXTS)
        shingles, starts = _shingles(folded[rows])
        for column, (factor, shift) in enumerate(zip(factors | np.uint64(1), shifts, strict=True)):
            hashed = ((shingles * factor + shift) >> np.uint64(32)).astype(np.uint32)
            found[rows, column] = np.minimum.reduceat(hashed, starts)
    return found


def _shingles(folded: Sequence[str]) -> tuple[HashArray, IntArray]:
    """Hashes of the shingles of folded texts of at least three words, one text after the other, and where each text starts."""
    words = [text.encode().split(b" ") for text in folded]
    lengths = np.array([len(text) for text in words])
    hashes = np.fromiter((zlib.crc32(word) for text in words for word in text), np.uint64, int(lengths.sum()))
    hashes = _mixed(hashes)
    shingles = hashes[:-2] + hashes[1:-1] * np.uint64(3) + hashes[2:] * np.uint64(5)
    ends = np.cumsum(lengths)[:-1]
    across = (ends[:, np.newaxis] - np.array([2, 1])).ravel()  # shingles that begin in one text and end in the next
    starts = np.r_[0, np.cumsum(lengths - SHINGLE_WORDS + 1)[:-1]]
    return _mixed(np.delete(shingles, across)), starts


def _mixed(values: HashArray) -> HashArray:
    """A fixed permutation of 64-bit numbers that scatters them (finaliser of SplitMix64, Steele, Lea & Flood 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _jaccard(one: HashArray, other: HashArray) -> float:
    """Share of common elements in the union of two sorted sets."""
    common = len(np.intersect1d(one, other, assume_unique=True))
    return common / (len(one) + len(other) - common)
