"""Which column holds what."""

from typing import Any

import pytest
from arro3.core import Table

from ratecast.config import ColumnsConfig
from ratecast.data.columns import Columns, find_columns
from ratecast.data.table import build_table
from ratecast.errors import DataError

KINDS: dict[str, list[Any]] = {
    "text": [f"a longer text about thing number {i}, quite good" for i in range(40)],
    "short": [f"thing {i}" for i in range(40)],
    "stars": [i % 5 + 1 for i in range(40)],
    "commas": [f"{i % 5 + 1},5" for i in range(40)],
    "code": [f"B{i:05}" for i in range(40)],
    "many": [i * 37 for i in range(40)],
    "float": [i / 7 for i in range(40)],
    "words": [("good", "bad")[i % 2] for i in range(40)],
    "link": [f"https://example.org/picture/of/the/thing/{i}" for i in range(40)],
    "date": [f"2021-01-{i % 28 + 1:02}" for i in range(40)],
    "blank": [None] * 40,
    "flag": [i % 2 == 0 for i in range(40)],
}


def table(**columns: str) -> Table:
    return build_table({name.replace("__", " "): KINDS[kind] for name, kind in columns.items()})


def named(columns: dict[str, str]) -> Table:
    return build_table({name: KINDS[kind] for name, kind in columns.items()})


AMAZON_2015 = {
    "marketplace": "code", "customer_id": "many", "review_id": "code", "product_id": "code", "product_parent": "many",
    "product_title": "text", "product_category": "words", "star_rating": "stars", "helpful_votes": "stars",
    "total_votes": "stars", "vine": "words", "verified_purchase": "words", "review_headline": "short",
    "review_body": "text", "review_date": "date",
}  # fmt: skip
AMAZON_2018 = {
    "overall": "stars", "verified": "flag", "reviewTime": "date", "reviewerID": "code", "asin": "code", "style": "short",
    "reviewerName": "short", "reviewText": "text", "summary": "short", "unixReviewTime": "many", "vote": "stars",
    "image": "link",
}  # fmt: skip
AMAZON_2023 = {
    "rating": "stars", "title": "short", "text": "text", "images": "link", "asin": "code", "parent_asin": "code",
    "user_id": "code", "timestamp": "many", "helpful_vote": "stars", "verified_purchase": "flag",
}  # fmt: skip
YELP = {
    "review_id": "code", "user_id": "code", "business_id": "code", "stars": "stars", "useful": "stars", "funny": "stars",
    "cool": "stars", "text": "text", "date": "date",
}  # fmt: skip
GOOGLE_PLAY = {
    "reviewId": "code", "userName": "short", "userImage": "link", "content": "text", "score": "stars", "thumbsUpCount": "stars",
    "reviewCreatedVersion": "code", "at": "date", "replyContent": "text", "repliedAt": "date", "appVersion": "code",
}  # fmt: skip
HOTELS = {
    "name": "short", "reviews.date": "date", "reviews.rating": "stars", "reviews.text": "text", "reviews.title": "short",
    "reviews.username": "short", "categories": "short", "latitude": "float",
}  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            AMAZON_2015,
            Columns(
                text="review_body", rating="star_rating", title="review_headline", id="review_id", user="customer_id",
                item="product_id", category="product_category", time="review_date",
                numbers=("product_parent", "helpful_votes", "total_votes"),
            ),
        ),
        (
            AMAZON_2018,
            Columns(
                text="reviewText", rating="overall", title="summary", user="reviewerID", item="asin", time="unixReviewTime",
                numbers=("verified", "vote"),
            ),
        ),
        (
            AMAZON_2023,
            Columns(
                text="text", rating="rating", title="title", user="user_id", item="asin", time="timestamp",
                numbers=("helpful_vote", "verified_purchase"),
            ),
        ),
        (
            YELP,
            Columns(
                text="text", rating="stars", id="review_id", user="user_id", item="business_id", time="date",
                numbers=("useful", "funny", "cool"),
            ),
        ),
        (
            GOOGLE_PLAY,
            Columns(text="content", rating="score", id="reviewId", user="userName", time="at", numbers=("thumbsUpCount",)),
        ),
        (
            HOTELS,
            Columns(
                text="reviews.text", rating="reviews.rating", title="reviews.title", user="reviews.username",
                category="categories", time="reviews.date", numbers=("latitude",),
            ),
        ),
    ],
)  # fmt: skip
def test_usual_exports(columns: dict[str, str], expected: Columns) -> None:
    assert find_columns(named(columns), need_rating=True) == expected


@pytest.mark.parametrize(
    "columns",
    [
        {"Bewertungstext": "text", "Sterne": "stars", "Titel": "short", "Nutzer": "code", "Datum": "date"},
        {"Kommentar": "text", "Bewertung": "commas", "Überschrift": "short", "Kunde": "code", "Datum": "date"},
        {"Bewertung": "text", "Sterne": "stars", "Titel": "short", "Kunde": "code", "Datum": "date"},
        {"commentaire": "text", "note": "stars", "titre": "short", "utilisateur": "code", "date": "date"},
        {"Avis": "text", "Étoiles": "stars", "Titre": "short", "Auteur": "code", "Date": "date"},
        {"reseña": "text", "puntuación": "stars", "título": "short", "usuario": "code", "fecha": "date"},
        {"评论内容": "text", "评分": "stars", "标题": "short", "用户": "code", "时间": "date"},
        {"Review Text": "text", "Rating": "stars", "Title": "short", "User": "code", "Date": "date"},
    ],
)
def test_languages(columns: dict[str, str]) -> None:
    found = find_columns(named(columns), need_rating=True)
    assert [found.text, found.rating, found.title, found.user, found.time] == list(columns)


