from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from ratecast.errors import DataError, ShapeError
from ratecast.records import Predictions, Review, Reviews, as_label, strings
from ratecast.scale import RatingScale

STARS = RatingScale.parse("1..3")


def reviews() -> Reviews:
    return Reviews(
        text=strings(["a", "b", "c"]),
        rating=np.array([1.0, np.nan, 3.0]),
        title=strings(["T", None, ""]),
        weight=np.array([0.5, 1.0, 2.0]),
        numbers={"votes": np.array([7.0, 8.0, 9.0])},
        labels={"colour": strings(["red", None, "blue"])},
    )


def test_ids_are_row_numbers_by_default() -> None:
    assert list(reviews().id) == ["0", "1", "2"]
    assert len(Reviews.from_texts([])) == 0


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"the column 'user' has the shape \(1,\), the texts have \(2,\)"):
        Reviews(text=strings(["a", "b"]), user=strings(["u"]))
    with pytest.raises(ShapeError, match=r"numbers\.votes"):
        Reviews(text=strings(["a", "b"]), numbers={"votes": np.zeros(3)})
    with pytest.raises(ShapeError, match=r"labels\.colour"):
        Reviews(text=strings(["a", "b"]), labels={"colour": strings(["red"])})


@pytest.mark.parametrize("rows", [[2, 0], np.array([2, 0])])
def test_take_keeps_the_given_order_in_every_column(rows: Any) -> None:
    taken = reviews().take(rows)
    assert list(taken.text) == ["c", "a"]
    assert list(taken.id) == ["2", "0"]
    assert taken.rating is not None
    assert list(taken.rating) == [3.0, 1.0]
    assert taken.title is not None
    assert list(taken.title) == ["", "T"]
    assert list(taken.numbers["votes"]) == [9.0, 7.0]
    assert list(taken.labels["colour"]) == ["blue", "red"]
    assert taken.weight is not None
    assert list(taken.weight) == [2.0, 0.5]
    assert taken.user is None


def test_take_of_a_mask_and_of_nothing() -> None:
    assert list(reviews().take(np.array([False, True, True])).text) == ["b", "c"]
    assert len(reviews().take([])) == 0


def test_the_title_stands_on_a_line_before_the_text() -> None:
    assert reviews().joined() == ["T\na", "b", "c"]
    assert Reviews.from_texts(["x"]).joined() == ["x"]


def test_rated_refuses_a_missing_rating() -> None:
    assert list(reviews().take([0, 2]).rated()) == [1.0, 3.0]
    with pytest.raises(DataError, match="expected a rating for every review"):
        reviews().rated()
    with pytest.raises(DataError, match="expected a rating for every review"):
        Reviews.from_texts(["a"]).rated()


def test_from_texts_refuses_what_are_no_texts() -> None:
    with pytest.raises(DataError, match="put it into a list"):
        Reviews.from_texts("one string")
    with pytest.raises(DataError, match="text 1 is of type float"):
        Reviews.from_texts(["a", float("nan")])  # type: ignore[list-item]
    with pytest.raises(ShapeError, match="'rating'"):
        Reviews.from_texts(["a", "b"], [1.0])
    with pytest.raises(ShapeError, match="'weight'"):
        Reviews.from_texts(["a", "b"], [1.0, 2.0], [1.0])


def test_from_reviews() -> None:
    made = Reviews.from_reviews([Review(text="a", id="x", user="u"), Review(text="b", title="T")])
    assert list(made.id) == ["x", "1"]
    assert made.user is not None
    assert list(made.user) == ["u", None]
    assert made.item is None
    assert made.joined() == ["a", "T\nb"]


def test_single_reviews_make_the_same_batch_again() -> None:
    made = Reviews.from_reviews(
        [
            Review(text="a", id="x", user="u", rating=2, time=datetime(2026, 1, 5, 1, tzinfo=timezone(timedelta(hours=2)))),
            Review(text="b", title="T", item="i", category="c", columns={"votes": 3, "colour": "red"}),
            Review(text="c", rating=4.5),
        ]
    )
    assert made.rating is not None
    assert made.time is not None
    np.testing.assert_array_equal(made.rating, [2, np.nan, 4.5])
    np.testing.assert_array_equal(made.time, np.array(["2026-01-04T23:00", "NaT", "NaT"], dtype="datetime64[us]"))
    again = Reviews.from_reviews(made.single())
    for part in ("text", "id", "title", "item", "user", "category", "rating", "time"):
        np.testing.assert_array_equal(getattr(again, part), getattr(made, part))
    np.testing.assert_array_equal(again.numbers["votes"], made.numbers["votes"])
    np.testing.assert_array_equal(again.labels["colour"], made.labels["colour"])
    assert [one.text for one in Reviews.from_texts(["a"]).single()] == ["a"]
    far = Reviews(text=strings(["a"]), time=np.array(["12000-01-01"], dtype="datetime64[us]"))
    assert far.single()[0].time is None


