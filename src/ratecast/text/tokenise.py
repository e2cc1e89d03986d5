"""Texts to token ids, keeping the beginning and the end of what is too long."""

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
        max_tokens: longest input, special tokens included.
        head_fraction: share of the kept tokens that is taken from the beginning of a longer text.
        prefix_ids: special tokens before the text.
        suffix_ids: special tokens after the text.
        pad_id: token that fills shorter texts of a batch.
        pad_left: whether texts are filled up on the left.
    """

    max_tokens: int
    head_fraction: float
    prefix_ids: tuple[int, ...]
    suffix_ids: tuple[int, ...]
    pad_id: int
    pad_left: bool = False

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "TextSettings":
        """Settings from what ``dataclasses.asdict`` gave and JSON stored."""
        return cls(**{**value, "prefix_ids": tuple(value["prefix_ids"]), "suffix_ids": tuple(value["suffix_ids"])})


@dataclass(frozen=True, kw_only=True)
class TokenisedTexts:
    """Token ids of a batch of texts, each with its special tokens.

    Attributes:
        ids: one array of token ids for each text.
        shortened: whether the middle of each text was left out, shape ``(text,)``.
    """

    ids: Sequence[TokenIds]
    shortened: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of tokens of each text, shape ``(text,)``."""
        return np.array([len(ids) for ids in self.ids], dtype=np.int64)

    def take(self, rows: NDArray[np.int64]) -> "TokenisedTexts":
        """The texts at the given rows."""
        return TokenisedTexts(ids=[self.ids[row] for row in rows], shortened=self.shortened[rows])


class TextEncoder:
    """Turns texts into token ids with a tokenizer from the ``tokenizers`` library."""

    def __init__(self, tokenizer: Tokenizer, settings: TextSettings) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.tokenizer = tokenizer
        self.settings = settings
        self._room = settings.max_tokens - len(settings.prefix_ids) - len(settings.suffix_ids)
        self._head = min(self._room, max(1, round(self._room * settings.head_fraction)))

    @classmethod
    def create(
        cls,
        tokenizer: Tokenizer,
        *,
        max_tokens: int,
        head_fraction: float,
        pad_id: int,
        pad_left: bool = False,
        end_id: int | None = None,
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
            pad_left=pad_left,
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
        """The same encoder with another longest input."""
        return TextEncoder(self.tokenizer, replace(self.settings, max_tokens=max_tokens))

    def save(self, path: Path) -> None:
        """Write the ``tokenizer.json`` that `load` reads."""
        self.tokenizer.save(str(path), pretty=False)

    def encode(self, texts: Sequence[str]) -> TokenisedTexts:
        """Token ids of each text; of a text with too many tokens the beginning and the end are kept."""
        limit = self.settings.max_tokens * _CHARACTERS_PER_TOKEN
        cut = [len(text) > 2 * limit for text in texts]
        within = [f"{text[:limit]} {text[-limit:]}" if is_cut else text for text, is_cut in zip(texts, cut, strict=True)]
        encodings = self.tokenizer.encode_batch_fast(within, add_special_tokens=False)
        shortened = np.array(
            [is_cut or len(found) > self._room for is_cut, found in zip(cut, encodings, strict=True)], dtype=bool
        )
        return TokenisedTexts(ids=[self._framed(found.ids) for found in encodings], shortened=shortened)

    def _framed(self, ids: list[int]) -> TokenIds:
        if len(ids) > self._room:
            tail = self._room - self._head
            ids = ids[: self._head] + ids[len(ids) - tail :]
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
