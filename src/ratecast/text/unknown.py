"""How much of a text a tokenizer has no tokens for."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ratecast.data.language import language_shares

MUCH_OF_ALL: Final = 0.05
"""Share of the tokens of many reviews that may be unknown before it is worth a word."""
MUCH_OF_ONE: Final = 0.25
"""The same for a single review, in which a few odd characters are no sign of another language."""

_UNIGRAM_NAMES: Final = ("<unk>", "[UNK]")
_SAMPLE_TEXTS: Final = 2_000
_READ_CHARACTERS: Final = 1_000


def unknown_id(tokenizer: Tokenizer) -> int | None:
    """The token for what a tokenizer does not know; None if it has none, as where all is made of bytes."""
    model = tokenizer.model
    names = (model.unk_token,) if hasattr(model, "unk_token") else _UNIGRAM_NAMES  # a Unigram model does not tell
    return next((number for name in names if name and (number := tokenizer.token_to_id(name)) is not None), None)


def unknown_fractions(tokenizer: Tokenizer, texts: Sequence[str]) -> NDArray[np.float64]:
    """Share of the tokens of the beginning of each text that are unknown, shape ``(text,)``; 0 for an empty text."""
    unknown, tokens = _count(tokenizer, texts)
    fractions: NDArray[np.float64] = unknown / np.maximum(tokens, 1)
    return fractions


def unknown_warning(tokenizer: Tokenizer, texts: Sequence[str], backbone: str) -> str | None:
    """What to know where a backbone lacks many of the words of some reviews, judged on a sample of them; None elsewhere."""
    sample = list(texts[:: max(1, len(texts) // _SAMPLE_TEXTS)])
    unknown, tokens = (float(counts.sum()) for counts in _count(tokenizer, sample))
    return fraction_warning(unknown / max(tokens, 1.0), sample, backbone)


def fraction_warning(fraction: float, texts: Sequence[str], backbone: str) -> str | None:
    """The same where the share of unknown tokens is known already; the texts, if any, tell the language."""
    if fraction <= MUCH_OF_ALL:
        return None
    language, share = next(iter(language_shares(texts).items()), ("", 0.0))
    written = f", which are mostly {language}," if share > 0.5 else ""
    return (
        f"{fraction:.0%} of the tokens of these reviews{written} are unknown to the backbone {backbone!r}: it cannot read much "
        "of them. Give a backbone that was trained on their language, or a multilingual one, with --backbone"
    )


def _count(tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Unknown tokens and all tokens of the beginning of each text, shape ``(text,)`` both."""
    number = unknown_id(tokenizer)
    if number is None:
        return np.zeros(len(texts), dtype=np.int64), np.ones(len(texts), dtype=np.int64)
    encodings = tokenizer.encode_batch_fast([text[:_READ_CHARACTERS] for text in texts], add_special_tokens=False)
    unknown = np.array([found.ids.count(number) for found in encodings], dtype=np.int64)
    return unknown, np.array([len(found.ids) for found in encodings], dtype=np.int64)
