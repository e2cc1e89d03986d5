"""What is computed in which precision."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from ratecast.model.precision import computing_in

CPU = torch.device("cpu")


def inputs() -> list[torch.Tensor]:
    return [torch.randn(2, 2, 5, 8, dtype=torch.bfloat16, requires_grad=True) for _ in range(3)]


def by_hand(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    query, key, value = query.float(), key.float(), value.float()
    return (query @ key.transpose(2, 3) / 8**0.5).softmax(-1) @ value


@pytest.mark.parametrize("by_name", [False, True])
def test_attention_is_computed_in_float32(by_name: bool) -> None:
    query, key, value = given = inputs()
    with computing_in(torch.bfloat16, CPU):
        if by_name:
            found = scaled_dot_product_attention(query=query, key=key, value=value)
        else:
            found = scaled_dot_product_attention(query, key, value)
        product = torch.randn(3, 4) @ torch.randn(4, 2)
    assert product.dtype is torch.bfloat16
    assert found.dtype is torch.bfloat16
    expected = by_hand(*given)
    assert torch.equal(found, expected.to(torch.bfloat16))  # rounded once, at the end
    gradients = torch.autograd.grad(found.float().square().sum(), given)
    for gradient, wanted in zip(gradients, torch.autograd.grad(expected.square().sum(), given), strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=0.05, atol=0.02)


def test_masks_stay_what_they_are() -> None:
    query, key, value = inputs()
    mask = torch.tensor([True, True, True, False, False])
    with computing_in(torch.bfloat16, CPU):
        found = scaled_dot_product_attention(query, key, value, attn_mask=mask.expand(2, 1, 5, 5))
        added = torch.where(mask, 0.0, -torch.inf).to(torch.bfloat16).expand(2, 1, 5, 5)
        same = scaled_dot_product_attention(query, key, value, attn_mask=added)
    expected = by_hand(query, key[:, :, :3], value[:, :, :3]).to(torch.bfloat16)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(same, expected)


def test_float32_is_left_alone() -> None:
    with computing_in(torch.float32, CPU):
        assert (torch.randn(3, 4) @ torch.randn(4, 2)).dtype is torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16), computing_in(torch.float32, CPU):
        assert (torch.randn(3, 4) @ torch.randn(4, 2)).dtype is torch.float32
