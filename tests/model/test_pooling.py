"""Token vectors to review vectors, checked by hand."""

import pytest
import torch

from ratecast.model.pooling import POOLINGS, find_pooling

TOKENS = torch.tensor([[[1.0, 10.0], [3.0, 30.0]], [[5.0, 50.0], [7.0, 70.0]]])
EXPECTED = {"mean": [[2.0, 20.0], [7.0, 70.0]], "first": [[1.0, 10.0], [7.0, 70.0]], "last": [[3.0, 30.0], [7.0, 70.0]]}


@pytest.mark.parametrize("name", POOLINGS)
def test_padding_on_the_left_does_not_count(name: str) -> None:
    mask = torch.tensor([[1, 1], [0, 1]])
    assert POOLINGS[name](TOKENS, mask).tolist() == EXPECTED[name]


@pytest.mark.parametrize("name", POOLINGS)
def test_virtual_tokens_before_the_text_do_not_count(name: str) -> None:
    mask = torch.tensor([[1, 1], [0, 1]])
    virtual = torch.full((2, 3, 2), 1000.0)
    assert POOLINGS[name](torch.cat([virtual, TOKENS], 1), mask).tolist() == EXPECTED[name]


@pytest.mark.parametrize("name", POOLINGS)
def test_padding_on_the_right_does_not_count(name: str) -> None:
    mask = torch.tensor([[1, 0], [1, 0]])
    assert POOLINGS[name](TOKENS, mask).tolist() == [[1.0, 10.0], [5.0, 50.0]]


def test_last_token_is_the_text_s_whatever_fills_it_up() -> None:
    vectors = torch.tensor([[[1.0], [2.0], [3.0], [4.0]]] * 3)
    mask = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]])
    assert POOLINGS["last"](vectors, mask).tolist() == [[2.0], [3.0], [4.0]]


def test_places_are_counted_from_the_ends_of_the_text() -> None:
    vectors = torch.arange(8.0).view(1, 8, 1).repeat(3, 1, 1)
    mask = torch.tensor([[1, 1, 1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1, 1, 1], [1] * 8])
    assert find_pooling("last-2")(vectors, mask).flatten().tolist() == [3.0, 5.0, 5.0]
    assert find_pooling("first+1")(vectors, mask).flatten().tolist() == [1.0, 3.0, 1.0]
    virtual = torch.cat([torch.full((3, 4, 1), 1000.0), vectors], 1)
    assert find_pooling("last-2")(virtual, mask).flatten().tolist() == [3.0, 5.0, 5.0]
    with pytest.raises(KeyError):
        find_pooling("middle")
