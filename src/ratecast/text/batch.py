"""Batches of texts of similar length, so that little compute goes to padding."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ratecast.text.tokenise import TextSettings, TokenIds, TokenisedTexts

INFERENCE_BATCH: Final = 16
"""Reviews in a batch at prediction: on two AVX2 cores 16 was faster than 8 and 32 (62 against 39 and 49 reviews a second)."""

MOST_BATCH_TOKENS: Final = 8192
"""Tokens that go through the network at once, padding counted, unless a single text has more: 16 texts of 512. What a backbone
remembers of them for the gradients is the most memory that training takes (MiniLM: about 2 GB)."""

_POOLED_BATCHES: Final = 50


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Padded token ids.

    Attributes:
        rows: row of each text in what the batch was taken from, shape ``(batch,)``.
        input_ids: shape ``(batch, token)``.
        attention_mask: 1 for a token and 0 for padding, shape ``(batch, token)``.
        windows: where texts are read in windows, a line of ``input_ids`` each: the lines of each text in order, and −1 after
            them, shape ``(text, window)``; None where each line is a text.
    """

    rows: NDArray[np.int64]
    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]
    windows: NDArray[np.int64] | None = None


def parts_that_fit(rows: NDArray[np.int64], lengths: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """A batch as it is, or divided so that no part has more tokens than may go through the network at once.

    Args:
        rows: those of the batch.
        lengths: tokens of all texts, shape ``(text,)``.
    """
    own = lengths[rows]
    if len(rows) * own.max() <= MOST_BATCH_TOKENS:
        return [rows]
    return [rows[places] for places in inference_batches(own, len(rows), MOST_BATCH_TOKENS)]


def inference_batches(
    lengths: NDArray[np.int64], batch_reviews: int = INFERENCE_BATCH, batch_tokens: int | None = MOST_BATCH_TOKENS
) -> list[NDArray[np.int64]]:
    """Rows grouped by length, longest first, so that too little memory shows at once.

    Args:
        lengths: tokens of each text, shape ``(text,)``.
        batch_reviews: most texts in a batch.
        batch_tokens: most tokens in a batch of more than one text, each counted as long as the longest; None for no limit.

    Returns:
        Row numbers of each batch; every row is in exactly one.
    """
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        fitting = batch_reviews if batch_tokens is None else max(1, batch_tokens // max(1, int(lengths[order[start]])))
        end = start + min(batch_reviews, fitting)
        batches.append(order[start:end])
        start = end
    return batches


def training_batches(lengths: NDArray[np.int64], batch_reviews: int, *, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """Random batches of texts of similar length for one pass.

    Rows are shuffled, every 50 batches' worth of them is sorted by length and cut into batches, and the batches are
    shuffled: random enough for stochastic gradients, with little padding.

    Returns:
        Row numbers of each batch; every row is in exactly one. The same seed and epoch give the same batches.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    pool = batch_reviews * _POOLED_BATCHES
    batches: list[NDArray[np.int64]] = []
    for start in range(0, len(order), pool):
        rows = order[start : start + pool]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches.extend(rows[first : first + batch_reviews] for first in range(0, len(rows), batch_reviews))
    return [batches[index] for index in rng.permutation(len(batches))]


def pad(ids: Sequence[TokenIds], rows: NDArray[np.int64], *, pad_id: int) -> Batch:
    """The texts at ``rows``, filled up on the right to the longest of them."""
    width = max(len(ids[row]) for row in rows)
    input_ids = np.full((len(rows), width), pad_id, dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for line, row in enumerate(rows):
        length = len(ids[row])
        input_ids[line, :length] = ids[row]
        mask[line, :length] = 1
    return Batch(rows=rows, input_ids=input_ids, attention_mask=mask)


def pad_texts(texts: TokenisedTexts, rows: NDArray[np.int64], settings: TextSettings) -> Batch:
    """The texts at ``rows``, each in its windows, filled up to the longest of these."""
    found = pad(texts.ids, texts.windows_of(rows), pad_id=settings.pad_id)
    return found if texts.starts is None else replace(found, rows=rows, windows=texts.layout(rows))
