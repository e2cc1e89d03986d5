"""Texts that change from pass to pass: how much, and what never."""

import doctest
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from ratecast.config import StrengthenConfig
from ratecast.errors import ConfigError
from ratecast.text import Augmentation, AugmentedTexts, TextEncoder, augment
from ratecast.text.thesaurus import Thesaurus

THESAURUS = Thesaurus(
    synonyms={"great": ("superb", "of note", "grand"), "room": ("chamber",), "not": ("non",), "in": ("indium",)}
)
NEGATED = "I don't like it, it isn’t good, NOT good, never was, no fun and nothing new without a story; 不 好"


def augmentation(deletion: float = 0.0, synonyms: float = 0.0, seed: int = 0) -> Augmentation:
    return Augmentation(word_deletion=deletion, synonyms=synonyms, thesaurus=THESAURUS, seed=seed)


def test_example() -> None:
    assert doctest.testmod(augment).failed == 0


def test_share_of_words_that_go() -> None:
    text = " ".join(f"word{number}" for number in range(500))
    for probability in (0.1, 0.4):
        kept = [len(augmentation(probability).change(text, epoch=epoch, row=0).split()) for epoch in range(20)]
        # 10,000 draws: four deviations of a binomial share
        assert 1 - np.mean(kept) / 500 == pytest.approx(probability, abs=4 * np.sqrt(probability * (1 - probability) / 10_000))


def test_what_is_left_is_in_order_with_its_punctuation() -> None:
    text = "The room, which we liked, was (very) clean. 4/5!"
    for epoch in range(30):
        changed = augmentation(0.5).change(text, epoch=epoch, row=0)
        left = iter(text)
        assert all(character in left for character in changed), changed
        assert re.sub(r"[\w\s]", "", changed) == re.sub(r"[\w\s]", "", text)
        assert "  " not in changed


def test_negations_always_stay() -> None:
    for epoch in range(50):
        changed = augmentation(0.9, 0.9).change(NEGATED, epoch=epoch, row=0)
        for word in ("don't", "isn’t", "NOT", "never", "no", "nothing", "without", "不"):
            assert re.search(rf"\b{word}\b", changed), (word, changed)


def test_a_text_is_never_emptied() -> None:
    texts = {augmentation(0.9).change("good room", epoch=epoch, row=0) for epoch in range(200)}
    assert texts == {"good room", "good", "room"}
    assert augmentation(0.9).change("!?", epoch=0, row=0) == "!?"
    assert augmentation(0.9).change("", epoch=0, row=0) == ""


def test_characters_are_words_in_chinese() -> None:
    texts = {augmentation(0.3).change("这个电影不好看", epoch=epoch, row=0) for epoch in range(50)}
    assert len(texts) > 10
    assert all("不" in text for text in texts)


def test_synonyms_in_the_capitals_of_the_word() -> None:
    counts = Counter(augmentation(0.0, 0.5).change("great", epoch=epoch, row=0) for epoch in range(3000))
    expected = {"great": 1500, "superb": 500, "of note": 500, "grand": 500}
    assert counts.keys() == expected.keys()
    assert all(abs(counts[word] - expected[word]) < 4 * np.sqrt(expected[word]) for word in expected)
    found = {augmentation(0.0, 0.99).change("Great GREAT not in Room's room", epoch=epoch, row=0) for epoch in range(20)}
    assert "Of note GRAND not in Room's chamber" in found
    assert all(" not in Room's " in text for text in found)


def test_seed_pass_and_row_decide() -> None:
    text = " ".join(["great"] * 30)
    changed = augmentation(0.2, 0.5, seed=3).change(text, epoch=2, row=5)
    assert changed == augmentation(0.2, 0.5, seed=3).change(text, epoch=2, row=5)
    others = [
        augmentation(0.2, 0.5, seed=seed).change(text, epoch=epoch, row=row)
        for seed, epoch, row in ((4, 2, 5), (3, 1, 5), (3, 2, 6))
    ]
    assert changed not in others


