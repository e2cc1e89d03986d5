"""What a batch is made of: blocks that are packed full with reviews, or single reviews."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ratecast.pretraining.corpus import WORD_BEGINS, Corpus, Rows, TokenArray
from ratecast.text import TextSettings, inference_batches, pad, training_batches

IntMatrix = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Token ids of some examples.

    Attributes:
        input_ids: shape ``(example, token)``.
        attention_mask: 0 for padding, same shape.
        words: number of the word that each token belongs to, counted through the batch, same shape.
    """

    input_ids: IntMatrix
    attention_mask: IntMatrix
    words: IntMatrix


class Examples(Protocol):
    """Examples in the order of one pass over them, in batches."""

    def __len__(self) -> int:
        """Number of batches of a pass."""

    @property
    def tokens(self) -> int:
        """Tokens that a pass reads, without padding."""

    def in_pass(self, seed: int, epoch: int) -> Self:
        """The examples in the random order of one pass; the same numbers give the same order."""

    def batch(self, number: int) -> Batch:
        """One of the batches."""


class Blocks:
    """Reviews one after the other, cut into blocks of equal length, so that no compute goes to padding.

    The tokenizer's separators follow each review, and each block is framed like a text (much as FULL-SENTENCES of Liu et al.
    2019, "RoBERTa", section 4.2). No token is lost: the last block begins early enough to be full.

    Args:
        corpus: the reviews' tokens.
        rows: which of them, in the order of this pass.
        settings: the longest input, and what stands before and after a text.
        separators: what stands between two reviews.
        batch_tokens: tokens in a batch.
        order: the order of the blocks; that of the reviews by default.
    """

    def __init__(
        self,
        corpus: Corpus,
        rows: Rows,
        settings: TextSettings,
        *,
        separators: Sequence[int],
        batch_tokens: int,
        order: Rows | None = None,
    ) -> None:
        self._corpus, self._rows, self._settings = corpus, rows, settings
        self._separators = np.array(separators, dtype=np.uint32) | WORD_BEGINS
        self._prefix, self._suffix = (
            np.array(ids, dtype=np.uint32) | WORD_BEGINS for ids in (settings.prefix_ids, settings.suffix_ids)
        )
        self._ends = np.cumsum(corpus.lengths(rows) + len(separators))
        self._room = min(settings.max_tokens - len(self._prefix) - len(self._suffix), int(self._ends[-1]))
        self._batch_tokens = batch_tokens
        self._batch_blocks = max(1, batch_tokens // settings.max_tokens)
        self._order: Rows = np.arange(math.ceil(int(self._ends[-1]) / self._room)) if order is None else order

    def __len__(self) -> int:
        return math.ceil(len(self._order) / self._batch_blocks)

    @property
    def tokens(self) -> int:
        """Those of all blocks, with what stands between the reviews and around the blocks."""
        return len(self._order) * (len(self._prefix) + self._room + len(self._suffix))

    def in_pass(self, seed: int, epoch: int) -> "Blocks":
        """Reviews are shuffled, packed anew, and the blocks shuffled, so that neighbours differ in each pass."""
        rng = np.random.default_rng([seed, epoch])
        rows, order = self._rows[rng.permutation(len(self._rows))], rng.permutation(len(self._order))
        return Blocks(
            self._corpus,
            rows,
            self._settings,
            separators=(self._separators ^ WORD_BEGINS).tolist(),
            batch_tokens=self._batch_tokens,
            order=order,
        )

    def batch(self, number: int) -> Batch:
        """The blocks of one batch, all of the same length."""
        chosen = self._order[number * self._batch_blocks : (number + 1) * self._batch_blocks]
        marked = np.stack([np.concatenate([self._prefix, self._block(int(block)), self._suffix]) for block in chosen])
        begins = marked >= WORD_BEGINS
        begins[:, 0] = True  # the rest of a word that was cut is a word of this block
        return Batch(
            input_ids=(marked & ~WORD_BEGINS).astype(np.int64),
            attention_mask=np.ones(marked.shape, dtype=np.int64),
            words=np.cumsum(begins).reshape(marked.shape) - 1,
        )

    def _block(self, block: int) -> TokenArray:
        first = min(block * self._room, int(self._ends[-1]) - self._room)
        place = int(np.searchsorted(self._ends, first, side="right"))
        skipped = first - (int(self._ends[place - 1]) if place else 0)
        parts: list[TokenArray] = []
        found = -skipped
        while found < self._room:
            parts += [self._corpus.review(int(self._rows[place])), self._separators]
            found += len(parts[-2]) + len(parts[-1])
            place += 1
        return np.concatenate(parts)[skipped : skipped + self._room]


class SingleReviews:
    """Reviews by themselves, in batches of similar length; of a longer one the beginning and the end are kept.

    Args:
        corpus: the reviews' tokens.
        rows: which of them.
        settings: the longest input, and what stands before and after a text.
        batch_tokens: tokens in a batch of reviews of middling length.
        batches: rows of each batch, as places in ``rows``; by length by default.
    """

    def __init__(
        self, corpus: Corpus, rows: Rows, settings: TextSettings, *, batch_tokens: int, batches: list[Rows] | None = None
    ) -> None:
        self._corpus, self._rows, self._settings, self._batch_tokens = corpus, rows, settings, batch_tokens
        self._frame = len(settings.prefix_ids) + len(settings.suffix_ids)
        self._lengths = np.minimum(corpus.lengths(rows) + self._frame, settings.max_tokens)
        self._batch_reviews = max(2, round(batch_tokens / float(self._lengths.mean())))
        ordered = inference_batches(self._lengths, self._batch_reviews, batch_tokens=None)  # what is contrasted stays together
        self._batches = ordered if batches is None else batches

    def __len__(self) -> int:
        return len(self._batches)

    @property
    def tokens(self) -> int:
        """Those of all reviews, each cut to the longest input."""
        return int(self._lengths.sum())

    def in_pass(self, seed: int, epoch: int) -> "SingleReviews":
        """Random batches of similar length."""
        batches = training_batches(self._lengths, self._batch_reviews, seed=seed, epoch=epoch)
        return SingleReviews(self._corpus, self._rows, self._settings, batch_tokens=self._batch_tokens, batches=batches)

    def batch(self, number: int) -> Batch:
        """The reviews of one batch, filled up to the longest."""
        rows = self._rows[self._batches[number]]
        texts = [self._framed(self._corpus.review(int(row)) & ~WORD_BEGINS) for row in rows]
        padded = pad(texts, np.arange(len(texts)), pad_id=self._settings.pad_id)
        return Batch(input_ids=padded.input_ids, attention_mask=padded.attention_mask, words=np.zeros_like(padded.input_ids))

    def _framed(self, ids: TokenArray) -> NDArray[np.int32]:
        room = self._settings.max_tokens - self._frame
        if len(ids) > room:
            head = max(1, round(room * self._settings.head_fraction))
            ids = np.concatenate([ids[:head], ids[len(ids) - (room - head) :]])
        return np.concatenate([self._settings.prefix_ids, ids, self._settings.suffix_ids]).astype(np.int32)
