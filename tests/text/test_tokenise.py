"""Texts to token ids."""

import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from ratecast.errors import BackboneError
from ratecast.text import TextEncoder, TextSettings


@pytest.fixture
def tokenizer(tiny_backbone: Path) -> Tokenizer:
    return Tokenizer.from_file(str(tiny_backbone / "tokenizer.json"))


def encoder_of(tokenizer: Tokenizer, *, max_tokens: int = 10, head_fraction: float = 0.5) -> TextEncoder:
    return TextEncoder.create(tokenizer, max_tokens=max_tokens, head_fraction=head_fraction, pad_id=0)


def words_of(tokenizer: Tokenizer, ids: np.ndarray) -> list[str | None]:
    return [tokenizer.id_to_token(int(token)) for token in ids]


@pytest.mark.parametrize(("end_id", "expected"), [(None, []), (3, [3])])
def test_end_token_where_the_tokenizer_adds_none(tokenizer: Tokenizer, end_id: int | None, expected: list[int]) -> None:
    bare = Tokenizer.from_str(json.dumps(json.loads(tokenizer.to_str()) | {"post_processor": None}))
    encoder = TextEncoder.create(bare, max_tokens=10, head_fraction=0.5, pad_id=0, end_id=end_id)
    found = encoder.encode(["", "good", "the " * 50])
    good = bare.encode("good").ids
    assert [ids.tolist() for ids in found.ids[:2]] == [expected, [*good, *expected]]
    assert len(found.ids[2]) == 10
    framed = TextEncoder.create(tokenizer, max_tokens=10, head_fraction=0.5, pad_id=0, end_id=end_id)
    assert framed.encode(["good"]).ids[0].tolist() == tokenizer.encode("good").ids


def test_short_text_is_what_the_tokenizer_itself_gives(tokenizer: Tokenizer) -> None:
    found = encoder_of(tokenizer).encode(["The food is good"])
    assert found.ids[0].tolist() == tokenizer.encode("The food is good").ids
    assert not found.shortened[0]


def test_long_text_keeps_beginning_and_end(tokenizer: Tokenizer) -> None:
    text = "good food and staff " + "the " * 50 + "but room was bad"
    found = encoder_of(tokenizer).encode([text])
    assert words_of(tokenizer, found.ids[0]) == ["[CLS]", "good", "food", "and", "staff", "but", "room", "was", "bad", "[SEP]"]
    assert found.shortened[0]


@pytest.mark.parametrize(("fraction", "head"), [(0.0, 1), (0.25, 2), (0.99, 8)])
def test_head_fraction_divides_the_room(tokenizer: Tokenizer, fraction: float, head: int) -> None:
    found = encoder_of(tokenizer, head_fraction=fraction).encode(["good " * 20 + "bad " * 20])
    assert words_of(tokenizer, found.ids[0]).count("good") == head
    assert len(found.ids[0]) == 10


def test_exactly_fitting_text_is_not_shortened(tokenizer: Tokenizer) -> None:
    found = encoder_of(tokenizer).encode(["good " * 8, "good " * 9])
    assert found.shortened.tolist() == [False, True]
    assert found.lengths.tolist() == [10, 10]


def test_text_of_megabytes_takes_no_time(tokenizer: Tokenizer) -> None:
    text = "good " * 1_000_000 + "bad"
    started = time.monotonic()
    found = encoder_of(tokenizer).encode([text])
    assert time.monotonic() - started < 1
    assert words_of(tokenizer, found.ids[0])[-2:] == ["bad", "[SEP]"]
    assert found.shortened[0]


def test_odd_texts_have_tokens(tokenizer: Tokenizer) -> None:
    found = encoder_of(tokenizer).encode(["", "\x00", "😀😀", "مرحبا بالعالم", "\u200f"])
    assert all(len(ids) >= 2 for ids in found.ids)


def test_truncation_and_padding_of_the_file_are_not_applied(tokenizer: Tokenizer) -> None:
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=12)
    found = encoder_of(tokenizer).encode(["good food and staff and room"])
    assert found.lengths.tolist() == [8]


def test_settings_survive_json(tokenizer: Tokenizer) -> None:
    settings = encoder_of(tokenizer).settings
    assert TextSettings.from_json(json.loads(json.dumps(dataclasses.asdict(settings)))) == settings
    assert TextSettings.from_json(json.loads(json.dumps(dataclasses.asdict(settings) | {"pad_left": False}))) == settings


def test_damaged_tokenizer_is_told(tmp_path: Path, tokenizer: Tokenizer) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(BackboneError, match="cannot read the tokenizer"):
        TextEncoder.load(tmp_path / "tokenizer.json", encoder_of(tokenizer).settings)