@given(st.text(max_size=60))
def test_off_changes_nothing_but_outer_space(text: str) -> None:
    assert augmentation().change(text, epoch=0, row=0).strip() == text.strip()


def test_created_from_settings(tmp_path: Path) -> None:
    assert Augmentation.create(StrengthenConfig(synonyms_file="nowhere"), 0) is None
    deleting = Augmentation.create(StrengthenConfig(word_deletion=0.1, synonyms_file="nowhere"), 7)
    assert deleting == Augmentation(word_deletion=0.1, synonyms=0.0, thesaurus=Thesaurus(), seed=7)
    with pytest.raises(ConfigError, match="cannot read the synonyms_file nowhere"):
        Augmentation.create(StrengthenConfig(synonyms=0.1, synonyms_file="nowhere"), 0)
    (tmp_path / "th.dat").write_text("UTF-8\ngood|1\n(adj)|fine\n", encoding="utf-8")
    replacing = Augmentation.create(StrengthenConfig(synonyms=0.1, synonyms_file=str(tmp_path / "th.dat")), 0)
    assert replacing is not None
    assert replacing.thesaurus.synonyms == {"good": ("fine",)}


def test_passes_are_tokenised_anew(tiny_backbone: Path) -> None:
    tokenizer = Tokenizer.from_file(str(tiny_backbone / "tokenizer.json"))
    encoder = TextEncoder.create(tokenizer, max_tokens=16, head_fraction=0.5, pad_id=0)
    texts = ["the room was not great", "good food and good staff", "bad"]
    change = augmentation(0.4)
    found = AugmentedTexts(texts=texts, encoder=encoder, augmentation=change).in_pass(3)
    expected = encoder.encode([change.change(text, epoch=3, row=row) for row, text in enumerate(texts)])
    assert [ids.tolist() for ids in found.ids] == [ids.tolist() for ids in expected.ids]
    assert found.lengths.sum() < encoder.encode(texts).lengths.sum()


def test_half_of_the_paraphrases_are_read_in_each_pass(tiny_backbone: Path) -> None:
    tokenizer = Tokenizer.from_file(str(tiny_backbone / "tokenizer.json"))
    encoder = TextEncoder.create(tokenizer, max_tokens=16, head_fraction=0.5, pad_id=0)
    texts, others = ["good"] * 600, ["bad" if row % 3 else None for row in range(600)]
    good, bad = (encoder.encode([word]).ids[0].tolist() for word in ("good", "bad"))

    def replaced(epoch: int, seed: int = 0) -> list[bool]:
        found = AugmentedTexts(texts=texts, encoder=encoder, paraphrases=others, seed=seed).in_pass(epoch).ids
        assert all(ids.tolist() in (good, bad) for ids in found)
        return [ids.tolist() == bad for ids in found]

    first = replaced(0)
    assert first == replaced(0)
    assert not any(first[::3])  # they have none
    passes = [replaced(epoch) for epoch in range(20)] + [replaced(0, seed=1)]
    assert len(set(map(tuple, passes))) == 21
    # 8,400 draws: four deviations of a binomial share
    assert np.sum(passes) / (21 * 400) == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / 8_400))


def test_words_of_a_paraphrase_are_changed_too(tiny_backbone: Path) -> None:
    tokenizer = Tokenizer.from_file(str(tiny_backbone / "tokenizer.json"))
    encoder = TextEncoder.create(tokenizer, max_tokens=32, head_fraction=0.5, pad_id=0)
    texts, others = ["good " * 9 + "food"] * 50, ["bad " * 9 + "staff"] * 50
    change = augmentation(0.3)
    found = AugmentedTexts(texts=texts, encoder=encoder, augmentation=change, paraphrases=others).in_pass(2)
    own, other = (
        encoder.encode([change.change(text, epoch=2, row=row) for row, text in enumerate(read)]) for read in (texts, others)
    )
    matches = [
        (ids.tolist() == a.tolist(), ids.tolist() == b.tolist())
        for ids, a, b in zip(found.ids, own.ids, other.ids, strict=True)
    ]
    assert all(a != b for a, b in matches)
    assert 10 < sum(b for _, b in matches) < 40
