"""From token vectors to one vector for each review.

The attention mask may begin with padding (decoders are padded on the left), and the backbone may return more positions than
it was given tokens: prompt tuning puts virtual tokens before the text. Each function here takes both.
"""

from collections.abc import Callable

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


def pool_first(vectors: Tensor, mask: Tensor) -> Tensor:
    """Vector of the text's first token, BERT's ``[CLS]`` (Devlin et al. 2019); shapes as for `pool_mean`."""
    first = mask.argmax(1)
    index = first.view(-1, 1, 1).expand(-1, 1, vectors.shape[-1])
    return torch.gather(_of_text(vectors, mask), 1, index).squeeze(1)


def pool_last(vectors: Tensor, mask: Tensor) -> Tensor:
    """Vector of the text's last token; shapes as for `pool_mean`. Of a decoder no other one has read the whole text."""
    last = (mask.cumsum(1) * mask).argmax(1)
    index = last.view(-1, 1, 1).expand(-1, 1, vectors.shape[-1])
    return torch.gather(_of_text(vectors, mask), 1, index).squeeze(1)


POOLINGS: dict[str, Pooling] = {"mean": pool_mean, "first": pool_first, "last": pool_last}
"""Every pooling by the name used in the configuration."""


def _of_text(vectors: Tensor, mask: Tensor) -> Tensor:
    return vectors[:, vectors.shape[1] - mask.shape[1] :]
