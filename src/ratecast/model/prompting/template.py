"""The text around a review."""

from dataclasses import dataclass
from typing import Final

from ratecast.errors import ConfigError
from ratecast.scale import RatingScale, format_level

TEXT: Final = "{text}"
MASK: Final = "[MASK]"
"""Stands for the gap in a template, whatever the tokenizer calls it."""

HIGH: Final = "{high}"
"""Stands for the highest rating."""

CLOZE: Final = "{text} All in all, it was [MASK]."
NUMBERS: Final = "Review:\n{text}\nRating from {low} to {high}:"
WORDS: Final = "Review:\n{text}\nAll in all, it was"


@dataclass(frozen=True, kw_only=True)
class Template:
    """What stands before and after the review.

    Attributes:
        before: text before it.
        after: text after it.
    """

    before: str
    after: str

    @classmethod
    def parse(cls, written: str, scale: RatingScale, *, has_mask: bool) -> "Template":
        """Template from its written form, in which {low} and {high} are the ends of the scale, and backslash-n a new line.

        Args:
            written: such as "{text} All in all, it was [MASK]."
            scale: the rating scale.
            has_mask: whether the backbone fills a gap; else it goes on after the template.

        Raises:
            ConfigError: if it lacks the review or the gap, or has one that it must not have.
        """
        if written.count(TEXT) != 1:
            raise ConfigError(f"prompt must have {TEXT} once, in the place of the review, found {written!r}")
        if has_mask and written.count(MASK) != 1:
            raise ConfigError(
                f"prompt must have {MASK} once, where an encoder shall tell the word, found {written!r}; "
                f"such as {CLOZE!r}, which prompt=default is"
            )
        if not has_mask and MASK in written:
            raise ConfigError(
                f"prompt must have no {MASK} for a decoder, which tells the word that follows, found {written!r}; let it end "
                f"where the word shall come, such as {WORDS!r}, which prompt=default is"
            )
        filled = written.replace("\\n", "\n").replace("{low}", format_level(scale.low))
        before, after = filled.replace(HIGH, format_level(scale.high)).split(TEXT)
        return cls(before=before, after=after)
