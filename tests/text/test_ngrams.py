"""Words and pairs as rows of a table, beside plain dictionaries."""

from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ratecast.text import ngrams
from ratecast.text.ngrams import Ngrams, words

TEXTS = ["the food was great", "the food was awful", "not the food!", "great", "", "was great was great"]


def test_contractions_digits_marks_and_scripts() -> None:
    assert words("Don’t buy it!! 1 star_good") == ["don't", "buy", "it", "!", "!", "1", "star", "good"]
    assert words("好用👍 naïve \uff01") == ["好", "用", "👍", "naïve", "!"]
    assert words(" \n") == []


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_plain_text_is_divided_as_any_other(text: str) -> None:
    assert words(text) == ngrams._WORD.findall(text.lower())


def test_rows_are_those_of_dictionaries() -> None:
    found = Ngrams.fit(TEXTS, least=2)
    frequent = Counter(word for text in TEXTS for word in set(words(text)))
    assert set(found.words) == {word for word, count in frequent.items() if count >= 2}
    pairs = {(found.words[one], found.words[other]): row for row, (one, other) in enumerate(found.pairs.tolist())}
    counted = Counter(pair for text in TEXTS for pair in set(pairwise(words(text))))
    assert set(pairs) == {pair for pair, count in counted.items() if count >= 2}
    row = {word: number for number, word in enumerate(found.words)}
    bags = found.bags(TEXTS)
    for text, start, end in zip(TEXTS, bags.starts, bags.starts[1:], strict=False):
        listed = words(text)
        expected = [row[word] for word in listed if word in row]
        expected += [len(row) + pairs[pair] for pair in pairwise(listed) if pair in pairs]
        assert sorted(bags.rows[start:end].tolist()) == sorted(expected), text


def test_taking_texts_takes_their_rows() -> None:
    bags = Ngrams.fit(TEXTS, least=1).bags(TEXTS)
    chosen = np.array([5, 4, 0, 5])
    taken = bags.take(chosen)
    expected = [bags.rows[bags.starts[row] : bags.starts[row + 1]] for row in chosen]
    np.testing.assert_array_equal(taken.rows, np.concatenate(expected))
    np.testing.assert_array_equal(taken.counts, [len(part) for part in expected])


def test_texts_without_a_known_word_have_no_rows() -> None:
    found = Ngrams.fit(TEXTS, least=2)
    assert found.bags(["", "zebra quagga", "好"]).counts.tolist() == [0, 0, 0]
    assert found.bags([]).counts.tolist() == []
    nothing = Ngrams.fit(["", ""])
    assert len(nothing) == 0
    assert nothing.bags(["the food"]).counts.tolist() == [0]


def test_pairs_that_share_a_slot_give_way_to_the_most_frequent() -> None:
    random = np.random.default_rng(0)
    texts = [" ".join(f"w{number}" for number in random.zipf(1.3, 60) % 300) for _ in range(300)]
    found = Ngrams.fit(texts, least=1)
    every = {pair for text in texts for pair in pairwise(words(text))}
    assert 0.9 * len(every) < len(found.pairs) <= len(every)
    assert len({tuple(pair) for pair in found.pairs.tolist()}) == len(found.pairs)
    known = {(found.words[one], found.words[other]) for one, other in found.pairs.tolist()}
    for text, count in zip(texts, found.bags(texts).counts, strict=True):
        listed = words(text)
        assert count == len(listed) + sum(pair in known for pair in pairwise(listed))
