"""Texts in pieces that a model of limited length reads one by one: sentences, and parts of those that are too long."""

import re
from collections.abc import Callable, Iterator
from typing import Final

_CLOSING: Final = "\"'”’)\\]\u300d\u300f\uff09"
_ENDING: Final = "\u3002\uff01\uff1f"
"""Chinese and Japanese full stop, exclamation and question mark, which no space follows."""

_BOUNDARY: Final = re.compile(rf"(?:[.!?…]+[{_CLOSING}]*(?=\s)|[{_ENDING}]+[{_CLOSING}]*|(?=\s*\n))(\s*)")
"""The end of a sentence or line, and the white space after it."""


def pieces(text: str, fits: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
    r"""Sentences of a text with the white space after each; one that does not fit is halved, between words where it can be.

    Args:
        text: any text; the pieces and their spaces, joined, are the same text.
        fits: whether a piece is short enough.

    Example:
        >>> list(pieces("It works. Mostly!\nThe battery is poor", lambda piece: len(piece) < 15))
        [('It works.', ' '), ('Mostly!', '\n'), ('The', ' '), ('battery', ' '), ('is poor', '')]
    """
    start = 0
    for boundary in _BOUNDARY.finditer(text):
        yield from _halves(text[start : boundary.start(1)], boundary[1], fits)
        start = boundary.end()
    if start < len(text):
        yield from _halves(text[start:], "", fits)


def _halves(text: str, space: str, fits: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
    if len(text) < 2 or fits(text):
        yield text, space
        return
    middle = len(text) // 2
    word_end = text.rfind(" ", 1, middle + 1)
    cut, between = (word_end, 1) if word_end > 0 else (middle, 0)
    yield from _halves(text[:cut], text[cut : cut + between], fits)
    yield from _halves(text[cut + between :], space, fits)
