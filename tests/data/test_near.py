from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from ratecast.data import near
from ratecast.data.near import SIMILARITY, DisjointSets, duplicate_groups, fold, numbered, united_groups

WORDS = [f"word{number}" for number in range(3000)]


def jaccard(one: str, other: str) -> float:
    """Reference: similarity of the sets of three words in a row, without hashes."""
    first, second = (set(zip(text.split(), text.split()[1:], text.split()[2:], strict=False)) for text in (one, other))
    return len(first & second) / len(first | second)


def varied(words: list[str], changes: int, random: np.random.Generator) -> str:
    copy = list(words)
    for place in random.choice(len(words), changes, replace=False):
        copy[place] = "other"
    return " ".join(copy)


def test_near_pairs_are_those_whose_true_similarity_reaches_the_threshold() -> None:
    random = np.random.default_rng(1)
    pairs = []
    for changes in (1, 2, 3, 4, 5, 6, 8, 12):
        for _ in range(40):
            words = list(random.choice(WORDS, 100))
            pairs.append((" ".join(words), varied(words, changes, random)))
    groups = duplicate_groups([text for pair in pairs for text in pair])
    together = groups[::2] == groups[1::2]
    expected = np.array([jaccard(*pair) >= SIMILARITY for pair in pairs])
    assert 80 < expected.sum() < 240, "the pairs must lie on both sides of the threshold"
    np.testing.assert_array_equal(together, expected)
    assert len(np.unique(groups)) == 2 * len(pairs) - expected.sum(), "texts of different pairs are not near"


def test_case_spaces_and_punctuation_do_not_count() -> None:
    groups = duplicate_groups(
        ["Great phone!", "Poor battery", "  great\n PHONE", "\uff47\uff52\uff45\uff41\uff54 phone", "Straße", "STRASSE"]
    )
    assert groups.tolist() == [0, 1, 0, 0, 2, 2]


def test_short_texts_are_copies_only_when_equal() -> None:
    assert duplicate_groups(["very good phone", "very good camera", "good phone", "a very good phone"]).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("texts", [["👍", "👎", "!!!", ":-)", "👍"], ["👍 👍 👍 👍", "👎 👎 👎 👎", "", "?", "👍 👍 👍 👍"]])
def test_texts_without_words_are_not_all_alike(texts: list[str]) -> None:
    assert duplicate_groups(texts).tolist() == [0, 1, 2, 3, 0]


def test_languages_without_spaces_are_compared_by_characters() -> None:
    text = "这个手机的电池非常好用我已经用了三个月没有任何问题屏幕也很清楚推荐给大家购买价格也很合理"
    near = text.replace("三", "四")
    other = "酒店的房间很小而且不干净前台的服务态度非常差下次不会再来了早餐也没有什么可以吃的东西"
    assert duplicate_groups([text, near, other]).tolist() == [0, 0, 1]
    assert fold("好。Phone") == "好 phone"


def test_nearness_is_carried_on() -> None:
    random = np.random.default_rng(2)
    chain = [list(random.choice(WORDS, 100))]
    for step in range(1, 8):
        chain.append(varied(chain[-1], 1, random).split())
        chain[-1][step] = f"step{step}"
    assert set(duplicate_groups([" ".join(words) for words in chain]).tolist()) == {0}


def test_nothing_and_a_single_text_are_handled() -> None:
    assert duplicate_groups([]).shape == (0,)
    assert duplicate_groups(["one text of some words"]).tolist() == [0]


@pytest.fixture
def pairs(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many pairs of texts were looked at: "candidates" in a bucket, and those "compared" shingle by shingle.

    All else takes a time that is linear in the texts; seconds would tell more of the machine's load than of this.
    """
    found = {"candidates": 0, "compared": 0}
    originals = near._candidates, near._jaccard

    def candidates(signatures: Any) -> Iterator[tuple[Any, Any]]:
        for one, other in originals[0](signatures):
            found["candidates"] += len(one)
            yield one, other

    def compared(one: Any, other: Any) -> float:
        found["compared"] += 1
        return originals[1](one, other)

    monkeypatch.setattr(near, "_candidates", candidates)
    monkeypatch.setattr(near, "_jaccard", compared)
    return found


def test_of_ten_thousand_different_reviews_few_are_compared_and_of_equal_ones_none(pairs: dict[str, int]) -> None:
    random = np.random.default_rng(3)
    different = [" ".join(words) for words in random.choice(WORDS, (10_000, 130))]
    assert len(np.unique(duplicate_groups(different))) == 10_000
    assert pairs["candidates"] < 100
    pairs["candidates"] = 0
    assert set(duplicate_groups([different[0]] * 10_000).tolist()) == {0}
    assert pairs == {"candidates": 0, "compared": 0}


def test_versions_of_one_template_are_compared_with_few_others_each(pairs: dict[str, int]) -> None:
    random = np.random.default_rng(4)
    words = list(random.choice(WORDS, 100))
    versions = [" ".join([*words[: row % 100], f"version{row}", *words[row % 100 + 1 :]]) for row in range(2000)]
    assert set(duplicate_groups(versions).tolist()) == {0}
    assert pairs["candidates"] <= 16 * 10 * 2000  # ten neighbours in each of 16 bands, where full buckets have millions
    assert pairs["compared"] <= 2000  # each that is near unites two groups


def test_united_groups_cut_neither_grouping() -> None:
    one = np.array([0, 0, 1, 2, 3, 3])
    other = np.array([0, 1, 1, 2, 3, 4])
    assert united_groups(one, other).tolist() == [0, 0, 0, 1, 2, 2]


def test_disjoint_sets_and_numbers() -> None:
    sets = DisjointSets(5)
    sets.unite(4, 2)
    sets.unite(2, 3)
    assert sets.roots().tolist() == [0, 1, 2, 2, 2]
    assert numbered(["b", "a", "b", None]).tolist() == [0, 1, 0, 2]
