"""Words that stand for ratings."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ratecast.errors import ConfigError
from ratecast.scale import FloatArray, RatingScale, format_level

DEFAULT_WORDS: Final = ("terrible", "bad", "okay", "good", "great")
"""Those of Gao et al. 2021, table 1, for five levels."""


@dataclass(frozen=True, kw_only=True)
class Verbaliser:
    """Words and the ratings that they stand for.

    Attributes:
        words: at least two, from the lowest rating to the highest.
        ratings: the rating of each, in units of the scale.
    """

    words: tuple[str, ...]
    ratings: tuple[float, ...]

    @classmethod
    def parse(cls, written: str, scale: RatingScale) -> "Verbaliser":
        """Words for all levels, ``terrible,bad,okay,good,great``, or for some ratings, ``1=terrible,10=great``.

        Raises:
            ConfigError: if a word is missing or given twice, a rating is not on the scale, or there are neither ratings nor as
                many words as levels.
        """
        parts = [part.strip() for part in written.split(",")]
        if any("=" in part for part in parts):
            found = cls._placed(parts, written, scale)
        elif scale.is_continuous or len(parts) != len(scale):
            raise ConfigError(
                f"verbaliser has {len(parts)} words, and the scale {scale.describe()} {len(scale)} levels: give a word for "
                f"each level, or say which ratings words stand for, such as {_example(scale)}; levels between them are mixed"
            )
        else:
            found = cls(words=tuple(parts), ratings=scale.levels)
        if not all(found.words) or len(set(found.words)) < max(2, len(found.words)):
            raise ConfigError(f"verbaliser must have at least two words, all different, found {written!r}")
        return found

    @classmethod
    def default(cls, scale: RatingScale) -> "Verbaliser":
        """Five words, evenly spread over the scale; of two levels, the first and the last."""
        ratings = np.linspace(scale.levels[0], scale.levels[-1], len(DEFAULT_WORDS))
        if len(scale) == 2:
            return cls(words=(DEFAULT_WORDS[0], DEFAULT_WORDS[-1]), ratings=scale.levels)
        return cls(words=DEFAULT_WORDS, ratings=tuple(float(rating) for rating in ratings))

    @classmethod
    def numbers(cls, scale: RatingScale) -> "Verbaliser | None":
        """The levels' own numbers; None if they are not whole."""
        if scale.is_continuous or any(level != round(level) or level < 0 for level in scale.levels):
            return None
        return cls(words=scale.labels, ratings=scale.levels)

    def mixture(self, scale: RatingScale) -> FloatArray:
        """How much of each word is in each level, shape ``(level, word)``, each row summing to one.

        A level between two words' ratings has a logit between theirs; one beyond all words that of the nearest.
        """
        columns = [np.interp(scale.levels, self.ratings, row) for row in np.eye(len(self.words))]
        return np.stack(columns, axis=1)

    @classmethod
    def _placed(cls, parts: list[str], written: str, scale: RatingScale) -> "Verbaliser":
        pairs = []
        for part in parts:
            rating, _, word = part.partition("=")
            try:
                value = float(rating)
            except ValueError:
                raise ConfigError(
                    f"cannot read {part!r} in the verbaliser {written!r}; write a rating before each word, such as "
                    f"{_example(scale)}"
                ) from None
            if not scale.low <= value <= scale.high:
                raise ConfigError(f"the verbaliser names the rating {value:g}, which is not on the scale {scale.describe()}")
            pairs.append((value, word.strip()))
        pairs.sort()
        if len({value for value, _ in pairs}) < len(pairs):
            raise ConfigError(f"the verbaliser {written!r} has two words for one rating; give one for each")
        return cls(words=tuple(word for _, word in pairs), ratings=tuple(value for value, _ in pairs))


def _example(scale: RatingScale) -> str:
    return f"{format_level(scale.low)}={DEFAULT_WORDS[0]},{format_level(scale.high)}={DEFAULT_WORDS[-1]}"
