from dataclasses import replace

import numpy as np
import pytest

from ratecast.config import SplitBy, SplitConfig
from ratecast.data.split import Split, division, judged_reviews, sampled_rows, split_reviews
from ratecast.errors import DataError
from ratecast.records import Reviews, strings
from ratecast.scale import RatingScale

SCALE = RatingScale.parse("1..5")
WORDS = [f"word{number}" for number in range(2000)]


def made_reviews(count: int = 600, seed: int = 0) -> Reviews:
    """Reviews of which a fifth are near copies of others, by 60 users of 40 items, with skewed ratings."""
    random = np.random.default_rng(seed)
    words = random.choice(WORDS, (count, 30)).astype(object)
    for row in range(0, count, 5):
        words[row] = words[(row * 7 + 1) % count]
        words[row, 0] = f"copy{row}"
    return Reviews(
        text=strings(" ".join(row) for row in words),
        rating=random.choice([1.0, 2.0, 3.0, 4.0, 5.0], count, p=[0.1, 0.1, 0.1, 0.3, 0.4]),
        user=strings(f"user{number}" for number in random.integers(0, 60, count)),
        item=strings(f"item{number}" for number in random.integers(0, 40, count)),
        time=np.datetime64("2024-01-01") + random.integers(0, 300, count).astype("timedelta64[D]"),
    )


def groups_of(reviews: Reviews) -> list[frozenset[int]]:
    """Reference: rows whose texts differ in the first word at most, which is how `made_reviews` makes copies."""
    found: dict[str, set[int]] = {}
    for row, text in enumerate(reviews.text):
        found.setdefault(text.partition(" ")[2], set()).add(row)
    return [frozenset(rows) for rows in found.values()]


def check_parts(reviews: Reviews, split: Split) -> None:
    parts = [set(rows.tolist()) for rows in (split.train, split.validation, split.test, split.left_out)]
    assert sum(map(len, parts)) == len(reviews)
    assert set().union(*parts) == set(range(len(reviews)))
    for rows in (split.train, split.validation, split.test):
        assert (np.diff(rows) > 0).all()
    for group in groups_of(reviews):
        assert sum(bool(group & part) for part in parts[:3]) <= 1, "copies lie on two sides"


@pytest.mark.parametrize(("count", "validation"), [(100, 25), (500, 100), (1000, 100), (3000, 300)])
def test_few_reviews_are_validated_on_a_larger_share_of_them(count: int, validation: int) -> None:
    split = split_reviews(made_reviews(count), SplitConfig(), SCALE, seed=0)
    assert len(split.validation) == pytest.approx(validation, abs=4)
    assert len(split.test) == pytest.approx(count / 10, abs=4)


@pytest.mark.parametrize("by", ["random", "user", "item", "time"])
def test_copies_stay_together_and_a_seed_repeats(by: SplitBy) -> None:
    reviews = made_reviews(count=600) if by in ("random", "time") else replace(made_reviews(), user=None, item=None)
    if by in ("user", "item"):
        owners = strings(f"owner{row // 4}" for row in range(len(reviews)))
        reviews = replace(reviews, user=owners, item=owners)
    split = split_reviews(reviews, SplitConfig(by=by), SCALE, seed=3)
    check_parts(reviews, split)
    again = split_reviews(reviews, SplitConfig(by=by), SCALE, seed=3)
    for name in ("train", "validation", "test", "left_out"):
        np.testing.assert_array_equal(getattr(split, name), getattr(again, name))
    if by == "random":
        other = split_reviews(reviews, SplitConfig(by=by), SCALE, seed=4)
        assert set(other.test.tolist()) != set(split.test.tolist())


def test_random_split_has_the_asked_sizes_and_each_level_in_proportion() -> None:
    reviews = made_reviews(count=2000)
    split = split_reviews(reviews, SplitConfig(validation_fraction=0.15, test_fraction=0.2), SCALE, seed=0)
    assert (len(split.train), len(split.validation), len(split.test), len(split.left_out)) == (1300, 300, 400, 0)
    assert reviews.rating is not None
    for rows in (split.train, split.validation, split.test):
        for level in SCALE.levels:
            share = (reviews.rating[rows] == level).mean()
            assert share == pytest.approx((reviews.rating == level).mean(), abs=0.01)


def test_near_copies_with_different_titles_and_equal_texts_are_compared_with_the_title() -> None:
    reviews = made_reviews(count=60)
    titled = replace(reviews, text=strings(["nice"] * 60), title=reviews.text)
    split = split_reviews(titled, SplitConfig(), SCALE, seed=0)
    check_parts(reviews, split)
    assert len(split.test) == 6


