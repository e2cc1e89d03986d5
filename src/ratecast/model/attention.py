"""Attention as one node of the exported graph.

What torch makes of its own attention are a dozen nodes a layer, some of which only guard against rows without any token; they
read and write every attention weight again. ONNX Runtime's ``MultiHeadAttention`` computes the same at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, bidirectional_mask_function, eager_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

_NAME: Final = "ratecast-graph"
_UNKNOWN: Final = ("position_bias", "softcap", "s_aux", "cache")
"""What an attention may also be given and the node does not know."""


@contextmanager
def fused_attention(module: nn.Module) -> Iterator[bool]:
    """Trace the attention of a network as nodes of ONNX Runtime while the context is open; it can only be exported then.

    Yields:
        Whether there is any that can be: architectures that compute attention in their own way, such as DeBERTa, have none.
    """
    ALL_ATTENTION_FUNCTIONS.register(_NAME, _attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(_NAME, _mask)
    configs: list[Any] = [getattr(part, "config", None) for part in module.modules()]
    found = {id(config): config for config in configs if _is_torch_attention(config)}
    for config in found.values():
        config._attn_implementation_internal = _NAME  # noqa: SLF001 - transformers' setter checks names that it knows
    try:
        yield bool(found)
    finally:
        for config in found.values():
            config._attn_implementation_internal = "sdpa"  # noqa: SLF001


def _is_torch_attention(config: Any) -> bool:
    return getattr(config, "_attn_implementation", None) == "sdpa"


def _mask(*, mask_function: Any, attention_mask: Tensor | None = None, **arguments: Any) -> Tensor | None:
    """Which tokens are no padding, shape ``(batch, token)``; what to add to the scores where the position matters too."""
    if mask_function is bidirectional_mask_function:
        return attention_mask
    arguments["allow_is_bidirectional_skip"] = False
    found: Tensor = eager_mask(mask_function=mask_function, attention_mask=attention_mask, **arguments)
    return found


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    **arguments: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it.

    Args:
        module: the layer.
        query: shape ``(batch, head, token, head width)``.
        key: the same, of perhaps fewer heads and more tokens.
        value: the same.
        attention_mask: what `_mask` gave.
        scaling: what scores are multiplied with.
        arguments: dropout, which an exported network has none of, and what some architectures add.

    Returns:
        Shape ``(batch, token, head, head width)``.
    """
    if query.shape[-1] != value.shape[-1] or any(arguments.get(name) is not None for name in _UNKNOWN):
        mask = attention_mask[:, None, None, :].bool() if attention_mask is not None and attention_mask.ndim == 2 else None
        mask = attention_mask if mask is None else mask
        arguments["is_causal"] = False  # the mask says it
        output: Tensor = sdpa_attention_forward(module, query, key, value, mask, scaling=scaling, **arguments)[0]
        return output, None
    batch, heads, tokens, width = query.shape
    groups = heads // key.shape[1]
    flat = [_flat(states) for states in (query, repeat_kv(key, groups), repeat_kv(value, groups))]
    padding, bias = None, None
    if attention_mask is not None and attention_mask.ndim == 2:
        padding = attention_mask.to(torch.int32)
    elif attention_mask is not None:
        bias = attention_mask
    found: Tensor = torch.onnx.ops.symbolic(
        "com.microsoft::MultiHeadAttention",
        (*flat, None, padding, bias),
        attrs={"num_heads": heads, "scale": width**-0.5 if scaling is None else float(scaling)},
        dtype=query.dtype,
        shape=(batch, tokens, heads * width),
        version=1,
    )
    return found.reshape(batch, tokens, heads, width), None


def _flat(states: Tensor) -> Tensor:
    """From shape ``(batch, head, token, head width)`` to ``(batch, token, head · head width)``."""
    return states.transpose(1, 2).flatten(2)
