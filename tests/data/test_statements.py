import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratecast.data.statements import find_statements, mask_ratings, states_rating


def stated(text: str) -> list[float]:
    return [round(statement.share, 4) for statement in find_statements(text) if statement.reading == "stated"]


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("7/10", 0.7),
        ("Great fun. 7 / 10.", 0.7),
        ("Great fun.8/10", 0.8),
        ("RATING-8/10", 0.8),
        ("I give it an 8.5/10 for the cast", 0.85),
        ("8,5/10", 0.85),
        ("8+/10", 0.8),
        ("7 1/2 out of 10", 0.75),
        ("7½/10", 0.75),
        ("8 out of 10 stars", 0.8),
        ("8 OUT OF TEN", 0.8),
        ("4 stars out of 5", 0.8),
        ("three out of five stars", 0.6),
        ("three and a half stars (out of 5)", 0.7),
        ("3 and a half out of 5", 0.7),
        ("half a star out of five", 0.1),
        ("10 out of ten", 1.0),
        ("ten/ten", 1.0),
        ("3 (out of 10)", 0.3),
        ("4 (four) out of 10", 0.4),
        ("3 stars out of a possible 10", 0.3),
        ("2 outta 5 stars", 0.4),
        ("My vote is 7 of 10.", 0.7),
        ("5 of 5 stars", 1.0),
        ("85/100", 0.85),
        ("I rate it 7 on a scale of 1 to 10.", 0.7),
        ("***1/2 out of ****", 0.875),
        ("**½ out of 4", 0.625),
        ("** from ****", 0.5),
        ("(****/*****)", 0.8),
        ("My rating: 1/2 out of ****", 0.125),
        ("1/2 * out of *****", 0.1),
        ("9 * out of 10", 0.9),
        ("rating: 3/4", 0.75),
        ("★★★★☆", 0.8),
        ("★★★½☆", 0.7),
        ("0/10, the worst", 0.0),
        ("11/10", 1.1),
    ],
)
def test_a_rating_is_read(text: str, share: float) -> None:
    assert stated(text) == [share]
    assert stated(f"A fine story of two friends.\n\n{text}\n\nSee it.") == [share]


@pytest.mark.parametrize(
    "text",
    [
        "on 9/10/2001",
        "seen 10/5/98",
        "open 24/7",
        "after 9/11",
        "1 out of 10 people like it",
        "nine out of ten times it works",
        "9/10 of the film is dull",
        "3/4 of the way through",
        "one of five friends",
        "the fourth of five westerns",
        "one out of four of them",
        "ran out of 10 dollar bills",
        "part 2 of 3",
        "it has an average rating of 6.8/10",
        "Who gave this 10/10?",
        "It is not a 10/10",
        "I would have given it 9/10",
        "4/10ths of it",
        "a 16/9 picture",
        "100%",
        "",
    ],
)
def test_what_is_no_rating_of_the_writer_is_not_read(text: str) -> None:
    assert stated(text) == []


@pytest.mark.parametrize("text", ["7 or 8 out of 10", "7-8/10", "8.5 to 9 out of 10", "a movie -3/10", "6/7 out of 10"])
def test_ranges_and_negative_numbers_are_unclear(text: str) -> None:
    assert [statement.reading for statement in find_statements(text)] == ["unclear"]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Great fun, I give it 8/10 (four stars).", "Great fun, I give it."),
        ("I gave it an 8/10, no more", "I gave it, no more"),
        ("Good (8/10).", "Good."),
        ("8/10. Nice", "Nice"),
        ("All in all, a 10/10 movie for me.", "All in all, a movie for me."),
        ("You are all winners. 10 out of 10.", "You are all winners."),
        ("first\n\n8 out of 10 stars\n\nlast", "first\n\n\n\nlast"),
        ("I rated it a 7 because it is slow", "I rated it because it is slow"),
        ("My rating: ***1/2", "My rating:"),
        ("Four stars!", ""),
        ("Grade: B+ for effort", "Grade: for effort"),
        ("★★★★ good", "good"),
        ("I met 3 people in 1999 , open 24/7 ...", "I met 3 people in 1999 , open 24/7 ..."),
        ("Star Trek is on at 7", "Star Trek is on at 7"),
        ("İ 8/10 İ", "İ İ"),
    ],
)
def test_ratings_are_masked_and_the_words_around_them_stay(text: str, masked: str) -> None:
    assert mask_ratings(text) == masked
    assert states_rating(text) == (text != masked)


def test_what_masking_joins_is_masked_too() -> None:
    assert not states_rating(mask_ratings("10 out [8/10] of 10"))
    assert "10" not in mask_ratings("10 out [8/10] of 10")


FRAGMENTS = (
    "7 8.5 10 /10 / out of ten 5 stars star * ** **** 1/2 ½ ( ) [ ] a an I give it rated rating: . , - and or to ★ ☆ B+ four"
)


@given(st.lists(st.sampled_from([*FRAGMENTS.split(" "), " ", "  ", "great", "İ"]), max_size=25))
@settings(max_examples=300, deadline=None)
def test_nothing_is_left_to_mask(parts: list[str]) -> None:
    masked = mask_ratings(" ".join(parts))
    assert not states_rating(masked)
    assert mask_ratings(masked) == masked
    assert not states_rating(mask_ratings("".join(parts)))


@pytest.mark.parametrize(
    "text",
    [
        "8/10 " * 20_000,
        "*" * 300_000,
        "(" * 300_000,
        "1" * 300_000,
        "8 " + " " * 300_000 + "/10",
        "10 out " * 20_000 + "8/10" + " of 10" * 20_000,
        "give " * 50_000,
        "star " * 20_000,
        "★" * 300_000,
    ],
)
def test_odd_texts_take_no_longer_than_others(text: str) -> None:
    begin = time.perf_counter()
    assert not states_rating(mask_ratings(text))
    assert time.perf_counter() - begin < 20, "a second or so on one core; a runaway pattern takes minutes"