@pytest.mark.parametrize("by", ["user", "item"])
def test_no_owner_is_on_two_sides(by: SplitBy) -> None:
    random = np.random.default_rng(5)
    reviews = made_reviews(count=1000)
    owners = strings(None if number == 0 else f"owner{number}" for number in random.integers(0, 80, 1000))
    distinct = replace(reviews, text=strings(f"{row} {' '.join(random.choice(WORDS, 20))}" for row in range(1000)))
    split = split_reviews(replace(distinct, user=owners, item=owners), SplitConfig(by=by), SCALE, seed=0)
    sides = [set(owners[rows].tolist()) - {None} for rows in (split.train, split.validation, split.test)]
    assert sum(map(len, sides)) == len(set().union(*sides))
    assert abs(len(split.test) - 100) <= 5
    assert abs(len(split.validation) - 100) <= 5
    assert len(split.left_out) == 0


def test_copies_bring_users_together() -> None:
    texts = [f"text number {row} " + " ".join(WORDS[row * 9 : row * 9 + 9]) for row in range(40)]
    texts[1] = texts[0]
    users = [f"user{row // 2 if row > 1 else row + 100}" for row in range(40)]
    users[2], users[3] = users[0], users[1]
    reviews = Reviews(text=strings(texts), rating=np.tile([1.0, 5.0], 20), user=strings(users))
    for seed in range(10):
        split = split_reviews(reviews, SplitConfig(by="user", validation_fraction=0.3, test_fraction=0.3), SCALE, seed)
        assert any({0, 1, 2, 3} <= set(rows.tolist()) for rows in (split.train, split.validation, split.test))


def test_time_split_tests_on_the_latest_and_leaves_earlier_copies_out() -> None:
    reviews = made_reviews(count=1000)
    assert reviews.time is not None
    split = split_reviews(reviews, SplitConfig(by="time"), SCALE, seed=0)
    assert reviews.time[split.train].max() < reviews.time[split.validation].min()
    assert reviews.time[split.validation].max() < reviews.time[split.test].min()
    assert abs(len(split.test) - 100) <= 5
    later = set(split.test.tolist()) | set(split.validation.tolist())
    groups = {row: group for group in groups_of(reviews) for row in group}
    assert len(split.left_out) > 0
    assert all(groups[row] & later for row in split.left_out.tolist()), "only copies of later texts are left out"


def test_unknown_times_are_left_out_and_unusable_columns_told() -> None:
    reviews = made_reviews(count=100)
    assert reviews.time is not None
    times = reviews.time.copy()
    times[7] = np.datetime64("NaT")
    assert 7 in split_reviews(replace(reviews, time=times), SplitConfig(by="time"), SCALE, seed=0).left_out
    with pytest.raises(DataError, match="--time-column"):
        split_reviews(replace(reviews, time=None), SplitConfig(by="time"), SCALE, seed=0)
    with pytest.raises(DataError, match="different times"):
        split_reviews(replace(reviews, time=np.repeat(times[:1], 100)), SplitConfig(by="time"), SCALE, seed=0)


def test_column_split_follows_the_column_in_any_case() -> None:
    reviews = made_reviews(count=300)
    marks = strings(["Train", "TRAIN", "Val", "dev", "test", " Testing "] * 50)
    split = split_reviews(replace(reviews, split=marks), SplitConfig(by="column"), SCALE, seed=0)
    check_parts(reviews, split)
    assert set(marks[split.test]) == {"test", " Testing "}
    assert set(marks[split.validation]) == {"Val", "dev"}
    assert len(split.test) == 100, "test reviews are never left out"


@pytest.mark.parametrize(("mark", "validation", "test"), [("test", 27, 30), ("dev", 30, 27)])
def test_a_part_that_the_column_does_not_name_is_taken_from_training(mark: str, validation: int, test: int) -> None:
    marks = ["train"] * 9 + [mark]
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(WORDS, 10)) for _ in range(300)]
    reviews = Reviews(text=strings(texts), rating=np.tile([1.0, 5.0, 4.0], 100), split=strings(marks * 30))
    split = split_reviews(reviews, SplitConfig(by="column", validation_fraction=0.1), SCALE, seed=0)
    assert (len(split.validation), len(split.test)) == (validation, test)


@pytest.mark.parametrize(
    ("marks", "by"),
    [
        (["train", "Test "], "column"),
        (["train", "dev"], "column"),
        (["train", "train"], "random"),  # the training part of a larger table
        (["dev", "test"], "random"),
        (["train", "holdout"], "random"),
        (["train", None], "random"),
        (["0", "1"], "random"),
        (None, "random"),
    ],
)
def test_a_column_divides_by_itself_where_it_says_all(marks: list[str | None] | None, by: SplitBy) -> None:
    reviews = made_reviews(count=60)
    marked = replace(reviews, split=None if marks is None else strings(marks * 30))
    assert division(marked, SplitConfig()) == by
    assert division(marked, SplitConfig(by="user")) == "user"
    found, expected = (split_reviews(marked, config, SCALE, seed=0) for config in (SplitConfig(), SplitConfig(by=by)))
    np.testing.assert_array_equal(found.test, expected.test)


