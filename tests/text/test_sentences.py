"""Texts in pieces: nothing lost, nothing too long."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratecast.text import sentences
from ratecast.text.sentences import pieces


def fits(piece: str) -> bool:
    return len(piece) <= 12


def test_example() -> None:
    assert doctest.testmod(sentences).failed == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Good. Bad!! So-so?", ["Good.", "Bad!!", "So-so?"]),
        ("Worth 3.5 $.", ["Worth 3.5 $."]),
        ('"No." Never.', ['"No."', "Never."]),
        ("Title\n\n a text", ["Title", "a text"]),
        ("\u4e0d\u9519\uff01\u5f88\u597d\u3002", ["\u4e0d\u9519\uff01", "\u5f88\u597d\u3002"]),
        ("one two three four five", ["one two", "three", "four five"]),
        ("x" * 20, ["x" * 10, "x" * 10]),
        ("", []),
    ],
)
def test_sentences_and_halves_of_long_ones(text: str, expected: list[str]) -> None:
    found = [piece for piece, _ in pieces(text, fits) if piece.strip()]
    assert found == expected


@given(st.text(alphabet='ab .!?\n\u3002"', max_size=80))
def test_nothing_is_lost_and_everything_fits(text: str) -> None:
    found = list(pieces(text, fits))
    assert "".join(piece + space for piece, space in found) == text
    assert all(fits(piece) and not space.strip() for piece, space in found)