def test_single_predictions_make_the_same_batch_again() -> None:
    full = replace(predictions(), interval=np.array([[1.0, 2.0], [2.0, 3.0]]), decided=np.array([2.0, 1.0]))
    for made in (predictions(), full):
        again = Predictions.from_predictions(made, STARS)
        assert list(again) == list(made)
        np.testing.assert_array_equal(again.probabilities, made.probabilities)


def test_further_columns_of_single_reviews_are_both_categories_and_numbers() -> None:
    made = Reviews.from_reviews(
        [Review(text="a", columns={"votes": 3, "colour": "red"}), Review(text="b", columns={"votes": "2.50", "colour": None})]
    )
    assert list(made.labels["votes"]) == ["3", "2.50"]
    assert list(made.numbers["votes"]) == [3.0, 2.5]
    assert list(made.labels["colour"]) == ["red", None]
    assert np.isnan(made.numbers["colour"]).all()
    made = Reviews.from_reviews([Review(text="a"), Review(text="b", columns={"new": True})])
    assert list(made.labels["new"]) == [None, "true"]


@pytest.mark.parametrize(
    ("value", "label"),
    [
        *[("Books", "Books"), (" x ", "x"), ("", None), (None, None), (float("nan"), None), (True, "true"), ("FALSE", "false")],
        *[(2, "2"), (2.0, "2"), ("2.00", "2"), ("-0.5", "-0.5"), ("007", "007"), ("1.0.0", "1.0.0"), (0.1, "0.1")],
    ],
)
def test_labels(value: object, label: str | None) -> None:
    assert as_label(value) == label


def predictions() -> Predictions:
    return Predictions(
        probabilities=np.array([[0.2, 0.3, 0.5], [0.6, 0.4, 0.0]]),
        scale=STARS,
        id=strings(["x", "y"]),
        warnings=((), ("the text is empty",)),
    )


def test_predictions_by_hand() -> None:
    made = predictions()
    np.testing.assert_allclose(made.rating, [0.2 + 0.6 + 1.5, 0.6 + 0.8])
    assert list(made.median) == [2.0, 1.0]  # cumulative 0.2, 0.5: the second level is where a half is reached
    assert list(made.mode) == [3.0, 1.0]


def test_predictions_are_a_sequence_of_predictions() -> None:
    first, second = predictions()
    assert first.rating == pytest.approx(2.3)
    assert first.probabilities == {1.0: 0.2, 2.0: 0.3, 3.0: 0.5}
    assert (first.id, first.interval, first.warnings) == ("x", None, ())
    assert (second.id, second.warnings) == ("y", ("the text is empty",))
    assert predictions()[-1] == second
    assert predictions()[0:1] == [first]
    assert predictions()[np.int64(1)] == second
    with pytest.raises(IndexError):
        predictions()[2]


def test_columns_of_a_discrete_scale() -> None:
    columns = predictions().columns()
    assert list(columns) == ["predicted_rating", "predicted_median", "predicted_mode", "p_1", "p_2", "p_3"]
    assert list(columns["p_3"]) == [0.5, 0.0]


def test_columns_of_intervals_stand_before_the_levels() -> None:
    found = Predictions(probabilities=np.full((2, 3), 1 / 3), scale=STARS, interval=np.array([[1.0, 2.0], [2.0, 3.0]]))
    columns = found.columns()
    assert list(columns)[2:6] == ["predicted_mode", "predicted_low", "predicted_high", "p_1"]
    assert list(columns["predicted_low"]) == [1, 2]
    assert list(columns["predicted_high"]) == [2, 3]
    with pytest.raises(ShapeError, match=r"expected intervals of shape \(1, 2\), found \(2, 2\)"):
        Predictions(probabilities=np.full((1, 3), 1 / 3), scale=STARS, interval=np.zeros((2, 2)))


def test_columns_of_half_stars_and_of_a_continuous_scale() -> None:
    halves = Predictions(probabilities=np.full((1, 3), 1 / 3), scale=RatingScale.parse("1..2/0.5"))
    assert list(halves.columns())[3:] == ["p_1", "p_1.5", "p_2"]
    scale = RatingScale(levels=(2.0, 8.0), low=0.0, high=10.0, edges=(0.0, 5.0, 10.0))
    columns = Predictions(probabilities=np.array([[0.5, 0.5]]), scale=scale).columns()
    assert list(columns)[3:] == ["q_5", "q_25", "q_50", "q_75", "q_95"]
    assert columns["q_25"][0] == pytest.approx(2.5)
    assert columns["predicted_median"][0] == pytest.approx(5.0)


def test_probabilities_of_another_scale_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected probabilities of shape \(review, 3\), found \(1, 2\)"):
        Predictions(probabilities=np.ones((1, 2)) / 2, scale=STARS)


def test_halves_of_surrogate_pairs_are_replaced() -> None:
    halves, whole = ["cut \ud83d off", "\ud83d\ude00", "\ude00"], ["cut \ufffd off", "\U0001f600", "\ufffd"]
    assert Reviews.from_texts(halves).text.tolist() == whole
    made = Reviews.from_reviews([Review(text=text, title=text) for text in halves] + [Review(text="a")])
    assert made.text.tolist() == [*whole, "a"]
    assert made.title is not None
    assert made.title.tolist() == [*whole, None]
