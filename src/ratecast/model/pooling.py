"""From token vectors to one vector for each review.

The backbone may return more positions than it was given tokens, as prompt tuning puts virtual tokens before the text, and the
attention mask may begin with padding, as a caller's own batches of a decoder may. Each function here takes both.
"""

import re
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

Pooling = Callable[[Tensor, Tensor], Tensor]


def pool_mean(vectors: Tensor, mask: Tensor) -> Tensor:
    """Mean of the text's token vectors (Reimers & Gurevych 2019, section 3).

    Args:
        vectors: shape ``(batch, virtual + token, width)``.
        mask: 1 for a token, 0 for padding, shape ``(batch, token)``.

    Returns:
        Shape ``(batch, width)``.
    """
    weights = mask.unsqueeze(-1).to(vectors.dtype)
    return (_of_text(vectors, mask) * weights).sum(1) / weights.sum(1).clamp(min=1)


def pool_first(vectors: Tensor, mask: Tensor, offset: int = 0) -> Tensor:
    """Vector of the text's first token, BERT's ``[CLS]`` (Devlin et al. 2019), or of one so many places after it.

    Shapes as for `pool_mean`.
    """
    return _at(vectors, mask, mask.argmax(1) + offset)


def pool_last(vectors: Tensor, mask: Tensor, offset: int = 0) -> Tensor:
    """Vector of the text's last token, or of one so many places before it; shapes as for `pool_mean`.

    Of a decoder no other one than the last has read the whole text.
    """
    return _at(vectors, mask, (mask.cumsum(1) * mask).argmax(1) - offset)


POOLINGS: dict[str, Pooling] = {"mean": pool_mean, "first": pool_first, "last": pool_last}
"""Every pooling by the name used in the configuration."""

_PLACE = re.compile(r"(?:(first)\+|(last)-)(\d+)")


def find_pooling(name: str) -> Pooling:
    """The pooling of a name: one of `POOLINGS`, or ``first+3`` or ``last-3`` for a place counted from an end of the text.

    Raises:
        KeyError: if there is none.
    """
    match = _PLACE.fullmatch(name)
    if match is None:
        return POOLINGS[name]
    return partial(pool_first if match[1] else pool_last, offset=int(match[3]))


def _at(vectors: Tensor, mask: Tensor, places: Tensor) -> Tensor:
    index = places.view(-1, 1, 1).expand(-1, 1, vectors.shape[-1])
    return torch.gather(_of_text(vectors, mask), 1, index).squeeze(1)


def _of_text(vectors: Tensor, mask: Tensor) -> Tensor:
    return vectors[:, vectors.shape[1] - mask.shape[1] :]
