"""What a backbone computes in, while its weights stay in float32."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Final

import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

_is_raised: Final = ContextVar("attention is computed in float32", default=False)


def computing_in(precision: torch.dtype, device: torch.device) -> AbstractContextManager[None]:
    """While the context is open, matrix products are computed in a precision (mixed precision, Micikevicius et al. 2018).

    On processors attention stays in float32 even so: the backward pass of torch 2.13's fused attention takes 4 times as long
    in bfloat16 (both passes 144 against 34 ms for 2,048 tokens in texts of 128, on a Xeon; docs/experiments.md).
    """
    if precision is torch.float32 or device.type != "cpu":
        lowered = precision is not torch.float32
        return torch.autocast(device.type, dtype=precision if lowered else torch.bfloat16, enabled=lowered)
    return _on_processor(precision)


@contextmanager
def _on_processor(precision: torch.dtype) -> Iterator[None]:
    token = _is_raised.set(True)
    try:
        with torch.autocast("cpu", dtype=precision), _Float32Attention():
            yield
    finally:
        _is_raised.reset(token)


def computing_again() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """What a checkpointed layer computes in besides autocast, the first time and again in the backward pass.

    `torch.utils.checkpoint` takes it as its ``context_fn``: it restores autocast, but not how attention is computed.
    """
    return nullcontext(), _Float32Attention() if _is_raised.get() else nullcontext()


class _Float32Attention(TorchFunctionMode):
    """Attention takes what it is given as float32, and gives back what it was given."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is not scaled_dot_product_attention:
            return func(*args, **kwargs)
        given = (*args, *kwargs.values())[0].dtype
        with torch.autocast("cpu", enabled=False):
            found = func(*map(_raised, args), **{name: _raised(value) for name, value in kwargs.items()})
        return found.to(given)


def _raised(value: Any) -> Any:
    """Numbers as float32; a mask of yes and no, and everything that is no tensor, as it is."""
    return value.float() if isinstance(value, torch.Tensor) and value.is_floating_point() else value