def test_column_with_other_words_or_no_column_is_told() -> None:
    reviews = made_reviews(count=30)
    marked = replace(reviews, split=strings(["train", "holdout", "test"] * 10))
    with pytest.raises(DataError, match=r"says 'holdout'; expected train"):
        split_reviews(marked, SplitConfig(by="column"), SCALE, seed=0)
    with pytest.raises(DataError, match="--split-column"):
        split_reviews(reviews, SplitConfig(by="column"), SCALE, seed=0)
    with pytest.raises(DataError, match="none for training"):
        split_reviews(replace(reviews, split=strings(["test", "dev"] * 15)), SplitConfig(by="column"), SCALE, seed=0)
    with pytest.raises(DataError, match="--user-column"):
        split_reviews(replace(reviews, user=None), SplitConfig(by="user"), SCALE, seed=0)


def test_few_reviews_still_fill_every_part_and_copies_of_one_text_cannot() -> None:
    reviews = Reviews.from_texts(["good one here", "bad one here", "fair one here"], [5, 1, 3])
    split = split_reviews(reviews, SplitConfig(), SCALE, seed=0)
    assert [len(split.train), len(split.validation), len(split.test)] == [1, 1, 1]
    with pytest.raises(DataError, match="copies of a text stay together"):
        split_reviews(Reviews.from_texts(["good"] * 50, [5, 4] * 25), SplitConfig(), SCALE, seed=0)
    texts = strings(f"a place {row} and its food" for row in range(50))
    alone = Reviews(text=texts, rating=np.array([5.0, 4.0] * 25), user=strings(["u1"] * 50))
    with pytest.raises(DataError, match=r"those of one user stay together, and these are of 1 user\)"):
        split_reviews(alone, SplitConfig(by="user"), SCALE, seed=0)


def test_large_groups_alone_fill_every_part() -> None:
    texts = [f"the very same text with number {row // 25}" for row in range(100)]
    reviews = Reviews.from_texts(texts, np.tile([1.0, 5.0], 50))
    split = split_reviews(reviews, SplitConfig(), SCALE, seed=0)
    assert [len(split.train), len(split.validation), len(split.test)] == [50, 25, 25]


@pytest.mark.parametrize(("test_fraction", "parts"), [(0.7, [10, 20, 70]), (0.78, [10, 12, 78])])
def test_a_large_test_part_leaves_a_tenth_for_training(test_fraction: float, parts: list[int]) -> None:
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(WORDS, 10)) for _ in range(100)]
    reviews = Reviews.from_texts(texts, np.tile([1.0, 5.0], 50))
    split = split_reviews(reviews, SplitConfig(test_fraction=test_fraction), SCALE, seed=0)
    assert [len(split.train), len(split.validation), len(split.test)] == parts


def test_no_test_part_is_made_when_none_is_wanted() -> None:
    split = split_reviews(made_reviews(), SplitConfig(test_fraction=0.0), SCALE, seed=0)
    assert len(split.test) == 0
    assert len(split.validation) == 100


def test_missing_ratings_are_refused() -> None:
    with pytest.raises(DataError, match="rating"):
        split_reviews(Reviews.from_texts(["one", "two"]), SplitConfig(), SCALE, seed=0)


def test_continuous_scale_is_stratified_by_bins() -> None:
    random = np.random.default_rng(0)
    ratings = random.uniform(0, 100, 500)
    texts = [" ".join(random.choice(WORDS, 10)) for _ in range(500)]
    split = split_reviews(Reviews.from_texts(texts, ratings), SplitConfig(), RatingScale.continuous(ratings), seed=0)
    assert len(split.test) == 50
    assert ratings[split.test].mean() == pytest.approx(ratings.mean(), abs=5)


def test_a_sample_is_drawn_from_all_over_and_is_the_same_each_time() -> None:
    rows = sampled_rows(10_000, 500, seed=3)
    assert len(set(rows.tolist())) == 500
    assert (np.diff(rows) > 0).all()
    assert abs(rows.mean() - 5000) < 400
    np.testing.assert_array_equal(rows, sampled_rows(10_000, 500, seed=3))
    assert sampled_rows(4, 9, seed=0).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("reviews", "seconds", "expected"),
    [(100_000, 600.0, 12_000), (100_000, 30.0, 2_000), (100_000, -5.0, 2_000), (700, 1.0, 700), (100_000, np.inf, 100_000)],
)
def test_judging_takes_a_fifth_of_the_time(reviews: int, seconds: float, expected: int) -> None:
    assert judged_reviews(reviews, seconds=seconds, seconds_per_review=0.01) == expected
