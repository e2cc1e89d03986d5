"""Long texts in windows: nothing is lost, and what is says so."""

import dataclasses
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from ratecast.text import TextEncoder, TextSettings, pad_texts


def encoder_of(
    *, windows: int, max_tokens: int = 10, overlap_fraction: float = 0.25, head_fraction: float = 0.5
) -> TextEncoder:
    """Its tokens are numbers as they are written, between 901 and 902."""
    tokenizer = Tokenizer(models.WordLevel(vocab={str(number): number for number in range(1000)}, unk_token="0"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="901 $A 902", special_tokens=[("901", 901), ("902", 902)])
    # "good" is unknown to it, and stands for any token where special tokens are looked for
    return TextEncoder.create(
        tokenizer,
        max_tokens=max_tokens,
        head_fraction=head_fraction,
        pad_id=0,
        windows=windows,
        overlap_fraction=overlap_fraction,
    )


def numbers(count: int) -> str:
    return " ".join(str(number) for number in range(1, count + 1))


@given(st.integers(0, 300), st.integers(2, 12), st.integers(4, 20), st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.9]))
def test_every_token_is_in_some_window(count: int, windows: int, max_tokens: int, overlap: float) -> None:
    encoder = encoder_of(windows=windows, max_tokens=max_tokens, overlap_fraction=overlap)
    found = encoder.encode([numbers(count)])
    bare = [ids[1:-1].tolist() for ids in found.ids]
    assert all(len(ids) <= max_tokens for ids in found.ids)
    assert all(ids[0] == 901 and ids[-1] == 902 for ids in found.ids)
    assert len(bare) <= windows
    assert len({len(window) for window in bare}) == 1
    read = {token for window in bare for token in window}
    room = max_tokens - 2
    shared = int(room * overlap)
    fits = count <= room + (windows - 1) * (room - shared)
    assert bool(found.shortened[0]) is not fits
    if fits:
        assert read == set(range(1, count + 1))
        for before, after in pairwise(bare):
            assert len(set(before) & set(after)) >= shared
            assert max(after) > max(before)
        assert len(bare) == 1 or len(bare) == int(np.ceil((count - shared) / (room - shared)))  # no more than are needed


def test_short_texts_are_read_as_without_windows() -> None:
    texts = ["", numbers(1), numbers(8)]
    plain, windowed = encoder_of(windows=1).encode(texts), encoder_of(windows=8).encode(texts)
    assert [ids.tolist() for ids in windowed.ids] == [ids.tolist() for ids in plain.ids]
    assert plain.starts is None
    assert windowed.starts is not None
    assert windowed.starts.tolist() == [0, 1, 2, 3]
    assert not windowed.windowed.any()
    assert not plain.windowed.any()


def test_only_beyond_all_windows_the_middle_is_left_out() -> None:
    encoder = encoder_of(windows=3, max_tokens=10, overlap_fraction=0.25)  # 8 + 6 + 6 tokens
    found = encoder.encode([numbers(20), numbers(21), numbers(100)])
    assert found.shortened.tolist() == [False, True, True]
    last = found.take(np.array([2]))
    tokens = [token for ids in last.ids for token in ids[1:-1].tolist()]
    assert set(tokens) == {*range(1, 11), *range(91, 101)}
    assert encoder_of(windows=3, head_fraction=0.25).encode([numbers(100)]).ids[-1][1:-1].tolist() == list(range(93, 101))


def test_a_text_of_megabytes_is_cut_before_it_is_tokenised() -> None:
    found = encoder_of(windows=3).encode(["7 " * 1_000_000 + "5"])
    assert found.shortened.tolist() == [True]
    assert len(found.ids) == 3
    assert found.ids[-1][-2] == 5


def test_rows_keep_their_windows() -> None:
    found = encoder_of(windows=4).encode([numbers(20), numbers(3), numbers(14)])
    assert found.starts is not None
    assert np.diff(found.starts).tolist() == [3, 1, 2]
    assert len(found) == 3
    assert found.windowed.tolist() == [True, False, True]
    assert found.lengths.tolist() == [30, 5, 20]
    assert found.window_lengths.tolist() == [10, 10, 10, 5, 10, 10]
    rows = np.array([2, 0, 2])
    assert found.windows_of(rows).tolist() == [4, 5, 0, 1, 2, 4, 5]
    assert found.layout(rows).tolist() == [[0, 1, -1], [2, 3, 4], [5, 6, -1]]
    taken = found.take(rows)
    assert taken.starts is not None
    assert taken.starts.tolist() == [0, 2, 5, 7]
    assert taken.lengths.tolist() == [20, 30, 20]
    assert taken.ids[2].tolist() == found.ids[0].tolist()
    nothing = found.take(np.array([], dtype=np.int64))
    assert (len(nothing), list(nothing.ids), nothing.lengths.tolist()) == (0, [], [])


def test_a_batch_has_a_line_for_each_window() -> None:
    encoder = encoder_of(windows=4)
    found = encoder.encode([numbers(3), numbers(14)])
    batch = pad_texts(found, np.array([1, 0]), encoder.settings)
    assert batch.input_ids[:, 1].tolist() == [1, 7, 1]
    assert batch.attention_mask.sum(1).tolist() == [10, 10, 5]
    assert batch.windows is not None
    assert batch.windows.tolist() == [[0, 1], [2, -1]]
    assert batch.rows.tolist() == [1, 0]
    plain = encoder_of(windows=1)
    assert pad_texts(plain.encode([numbers(3)]), np.array([0]), plain.settings).windows is None


def test_settings_of_older_folders_are_one_window() -> None:
    settings = dataclasses.asdict(encoder_of(windows=1).settings)
    del settings["windows"], settings["overlap_fraction"]
    found = TextSettings.from_json(settings)
    assert found.windows == 1
    assert found.describe() == "10 tokens"
    assert encoder_of(windows=3).settings.describe() == "3 windows of 10 tokens"


def test_limited_encoders_keep_their_windows(tiny_backbone: Path) -> None:
    assert encoder_of(windows=3).limited(8).settings.windows == 3
    assert encoder_of(windows=3).limited(8).encode([numbers(14)]).lengths.tolist() == [24]


@pytest.mark.parametrize("windows", [1, 3])
def test_no_text_has_no_window(windows: int) -> None:
    found = encoder_of(windows=windows).encode([])
    assert (len(found), found.lengths.tolist(), found.windowed.tolist()) == (0, [], [])
