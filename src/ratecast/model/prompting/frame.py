"""A template and its words as token ids."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, Final

from tokenizers import Tokenizer

from ratecast.config import FewLabelsConfig
from ratecast.config.few import DEFAULT_PROMPT
from ratecast.errors import ConfigError
from ratecast.model.prompting.template import CLOZE, HIGH, MASK, NUMBERS, WORDS, Template
from ratecast.model.prompting.verbaliser import Verbaliser
from ratecast.scale import FloatArray, RatingScale
from ratecast.text import TextEncoder, TextSettings

LEAST_TEXT_TOKENS: Final = 8
"""Tokens that a template must leave for the review."""


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """What a frame needs to know of a backbone's tokens.

    Attributes:
        tokenizer: the tokenizer.
        mask: the token that hides a word, of an encoder; None for a decoder.
        unknown: id of the token for what is not in the vocabulary; None where there is none.
        special: how many tokens the tokenizer itself puts before and after a text.
    """

    tokenizer: Tokenizer
    mask: str | None
    unknown: int | None
    special: tuple[int, int]

    @classmethod
    def of(cls, encoder: TextEncoder, tokenizer: Any, *, has_mask: bool) -> "Vocabulary":
        """That of a transformers tokenizer and the encoder made of it.

        Raises:
            ConfigError: if a gap is wanted and there is no token for it.
        """
        if has_mask and tokenizer.mask_token is None:
            raise ConfigError("the backbone's tokenizer has no token for a gap, which a prompt needs; choose another backbone")
        settings, unknown = encoder.settings, tokenizer.unk_token_id
        return cls(
            tokenizer=encoder.tokenizer,
            mask=str(tokenizer.mask_token) if has_mask else None,
            unknown=None if unknown is None else int(unknown),
            special=(len(settings.prefix_ids), len(settings.suffix_ids)),
        )

    def ids(self, text: str) -> list[int]:
        """Token ids of a text without special tokens around it."""
        found: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return found


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Tokens around each review, where the word is told, and the words.

    Attributes:
        template: the template as it was written.
        words: the words, from the lowest rating to the highest.
        before: token ids before the review, special tokens apart.
        after: token ids after it.
        pooling: name of the pooling that takes the place where the word is told.
        word_ids: token of each word, shape ``(word,)``.
        mixture: how much of each word is in each level, shape ``(level, word)``.
    """

    template: str
    words: tuple[str, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    pooling: str
    word_ids: tuple[int, ...]
    mixture: FloatArray

    def around(self, encoder: TextEncoder) -> TextEncoder:
        """An encoder that puts the frame around each text, of which the middle is left out where the room is short.

        Raises:
            ConfigError: if the frame leaves too little room.
        """
        settings = encoder.settings
        prefix, suffix = (*settings.prefix_ids, *self.before), (*self.after, *settings.suffix_ids)
        framed = replace(settings, prefix_ids=prefix, suffix_ids=suffix)
        if settings.max_tokens < least_tokens(framed):
            raise ConfigError(
                f"the prompt takes {len(prefix) + len(suffix)} of {settings.max_tokens} tokens, which leaves too few for the "
                "review: shorten it, or raise max_tokens"
            )
        return TextEncoder(encoder.tokenizer, framed)


def least_tokens(settings: TextSettings) -> int:
    """The shortest input in which some of a review can be read between what stands around it."""
    return len(settings.prefix_ids) + len(settings.suffix_ids) + LEAST_TEXT_TOKENS


def create_frame(vocabulary: Vocabulary, config: FewLabelsConfig, scale: RatingScale) -> Frame:
    """The frame that the settings ask for.

    Raises:
        ConfigError: if the template or the verbaliser cannot be read, or a word is not a single token of the backbone.
    """
    if config.prompt is None:
        raise ValueError("no prompt is set")
    written = None if config.prompt == DEFAULT_PROMPT else config.prompt
    given = None if config.verbaliser is None else Verbaliser.parse(config.verbaliser, scale)
    if vocabulary.mask is not None:
        return _cloze(vocabulary, written or CLOZE, given or Verbaliser.default(scale), scale)
    numbers = Verbaliser.numbers(scale)
    if given is not None:
        return _continued(vocabulary, written or (NUMBERS if given == numbers else WORDS), given, scale)
    if numbers is not None and written is not None and HIGH in written:  # it asks for a number
        try:
            return _continued(vocabulary, written, numbers, scale)
        except _WordError:  # 10 is two tokens to many tokenizers
            pass
    return _continued(vocabulary, written or WORDS, Verbaliser.default(scale), scale)  # small decoders know no numbers


class _WordError(ConfigError):
    """Words that are not single tokens."""


def _cloze(vocabulary: Vocabulary, written: str, verbaliser: Verbaliser, scale: RatingScale) -> Frame:
    """An encoder's frame, with a gap."""
    template = Template.parse(written, scale, has_mask=True)
    mask = vocabulary.mask or MASK
    (gap,) = vocabulary.ids(mask)
    before, after = (vocabulary.ids(part.replace(MASK, mask)) for part in (template.before, template.after))
    if gap in before:
        pooling = f"first+{vocabulary.special[0] + before.index(gap)}"
        left = template.before.partition(MASK)[0]
    else:
        pooling = f"last-{len(after) - 1 - after.index(gap) + vocabulary.special[1]}"
        left = template.after.partition(MASK)[0]
    space = " " if left.endswith(" ") else ""
    words = [vocabulary.ids(f"{space}{word}") for word in verbaliser.words]
    return Frame(
        template=written,
        words=verbaliser.words,
        before=tuple(before),
        after=tuple(after),
        pooling=pooling,
        word_ids=_single(vocabulary, verbaliser, words),
        mixture=verbaliser.mixture(scale),
    )


def _continued(vocabulary: Vocabulary, written: str, verbaliser: Verbaliser, scale: RatingScale) -> Frame:
    """A decoder's frame, after which the word comes. What all words' tokens begin with, such as a space, belongs to it."""
    template = Template.parse(written, scale, has_mask=False)
    stem = template.after.rstrip(" ")
    space = "" if stem.endswith("\n") else " "
    whole = [vocabulary.ids(f"{stem}{space}{word}") for word in verbaliser.words]
    shared = [ids[0] for ids in takewhile(lambda ids: len(set(ids)) == 1, zip(*whole, strict=False))]
    return Frame(
        template=written,
        words=verbaliser.words,
        before=tuple(vocabulary.ids(template.before)),
        after=tuple(shared),
        pooling=f"last-{vocabulary.special[1]}",
        word_ids=_single(vocabulary, verbaliser, [ids[len(shared) :] for ids in whole]),
        mixture=verbaliser.mixture(scale),
    )


def _single(vocabulary: Vocabulary, verbaliser: Verbaliser, tokens: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """The one token of each word."""
    pairs = list(zip(verbaliser.words, tokens, strict=True))
    several = [f"{word!r} ({len(ids)} tokens)" for word, ids in pairs if len(ids) != 1]
    unknown = [repr(word) for word, ids in pairs if len(ids) == 1 and ids[0] == vocabulary.unknown]
    if several or unknown:
        found = [f"found {', '.join(several)}"] * bool(several) + [f"does not know {', '.join(unknown)}"] * bool(unknown)
        raise _WordError(
            f"every word of the verbaliser must be one token of the backbone, which {' and '.join(found)}; "
            "choose others with verbaliser"
        )
    found_ids = tuple(ids[0] for _, ids in pairs)
    alike = [repr(word) for word, token in zip(verbaliser.words, found_ids, strict=True) if found_ids.count(token) > 1]
    if alike:
        raise ConfigError(f"the words {', '.join(alike)} of the verbaliser are the same to the backbone; choose different ones")
    return found_ids
