"""Unlabelled reviews as token ids on disk, so that there may be more of them than fit into memory.

```
corpus/
  tokens.bin     token ids of one review after the other, unsigned 32-bit; the top bit marks the beginning of a word
  reviews.npz    where each review begins, and the hash of its text
  corpus.json    what it was made from; written last, so that a corpus with it is whole
```
"""

import array
import hashlib
import itertools
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from ratecast.data.wording import counted
from ratecast.errors import DataError
from ratecast.files import explained_write
from ratecast.model.store import write_json
from ratecast.progress import Reporter

TokenArray = NDArray[np.uint32]
Rows = NDArray[np.int64]

WORD_BEGINS: Final = np.uint32(1 << 31)
"""The bit that marks the first token of a word."""
LEAST_REVIEWS: Final = 50
HELD_OUT_SHARE: Final = 0.02
MOST_HELD_OUT: Final = 2_000
_LEAST_HELD_OUT: Final = 10

_LONGEST_WORD: Final = 8  # tokens; scripts without spaces make a whole sentence one word, which is then taken token by token
_TOKENISED_TEXTS: Final = 1_000
_SAMPLED_TOKENS: Final = 1_000_000
_TOLD_SECONDS: Final = 30.0
_META: Final = "corpus.json"


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Tokenised reviews without copies, in two parts.

    Attributes:
        tokens: ids of all reviews, with `WORD_BEGINS`, on disk.
        starts: where each review begins, and the end of the last, shape ``(review + 1,)``.
        training: reviews to learn from, in the order of the table.
        held_out: reviews that training never sees.
        copies: reviews that were left out because their text came before.
        fingerprint: hash of all texts, in order.
    """

    tokens: TokenArray
    starts: Rows
    training: Rows
    held_out: Rows
    copies: int
    fingerprint: str

    def lengths(self, rows: Rows) -> Rows:
        """Tokens of the reviews at ``rows``, shape ``(review,)``."""
        found: Rows = self.starts[rows + 1] - self.starts[rows]
        return found

    def review(self, row: int) -> TokenArray:
        """Token ids of one review, with `WORD_BEGINS`."""
        return self.tokens[self.starts[row] : self.starts[row + 1]]

    def fraction_of(self, token: int | None) -> float:
        """Share of a token among the first of the corpus; 0 for None."""
        sample = self.tokens[:_SAMPLED_TOKENS] & ~WORD_BEGINS
        return 0.0 if token is None else float(np.mean(sample == token))

    def describe(self) -> str:
        """The corpus in a line for people."""
        copies = f", {counted(self.copies, 'copy', 'copies')} left out" if self.copies else ""
        return (
            f"{counted(len(self.training), 'review')} to learn from ({int(self.lengths(self.training).sum()):,} tokens), "
            f"{len(self.held_out):,} held out{copies}"
        )


def build_corpus(
    pieces: Iterable[Sequence[str]], tokenizer: Tokenizer, folder: Path, reporter: Reporter, *, deadline: float | None = None
) -> Corpus:
    """Tokenise texts into a folder, in flat memory: 16 bytes a review besides the piece that is read.

    Args:
        pieces: the texts, some at a time.
        tokenizer: without truncation and padding.
        folder: where the corpus goes; what is there is replaced.
        reporter: hears how far it is, twice a minute.
        deadline: time of ``time.monotonic`` after which no further piece is read; None reads all.

    Raises:
        DataError: if there are too few different reviews.
        OutputError: if the disk is full or the folder cannot be written.
    """
    ends, hashes, told = array.array("q", [0]), array.array("Q"), time.monotonic()
    with explained_write(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _META).unlink(missing_ok=True)
        with (folder / "tokens.bin").open("wb") as file:
            for texts in _batches(pieces):
                if hashes and deadline is not None and time.monotonic() > deadline:
                    reporter.tell(f"the first {len(hashes):,} reviews are enough for the time: no more are read")
                    break
                for text, encoding in zip(texts, tokenizer.encode_batch(texts, add_special_tokens=False), strict=True):
                    if ids := encoding.ids:
                        file.write(_marked(ids, encoding).tobytes())
                        ends.append(ends[-1] + len(ids))
                        hashes.append(_hash(text))
                if time.monotonic() - told > _TOLD_SECONDS:
                    told = time.monotonic()
                    reporter.tell(f"read {len(hashes):,} reviews, {ends[-1]:,} tokens")
        np.savez(folder / "reviews.npz", starts=np.array(ends, dtype=np.int64), hashes=np.array(hashes, dtype=np.uint64))
    return _opened(folder)


def mark_whole(folder: Path, stamp: str) -> None:
    """Note what a corpus was made from, so that `open_corpus` finds it."""
    with explained_write(folder):
        write_json(folder / _META, {"stamp": stamp})


def open_corpus(folder: Path, stamp: str) -> Corpus | None:
    """The corpus in a folder if it is whole and was made from the same; None otherwise."""
    try:
        facts: dict[str, Any] = json.loads((folder / _META).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return _opened(folder) if facts.get("stamp") == stamp else None


def _opened(folder: Path) -> Corpus:
    with np.load(folder / "reviews.npz") as stored:
        starts, hashes = stored["starts"], stored["hashes"]
    distinct, first = np.unique(hashes, return_index=True)  # ordered by hash, which is as good as at random
    if len(distinct) < LEAST_REVIEWS:
        raise DataError(
            f"found {counted(len(distinct), 'different review')} with text; pretraining needs at least {LEAST_REVIEWS}, and "
            "pays from thousands on"
        )
    held = min(MOST_HELD_OUT, max(_LEAST_HELD_OUT, round(HELD_OUT_SHARE * len(distinct))))
    tokens = np.memmap(folder / "tokens.bin", dtype=np.uint32, mode="r")
    return Corpus(
        tokens=tokens,
        starts=starts,
        training=np.sort(first[held:]),
        held_out=np.sort(first[:held]),
        copies=len(hashes) - len(distinct),
        fingerprint=hashlib.sha256(hashes.tobytes()).hexdigest(),
    )


def _batches(pieces: Iterable[Sequence[str]]) -> Iterator[list[str]]:
    for piece in pieces:
        texts = iter(piece)
        while batch := list(itertools.islice(texts, _TOKENISED_TEXTS)):
            yield batch


def _marked(ids: list[int], encoding: Encoding) -> TokenArray:
    """Token ids with `WORD_BEGINS` where a word begins; every token of a very long one counts as a word."""
    words = np.array([-1 if word is None else word for word in encoding.word_ids], dtype=np.int64)
    begins = np.concatenate([[True], words[1:] != words[:-1]])
    number = np.cumsum(begins) - 1
    begins |= np.bincount(number)[number] > _LONGEST_WORD
    return np.array(ids, dtype=np.uint32) | np.where(begins, WORD_BEGINS, np.uint32(0))


def _hash(text: str) -> int:
    digest = hashlib.blake2b(text.strip().encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
