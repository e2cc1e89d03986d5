"""Adversarial training: a batch is learnt a second time from where a small step has made it hardest."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn

_SMALLEST: Final = 1e-12
"""Gradients below this norm are rounding errors, and not made long."""


class FastGradient:
    """The fast gradient method (Miyato, Dai & Goodfellow 2017, section 3): r = ε · g / ‖g‖₂ for each review.

    g is the gradient of the loss by what enters a module. The paper steps from normalised word embeddings; ours come out of
    the embeddings' layer norm where the backbone has one.

    Args:
        entrance: the module, whose first argument is a tensor of shape ``(batch, ...)``.
        length: ε.
    """

    def __init__(self, entrance: nn.Module, length: float) -> None:
        self._entrance = entrance
        self._length = length

    def losses(self, compute: Callable[[], Tensor]) -> Iterator[Tensor]:
        """Losses of a batch as it is, then after the step.

        The step is taken along the gradient that the caller's backward pass over the first losses leaves behind, so that
        both together cost two passes.

        Args:
            compute: runs the network and returns the losses.
        """
        offsets: list[Tensor] = []

        def watched(states: Tensor) -> Tensor:
            offsets.append(torch.zeros_like(states).requires_grad_())
            return offsets[0]

        with self._adding(watched):
            losses = compute()
        yield losses
        if offsets[0].grad is None:
            raise RuntimeError("expected a backward pass over the first losses before the second are asked for")
        step = step_along(offsets[0].grad, self._length)
        with self._adding(lambda _: step):
            losses = compute()
        yield losses

    @contextmanager
    def _adding(self, offset: Callable[[Tensor], Tensor]) -> Iterator[None]:
        """While the context is open, an offset is added to what enters."""

        def add(_: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
            if not arguments:
                return (), named | {"hidden_states": named["hidden_states"] + offset(named["hidden_states"])}
            return (arguments[0] + offset(arguments[0]), *arguments[1:]), named

        handle = self._entrance.register_forward_pre_hook(add, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()


def step_along(gradient: Tensor, length: float) -> Tensor:
    """A step of the given length along each review's gradient, shape ``(batch, ...)``; none where the gradient is zero."""
    norms = gradient.flatten(1).norm(dim=1).clamp(min=_SMALLEST)
    step: Tensor = length * gradient / norms.view(-1, *[1] * (gradient.ndim - 1))
    return step
