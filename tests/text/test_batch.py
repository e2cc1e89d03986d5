"""Batches of texts of similar length."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ratecast.text import inference_batches, pad, training_batches

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=400).map(lambda values: np.array(values, dtype=np.int64))


@given(LENGTHS, st.integers(1, 40), st.integers(0, 5))
def test_every_row_is_in_one_training_batch(lengths: np.ndarray, size: int, epoch: int) -> None:
    batches = training_batches(lengths, size, seed=0, epoch=epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert all(len(batch) <= size for batch in batches)


@given(LENGTHS, st.integers(1, 40))
def test_every_row_is_in_one_inference_batch_longest_first(lengths: np.ndarray, size: int) -> None:
    order = np.concatenate(inference_batches(lengths, size))
    assert sorted(order.tolist()) == list(range(len(lengths)))
    assert (np.diff(lengths[order]) <= 0).all()


def test_training_batches_depend_on_seed_and_epoch_only() -> None:
    lengths = np.random.default_rng(0).integers(5, 100, 500)
    same = [np.concatenate(training_batches(lengths, 8, seed=1, epoch=2)).tolist() for _ in range(2)]
    assert same[0] == same[1]
    assert same[0] != np.concatenate(training_batches(lengths, 8, seed=1, epoch=3)).tolist()
    assert same[0] != np.concatenate(training_batches(lengths, 8, seed=2, epoch=2)).tolist()


def test_training_batches_waste_little_padding() -> None:
    lengths = np.random.default_rng(0).integers(5, 129, 4000)
    batches = training_batches(lengths, 16, seed=0, epoch=0)
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.05 * lengths.sum()


def test_texts_are_filled_up_on_the_right() -> None:
    ids = [np.array([5, 6, 7], dtype=np.int32), np.array([8], dtype=np.int32)]
    batch = pad(ids, np.array([1, 0]), pad_id=9)
    assert batch.input_ids.tolist() == [[8, 9, 9], [5, 6, 7]]
    assert batch.attention_mask.tolist() == [[1, 0, 0], [1, 1, 1]]


def test_long_texts_go_through_the_network_in_smaller_batches() -> None:
    lengths = np.array([9000, 4096, 4096, 512, 512, *[100] * 14])
    batches = inference_batches(lengths)
    assert [len(batch) for batch in batches] == [1, 2, 16]
    assert [len(batch) for batch in inference_batches(lengths, batch_tokens=None)] == [16, 3]
    assert [len(batch) for batch in inference_batches(np.full(40, 512))] == [16, 16, 8]
