"""Columns, besides title and text, that a model uses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ratecast.config import ColumnsConfig
from ratecast.data import LoadedReviews, load_reviews
from ratecast.data.table import build_table
from ratecast.data.used import Kind
from ratecast.errors import ConfigError, DataError

ROWS = 60


def columns(**changed: Any) -> dict[str, list[Any]]:
    base: dict[str, list[Any]] = {
        "review_id": [f"r{i}" for i in range(ROWS)],
        "text": [f"a phone like number {i}" for i in range(ROWS)],
        "title": [f"title {i}" for i in range(ROWS)],
        "stars": [i % 5 + 1 for i in range(ROWS)],
        "user_id": [f"u{i % 7}" for i in range(ROWS)],
        "colour": [("red", "blue", None)[i % 3] for i in range(ROWS)],
        "helpful": [i * 3 for i in range(ROWS)],
    }
    return base | changed


def load(use: str | None, used: dict[str, Kind] | None = None, **changed: Any) -> LoadedReviews:
    return load_reviews(build_table(columns(**changed)), ColumnsConfig(use=use), need_rating=True, used=used)


def test_roles_categories_and_numbers_reach_the_reviews() -> None:
    loaded = load(" user_id,helpful , colour,user")
    assert loaded.used == ("user", "helpful", "colour")
    assert loaded.report.uses == {"user_id": "7 values", "helpful": "number", "colour": "2 values"}
    assert "  uses       user_id (7 values), helpful (number), colour (2 values)" in loaded.report.lines()
    assert list(loaded.reviews.labels) == ["colour"]
    assert loaded.reviews.labels["colour"].tolist()[:4] == ["red", "blue", None, "red"]
    assert loaded.reviews.numbers["helpful"].tolist() == [3.0 * i for i in range(ROWS)]
    assert load(None).used == ()
    assert not load(None).report.uses


def test_labels_are_those_of_the_kept_rows() -> None:
    loaded = load("colour", stars=[None, *columns()["stars"][1:]])
    assert loaded.reviews.labels["colour"].tolist()[:3] == ["blue", None, "red"]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([i / 7 for i in range(ROWS)], "number"),
        ([f"{i},5" for i in range(ROWS)], "number"),
        ([*range(ROWS - 2), "unknown", None], "number"),
        ([*range(ROWS - 4), *["unknown"] * 4], "label"),  # more than one in twenty is no number
        ([i % 20 for i in range(ROWS)], "label"),
        ([i % 21 for i in range(ROWS)], "number"),
        ([i % 2 == 0 for i in range(ROWS)], "label"),
        ([f"B{i}" for i in range(ROWS)], "label"),
        ([f"2021-{i % 12 + 1:02}-{i % 28 + 1:02}" for i in range(ROWS)], "number"),
    ],
)
def test_many_different_numbers_are_numbers_and_all_else_is_categories(cells: list[Any], kind: str) -> None:
    reviews = load("extra", extra=cells).reviews
    assert ("extra" in reviews.labels) == (kind == "label")
    if kind == "number":
        assert len(reviews.numbers["extra"]) == ROWS


def test_numbers_that_name_something_are_categories() -> None:
    assert "store_id" in load("store_id", store_id=list(range(ROWS))).reviews.labels


def test_times_become_days_since_1970() -> None:
    cells = [f"1970-{i % 12 + 1:02}-{i % 28 + 1:02}" for i in range(ROWS - 1)] + [None]
    numbers = load("date", date=cells).reviews.numbers["date"]
    assert numbers[:2].tolist() == [0.0, 32.0]
    assert np.isnan(numbers[-1])


def test_equal_categories_are_equal_however_they_are_stored() -> None:
    kinds: dict[str, Kind] = {"extra": "label"}
    stored: list[list[Any]] = [[1, 0, None] * 20, [1.0, 0.0, None] * 20, [" 1", "0.0", "n/a"] * 20]
    for cells in stored:
        assert load(None, kinds, extra=cells).reviews.labels["extra"].tolist()[:3] == ["1", "0", None]
    flags: list[list[Any]] = [[True, False] * 30, ["TRUE", "False"] * 30]
    for cells in flags:
        assert load(None, kinds, extra=cells).reviews.labels["extra"].tolist()[:2] == ["true", "false"]


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        ("stars", ConfigError, "cannot use 'stars': it is the column of the rating; .*'user_id', 'colour', 'helpful'$"),
        ("colour,text", ConfigError, "'text': it is the column of the text"),
        ("title", ConfigError, "'title': it is read before the text already"),
        ("review_id", ConfigError, "'review_id': it is the column of the id"),
        ("split", ConfigError, "'split': it is the column of the split"),
        ("color", DataError, "there is no column 'color' to use; did you mean 'colour'"),
        ("price", DataError, "'price' to use; the table has 'user_id', 'colour', 'helpful'"),
        ("item", DataError, "'item' to use, nor one for that role: name it with --item-column"),
        (" , ", ConfigError, "names no column, found ' , '; the table's other columns: 'user_id'"),
    ],
)
def test_what_cannot_be_used_is_told_with_what_there_is(use: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load(use, split=["train"] * ROWS)


def test_a_table_that_lacks_what_a_model_uses_is_read_all_the_same() -> None:
    kinds: dict[str, Kind] = {"user": "label", "helpful": "number", "place": "label", "price": "number", "item": "label"}
    loaded = load(None, kinds)
    assert loaded.used == ("user", "helpful")
    note = "the model also uses 'place', 'price' and 'item', which the table lacks: they count as missing"
    assert loaded.lacking == note
    assert note in loaded.report.notes
    assert load(None, {"user": "label"}).lacking is None


def test_columns_that_a_model_was_fitted_on_are_found_by_their_names() -> None:
    known = {"text": "body2", "user": "uid", "item": "absent", "rating": "points"}
    frame = build_table({"text": ["short", "note"], "body2": ["a phone", "a room"], "uid": ["u", "v"], "stars": [1, 5]})
    loaded = load_reviews(frame, need_rating=False, used={"user": "label", "item": "label"}, known=known)
    assert loaded.reviews.text.tolist() == ["a phone", "a room"]
    assert loaded.reviews.user is not None
    assert loaded.reviews.user.tolist() == ["u", "v"]
    assert (loaded.report.columns.rating, loaded.report.columns.item) == ("stars", None)
    given = load_reviews(frame, ColumnsConfig(title_column="body2"), need_rating=False, known=known)
    assert (given.report.columns.text, given.report.columns.title) == ("text", "body2")


def test_what_a_column_holds_is_not_judged_anew_for_a_fitted_model() -> None:
    kinds: dict[str, Kind] = {"helpful": "label", "colour": "number"}
    reviews = load(None, kinds).reviews
    assert reviews.labels["helpful"].tolist()[:2] == ["0", "3"]
    assert np.isnan(reviews.numbers["colour"]).all()


def test_inspect_shows_what_fitting_would_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ratecast.cli import run

    path = tmp_path / "reviews.csv"
    path.write_text("review,stars,shop\n" + "".join(f"a phone {n},{n % 5 + 1},s{n % 3}\n" for n in range(50)), encoding="utf-8")
    assert run(["inspect", str(path), "--use", "shop"]) == 0
    assert "uses       shop (3 values)" in capsys.readouterr().out
    assert run(["inspect", str(path), "--use", "stars"]) == 2
    assert "cannot use 'stars'" in capsys.readouterr().err
