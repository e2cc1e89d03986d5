import numpy as np
import pytest

from ratecast.data.harvest import harvest_ratings
from ratecast.errors import DataError
from ratecast.scale import RatingScale


def test_texts_that_state_one_rating_are_kept_and_the_others_counted() -> None:
    texts = [
        "Great fun. 8/10",
        "no number here",
        "4/5. A film in two words: see it (eight out of ten)",
        "7/10 at first, now 4/10",
        "I would say 7 or 8 out of 10",
        "11/10, brilliant",
        "10/10",
        "Bad. 9/10 people left, so 2/10",
        "dull, 0 out of 10",
    ]
    found = harvest_ratings(texts)
    assert found.rows.tolist() == [0, 2, 7, 8]
    assert found.ratings.tolist() == [8, 8, 2, 1]
    assert found.texts == ["Great fun.", "A film in two words: see it", "Bad. people left, so", "dull,"]
    assert found.dropped == {
        "states no rating": 1,
        "states different ratings": 1,
        "states a rating unclearly": 1,
        "states a rating outside its own scale": 1,
        "has no text besides the rating": 1,
    }
    assert len(found) + sum(found.dropped.values()) == len(texts)


@pytest.mark.parametrize(
    ("scale", "ratings"),
    [
        (RatingScale.parse("1..10"), [7, 1, 10, 7]),
        (RatingScale.parse("1..5"), [3, 1, 5, 4]),
        (RatingScale.parse("0..5/0.5"), [3.5, 0, 5, 3.5]),
        (RatingScale.parse("-1,0,1"), [0, -1, 1, 0]),
        (RatingScale.continuous(np.linspace(0, 100, 50), 0, 100), [70, 0, 100, 75]),
    ],
)
def test_statements_are_rescaled_and_snapped(scale: RatingScale, ratings: list[float]) -> None:
    texts = ["good 7/10", "bad 0 out of 5 stars", "best **** out of ****", "fine 7.5/10"]
    np.testing.assert_allclose(harvest_ratings(texts, scale=scale).ratings, ratings)


def test_ratings_that_contradict_the_polarity_are_dropped() -> None:
    texts = ["good 8/10", "bad 8/10", "bad 2/10", "good 2/10"]
    found = harvest_ratings(texts, polarity=[1, 0, 0, 1])
    assert found.rows.tolist() == [0, 2]
    assert found.dropped == {"contradicts its polarity": 2}
    with pytest.raises(DataError, match="each of the 4 texts, found 1"):
        harvest_ratings(texts, polarity=[1])


def test_nothing_gives_an_empty_harvest() -> None:
    found = harvest_ratings([])
    assert len(found) == 0
    assert found.ratings.shape == found.rows.shape == (0,)
