"""From a table to checked reviews."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ratecast.config import ColumnsConfig
from ratecast.data import LoadedReviews, load_reviews
from ratecast.data.table import build_table
from ratecast.errors import DataError, ScaleError
from ratecast.scale import RatingScale

FIVE = RatingScale.parse("1..5")


def load(columns: dict[str, list[Any]], config: ColumnsConfig | None = None, **options: Any) -> LoadedReviews:
    return load_reviews(build_table(columns), config, **{"need_rating": True, **options})


def test_rows_are_dropped_with_reasons() -> None:
    loaded = load(
        {
            "text": ["it was so good", "", None, "  ", "unrated", "nan", "inf", "bad", "it was so good", "fine", "word"],
            "stars": ["5", "4", "3", "2", None, "NaN", "inf", "1", "5", "4,5", "ok"],
        }
    )
    assert loaded.report.dropped == {"no text": 3, "no rating": 1, "rating is not a number": 3, "duplicate": 1}
    assert loaded.reviews.text.tolist() == ["it was so good", "bad", "fine"]
    assert loaded.reviews.rated().tolist() == [5.0, 1.0, 4.5]
    assert loaded.rows.tolist() == [0, 7, 9]
    assert loaded.rows.dtype == np.int64
    assert loaded.reviews.id.tolist() == ["0", "7", "9"]
    assert (loaded.report.rows_read, loaded.report.rows_kept) == (11, 3)
    assert "1 rating is written with a decimal comma and read as a decimal" in loaded.report.notes


def test_ratings_off_a_given_scale_are_dropped() -> None:
    loaded = load({"text": ["a", "b", "c", "d"], "stars": [5.0, 0.0, 3.5, 5.0]}, scale=FIVE)
    assert loaded.report.dropped == {"rating off the scale": 2}
    assert loaded.scale == FIVE
    assert loaded.report.rating_counts == {"1": 0, "2": 0, "3": 0, "4": 0, "5": 2}  # one value is enough on a given scale


@pytest.mark.parametrize("written", ["1..5", "1,2,3,4,5"])
def test_the_scale_of_the_configuration(written: str) -> None:
    loaded = load({"text": ["a", "b", "c"], "stars": [5, 9, 3]}, ColumnsConfig(scale=written))
    assert loaded.scale == FIVE
    assert loaded.report.dropped == {"rating off the scale": 1}


def test_a_continuous_scale_of_the_configuration() -> None:
    ratings = [*range(101), 250, -3]
    loaded = load({"text": [f"t{i}" for i in range(103)], "score": ratings}, ColumnsConfig(scale="0..100"))
    assert loaded.scale is not None
    assert (loaded.scale.is_continuous, loaded.scale.low, loaded.scale.high) == (True, 0.0, 100.0)
    assert loaded.report.dropped == {"rating off the scale": 2}
    assert sum(loaded.report.rating_counts.values()) == 101


def test_the_scale_is_inferred() -> None:
    loaded = load({"text": ["a", "b", "c"], "stars": [1, 2, 5]})
    assert loaded.scale == FIVE
    assert loaded.report.rating_counts == {"1": 1, "2": 1, "3": 0, "4": 0, "5": 1}


def test_one_rating_value_is_refused() -> None:
    with pytest.raises(ScaleError, match="only the rating 5"):
        load({"text": ["a", "b"], "stars": [5, 5]})
    with pytest.raises(ScaleError, match="only the rating 5 in the column 'stars'"):
        load({"text": ["a", "b"], "stars": [5, 5]}, ColumnsConfig(scale="1..5"))


def test_words_are_refused_with_examples() -> None:
    with pytest.raises(
        DataError, match=r"'rating' holds words such as 'good', 'bad', 'x{40}…'; expected numbers such as 4 or 4\.5"
    ):
        load({"text": ["a", "b", "c", "d", "e"], "rating": ["good", "bad", "good", "x" * 99, "4"]})
    with pytest.raises(DataError, match="'4/5', '5 stars'"):
        load({"text": ["a", "b"], "rating": ["4/5", "5 stars"]})


def test_too_few_reviews_are_refused_with_the_reasons() -> None:
    columns: dict[str, list[Any]] = {"text": ["a", "b", "c", ""], "stars": [1, 2, 3, 4]}
    with pytest.raises(
        DataError, match=r"found 3 usable reviews in 4 rows of the table \(dropped: 1 no text\); expected at least 10"
    ):
        load(columns, minimum_rows=10)
    assert len(load(columns, minimum_rows=3).reviews) == 3
    with pytest.raises(DataError, match=r"found no usable review in 2 rows of the table \(dropped: 2 no rating\)"):
        load({"text": ["a", "b"], "stars": [None, None]}, ColumnsConfig(rating_column="stars"))
    with pytest.raises(DataError, match="2 rating off the scale"):
        load({"text": ["a", "b"], "stars": [7, 8]}, scale=FIVE)


def test_duplicates_need_the_same_user_and_item() -> None:
    columns: dict[str, list[Any]] = {
        "text": [f"it broke at once{end}" for end in ("", " ", "", "", "")],
        "stars": [1, 1, 2, 1, 1],
    }
    assert load(columns).report.dropped == {"duplicate": 3}
    loaded = load(columns | {"user": ["u", "u", "u", "v", None], "item": ["i"] * 5, "title": ["t"] * 5})
    assert loaded.rows.tolist() == [0, 2, 3, 4]
    assert len(load(columns, drop_duplicates=False).reviews) == 5


SHORT: dict[str, list[Any]] = {"text": ["good", "good ", "good", "good", "bad"], "stars": [5, 5, 5, 4, 1]}


@pytest.mark.parametrize(
    ("known", "kept"),
    [
        ({}, [0, 1, 2, 3, 4]),  # nobody knows who wrote them
        ({"user": ["u", "v", "u", "u", "u"]}, [0, 1, 3, 4]),
        ({"user": [None, None, "u", "u", "u"]}, [0, 1, 2, 3, 4]),
        ({"review_id": ["r1", "r2", "r1", "r1", "r5"]}, [0, 1, 3, 4]),
        ({"review_id": ["r1", "r2", "r3", "r4", "r5"], "user": ["u"] * 5}, [0, 1, 2, 3, 4]),
        ({"date": ["2020-01-01"] * 5}, [0, 1, 2, 3, 4]),
        ({"date": ["2020-01-01", "2020-01-02", "2020-01-01", "2020-01-01", "2020-01-01"], "user": ["u"] * 5}, [0, 1, 3, 4]),
        ({"title": ["It broke at once"] * 5}, [0, 3, 4]),  # together they are long
    ],
)
def test_short_texts_are_copies_only_where_that_is_known(known: dict[str, list[Any]], kept: list[int]) -> None:
    assert load(SHORT | known).rows.tolist() == kept


def test_long_texts_are_copies_whatever_their_id_and_time() -> None:
    crawled: dict[str, list[Any]] = {
        "text": ["It broke after a week."] * 3,
        "stars": [1, 1, 2],
        "id": [1, 2, 3],
        "date": ["2020", "2021", "2022"],
    }
    assert load(crawled).rows.tolist() == [0, 2]


def test_the_same_text_with_different_ratings_is_kept_and_counted() -> None:
    loaded = load({"text": ["a", "a", "b", "c", "c ", "d", "d "], "stars": [1, 2, 3, 4, 5, 3, 3]})
    assert loaded.report.conflicting_texts == 2
    assert len(loaded.reviews) == 7


def test_predicting_keeps_every_row() -> None:
    loaded = load(
        {"text": ["a", "", None, "a", "b", "c"], "stars": ["5", "5", None, "5", "bad", "9"]},
        need_rating=False, drop_duplicates=False, scale=FIVE,
    )  # fmt: skip
    assert loaded.reviews.text.tolist() == ["a", "", "", "a", "b", "c"]
    assert loaded.rows.tolist() == list(range(6))
    assert loaded.reviews.rating is not None
    assert np.isnan(loaded.reviews.rating).tolist() == [False, False, True, False, True, True]
    assert loaded.report.dropped == {}
    assert "1 row has no rating" in loaded.report.notes
    assert "2 ratings are no number on the scale and ignored" in loaded.report.notes


@pytest.mark.parametrize("ratings", [["good", "bad"], [None, None], [math.nan, math.nan], [math.inf, math.nan], [7, 8]])
def test_predicting_is_never_refused_for_ratings(ratings: list[Any]) -> None:
    loaded = load({"text": ["a", "b"], "stars": ratings}, need_rating=False, scale=FIVE)
    assert loaded.reviews.rating is None


def test_predicting_is_not_refused_for_a_column_from_which_no_scale_follows() -> None:
    second = np.nextafter(1.0, 2.0)
    columns: dict[str, list[Any]] = {  # floats between which there are no others, and nearly all the same
        "text": [f"t{number}" for number in range(59)],
        "score": [1.0] * 57 + [second, np.nextafter(second, 2.0)],
    }
    with pytest.raises(ScaleError, match="needs different ratings"):
        load(columns)
    assert load(columns, need_rating=False).scale is None


def test_inspecting_without_a_scale() -> None:
    assert load({"text": ["a", "b", "c"], "stars": [1, 3, 5]}, need_rating=False).scale == FIVE
    loaded = load({"text": ["a", "b"], "stars": [5, 5]}, need_rating=False)
    assert loaded.scale is None
    assert "all ratings are 5, from which no scale can be told" in loaded.report.notes
    assert load({"text": ["a", "b"]}, need_rating=False).scale is None


def test_all_columns_reach_the_reviews() -> None:
    loaded = load(
        {
            "review_id": ["r1", None, "r3"],
            "text": ["a", "b", "c"],
            "title": ["t", "", None],
            "stars": [1, 5, 3],
            "user_id": [7, None, 8],
            "item": ["i", "j", "j"],
            "category": ["x", "y", "y"],
            "date": ["2020-01-01", "soon", None],
            "votes": [1, None, 3],
            "split": ["train", "VAL", "test "],
        }
    )
    reviews = loaded.reviews
    assert reviews.id.tolist() == ["r1", "1", "r3"]
    assert reviews.title is not None
    assert reviews.title.tolist() == ["t", None, None]
    assert reviews.user is not None
    assert reviews.user.tolist() == ["7", None, "8"]
    assert reviews.time is not None
    assert reviews.time[0] == np.datetime64("2020-01-01")
    assert np.isnat(reviews.time[1:]).all()
    assert reviews.numbers["votes"][[0, 2]].tolist() == [1.0, 3.0]
    assert np.isnan(reviews.numbers["votes"][1])
    assert reviews.split is not None
    assert reviews.split.tolist() == ["train", "validation", "test"]
    assert reviews.joined() == ["t\na", "b", "c"]
    assert "1 cell of the time column 'date' could not be read as a time and counts as unknown" in loaded.report.notes


WEIGHTED: dict[str, list[Any]] = {"text": ["a", "b", "c", "", "e"], "stars": [1, 5, 3, 4, 2]}


def test_weights_come_from_the_named_column_only() -> None:
    columns = WEIGHTED | {"weight": ["2", None, "0,5", "-1", "nan"]}  # the fourth row has no text and is dropped
    loaded = load(columns, ColumnsConfig(weight_column="weight"))
    assert loaded.reviews.weight is not None
    assert loaded.reviews.weight.tolist() == [2.0, 1.0, 0.5, 1.0]
    assert loaded.report.columns.weight == "weight"
    assert "2 rows have no weight and count as 1" in loaded.report.notes
    unnamed = load(WEIGHTED | {"weight": [2.0, 1.0, 0.5, -1.0, 3.0]})
    assert unnamed.reviews.weight is None
    assert unnamed.report.columns.numbers == ("weight",)


@pytest.mark.parametrize("cell", ["-0.5", "heavy", "inf"])
def test_weights_that_cannot_be_used_are_refused(cell: str) -> None:
    columns = WEIGHTED | {"w": ["1", "1", cell, "1", "1"]}
    with pytest.raises(DataError, match=f"the weight column 'w' holds '{cell}' in row 2; expected numbers of 0 or more"):
        load(columns, ColumnsConfig(weight_column="w"))


def test_a_time_column_without_times_is_left_out_and_told() -> None:
    loaded = load({"text": ["a", "b"], "stars": [1, 5], "date": ["soon", "later"]})
    assert loaded.reviews.time is None
    assert "no cell of the time column 'date' could be read as a time; the column is not used" in loaded.report.notes


def test_every_kind_of_text_survives() -> None:
    texts = ["🎉👩‍👩‍👧 great", "שירות מצוין, אני ממליץ", "خدمة ممتازة", "电池不好", "x" * 5_000_000]
    loaded = load({"text": texts, "stars": [1, 2, 3, 4, 5]})
    assert loaded.reviews.text.tolist() == texts
    assert "1 text is longer than 100,000 characters (the longest: 5,000,000)" in loaded.report.notes
    assert set(loaded.report.languages) >= {"Hebrew", "Arabic script", "Chinese"}


def test_nan_of_pandas_means_no_rating() -> None:
    frame = pd.DataFrame({"text": ["a", "b", "c", "d"], "stars": [1.0, float("nan"), 5.0, float("inf")]})
    assert load_reviews(frame, need_rating=True).report.dropped == {"no rating": 1, "rating is not a number": 1}


def test_a_text_column_of_numbers_if_asked_for() -> None:
    assert load({"code": [1, 2], "stars": [1, 5]}, ColumnsConfig(text_column="code")).reviews.text.tolist() == ["1", "2"]


def test_notes_of_reading_come_along(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_bytes("text,stars\ntrès bon,5\nmauvais café,1,x\n".encode("cp1252"))
    report = load_reviews(tmp_path / "reviews.csv", need_rating=True).report
    assert report.source == str(tmp_path / "reviews.csv")
    assert "cp1252" in report.notes[0]
    assert "line 3 has 3 fields" in report.notes[1]


def test_what_was_odd_in_reading_is_told_with_the_error(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text('text,stars\ngood,4\n"never closed,5\n' + "fine,3\n" * 900)
    with pytest.raises(ScaleError, match=r"only the rating 4 .*; line 3 has 1 field, .*; the row on line 3 spans 901 lines"):
        load_reviews(tmp_path / "reviews.csv", need_rating=True)


def test_the_report_in_the_terminal() -> None:
    loaded = load(
        {
            "text": ["The phone is good"] * 30 + ["bad", "", "bad"],
            "rating": [i % 5 + 1 for i in range(30)] + [1, 1, 2],
            "n": [0] * 33,
        }
    )
    assert loaded.report.lines() == [
        "the table",
        "  rows       33 read, 7 kept",
        "  dropped    1 no text",
        "             25 duplicate",
        "  columns    text     text",
        "             rating   rating",
        "             numbers  n",
        "  scale      1..5",
        "  ratings    1  2   29%  ████████████████████████████████████████",
        "             2  2   29%  ████████████████████████████████████████",
        "             3  1   14%  ████████████████████",
        "             4  1   14%  ████████████████████",
        "             5  1   14%  ████████████████████",
        "  conflicts  2 texts occur with different ratings (kept)",
        "  words      4 in the median text; 90% have 1 to 4",
        "  languages  English 100%",
        "  notes      5 reviews repeat the text of another; a split keeps them on one side",
    ]


def test_the_report_as_json() -> None:
    report = load({"text": ["The phone", "bad and ugly too", "bad and ugly too"], "stars": [1, 2, 2]}).report
    stored = json.loads(json.dumps(report.to_json()))
    assert stored["columns"]["rating"] == "stars"
    assert stored["dropped"] == {"duplicate": 1}
    assert RatingScale.from_json(stored["scale"]) == report.scale
    assert set(stored) == set(report.__dataclass_fields__)


def test_texts_are_described_only_if_asked_for() -> None:
    table = build_table({"text": ["good and cheap", "the best of all"]})
    assert load_reviews(table, need_rating=False).report.languages == {"English": 1.0}
    report = load_reviews(table, need_rating=False, describe=False).report
    assert (report.languages, report.text_words, report.rows_kept) == ({}, {}, 2)


def test_words_are_counted_in_scripts_without_spaces() -> None:
    assert load({"text": ["电池不好"] * 2, "stars": [1, 2]}).report.text_words["median"] == 4