def test_exact_names_before_partial_ones() -> None:
    found = find_columns(
        table(rating_of_service="stars", rating="stars", long_review_of_it="text", text="short"), need_rating=True
    )
    assert (found.text, found.rating) == ("text", "rating")


def test_partial_names() -> None:
    found = find_columns(table(full_review_text_en="text", user_star_rating="stars", average_rating="stars"), need_rating=True)
    assert (found.text, found.rating) == ("full_review_text_en", "user_star_rating")


def test_the_longest_of_several_texts() -> None:
    assert find_columns(table(comment="short", review="text", stars="stars"), need_rating=True).text == "review"


def test_by_content() -> None:
    found = find_columns(table(a="short", b="text", c="link", d="stars", e="many", f="float", g="code"), need_rating=True)
    assert found == Columns(text="b", rating="d", numbers=("e", "f"))


def test_a_predicted_rating_is_not_taken_for_the_rating() -> None:
    columns = find_columns(table(text="text", predicted_rating="float"), need_rating=False)
    assert columns == Columns(text="text")


@pytest.mark.parametrize("names", [("stars", "rating"), ("Rating", "rating"), ("food_rating", "service_rating"), ("a", "b")])
def test_two_rating_columns_are_refused(names: tuple[str, str]) -> None:
    both = table(text="text", **dict.fromkeys(names, "stars"))
    with pytest.raises(DataError, match=f"'{names[0]}' and '{names[1]}' could each be the rating; choose with --rating-column"):
        find_columns(both, need_rating=True)
    assert find_columns(both, need_rating=False).rating is None
    assert find_columns(both, ColumnsConfig(rating_column=names[1]), need_rating=True).rating == names[1]


def test_of_two_rating_columns_the_one_with_numbers() -> None:
    assert find_columns(table(text="text", rating="words", stars="stars"), need_rating=True).rating == "stars"


def test_a_rating_column_of_words_is_found_so_that_it_can_be_refused() -> None:
    assert find_columns(table(text="text", rating="words", many="stars"), need_rating=True).rating == "rating"


def test_labels_count_as_ratings() -> None:
    assert find_columns(table(text="text", label="flag", n="stars"), need_rating=True).rating == "label"
    assert find_columns(table(text="text", label="stars", score="stars"), need_rating=True).rating == "score"


def test_no_rating_column() -> None:
    with pytest.raises(DataError, match=r"found no rating column among 'text', 'user'; name it with --rating-column"):
        find_columns(table(text="text", user="code"), need_rating=True)
    assert find_columns(table(text="text", a="stars"), need_rating=False).rating is None


def test_no_text_column() -> None:
    with pytest.raises(
        DataError, match=r"found no column with texts among 'stars', 'user', 'image'; name it with --text-column"
    ):
        find_columns(table(stars="stars", user="code", image="link"), need_rating=True)


def test_a_numeric_column_is_no_text_whatever_its_name() -> None:
    with pytest.raises(DataError, match="found no column with texts"):
        find_columns(table(text="many", stars="stars"), need_rating=True)


def test_given_columns_are_taken() -> None:
    config = ColumnsConfig(text_column="b", rating_column="f", user_column="d", category_column="a")
    found = find_columns(table(a="short", b="text", text="text", rating="stars", d="code", f="many"), config, need_rating=True)
    assert (found.text, found.rating, found.user, found.category) == ("b", "f", "d", "a")


def test_a_given_column_is_not_given_to_another() -> None:
    found = find_columns(table(text="text", title="short", stars="stars"), ColumnsConfig(item_column="title"), need_rating=True)
    assert (found.item, found.title) == ("title", None)


@pytest.mark.parametrize(("name", "hint"), [("star", "did you mean 'stars'"), ("zzz", "the table has 'text', 'stars'")])
def test_an_unknown_given_column(name: str, hint: str) -> None:
    with pytest.raises(DataError, match=f"there is no column '{name}' for the rating; {hint}"):
        find_columns(table(text="text", stars="stars"), ColumnsConfig(rating_column=name), need_rating=True)


def test_ratings_that_begin_late_are_still_found() -> None:
    late = build_table({"text": KINDS["text"] * 500, "stars": [None] * 18_000 + ["4,5"] * 2000, "rating": [None] * 20_000})
    assert find_columns(late, need_rating=True).rating == "stars"


def test_many_columns_are_not_all_listed() -> None:
    with pytest.raises(DataError, match="'c19' and 30 more"):
        find_columns(build_table({f"c{i}": KINDS["code"] for i in range(50)}), need_rating=False)
