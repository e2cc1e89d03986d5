"""The network: a backbone, a pooling and a head."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ratecast.model.backbone import transformer_layers
from ratecast.model.heads import Head
from ratecast.model.pooling import find_pooling
from ratecast.model.precision import computing_in
from ratecast.model.prompting.output import Transform, UnitLength
from ratecast.scale import FloatArray
from ratecast.text import TextEncoder, pad


class Rater(nn.Module):
    """Predicts level probabilities from token ids.

    Args:
        backbone: a transformers model whose output has ``last_hidden_state``.
        head: maps review vectors to raw outputs.
        pooling: name of a pooling, as `find_pooling` takes it.
        pooled_layers: how many top layers are pooled; their vectors are joined to the review's vector. Lower layers keep what
            the topmost, trained for another purpose, has dropped (Tenney et al. 2019, "BERT Rediscovers the Classical NLP
            Pipeline").
        precision: what the backbone computes in; weights, pooling and head stay in float32.
        transform: what the pooled vectors go through before the head; None for nothing.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        *,
        pooling: str,
        pooled_layers: int = 1,
        precision: torch.dtype = torch.float32,
        transform: Transform | UnitLength | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.pooling = pooling
        self.pooled_layers = pooled_layers
        self.precision = precision
        self.transform = transform

    def vectors(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """One vector for each review, from ids and mask of shape ``(batch, token)``.

        Returns:
            Shape ``(batch, pooled_layers * width)``, the topmost layer's vector first, or what the transform makes of it.
        """
        with self._lower_layers() as lower, computing_in(self.precision, input_ids.device):
            output: Any = self.backbone(input_ids=input_ids, attention_mask=attention_mask)
        pool = find_pooling(self.pooling)
        pooled = torch.cat([pool(states.float(), attention_mask) for states in (output.last_hidden_state, *lower)], dim=1)
        found: Tensor = pooled if self.transform is None else self.transform(pooled)
        return found

    def forward(self, input_ids: Tensor, attention_mask: Tensor, dropout_samples: int = 1) -> Tensor:
        """The head's raw outputs, shape ``(batch, output)``, or ``(sample · batch, output)`` with several dropout masks."""
        return self.sampled(self.vectors(input_ids, attention_mask), dropout_samples)

    def sampled(self, vectors: Tensor, dropout_samples: int) -> Tensor:
        """Raw outputs for review vectors, one after the other under each dropout mask, shape ``(sample · batch, output)``."""
        output: Tensor = self.head(vectors if dropout_samples == 1 else vectors.repeat(dropout_samples, 1))
        return output

    @contextmanager
    def _lower_layers(self) -> Iterator[list[Tensor]]:
        """Token vectors of the pooled layers below the topmost, from the upper one to the lower, once the backbone has run.

        The topmost layer is left to ``last_hidden_state``: some backbones normalise their output once more.
        """
        found: list[Tensor] = []

        def keep(_layer: nn.Module, _inputs: Any, output: Any) -> None:
            found.insert(0, output[0] if isinstance(output, tuple) else output)

        lower: Any = transformer_layers(self.backbone)[-self.pooled_layers : -1] if self.pooled_layers > 1 else ()
        handles = [layer.register_forward_hook(keep) for layer in lower]
        try:
            yield found
        finally:
            for handle in handles:
                handle.remove()


class ProbabilityGraph(nn.Module):
    """A rater as it is exported: token ids to level probabilities."""

    def __init__(self, rater: Rater) -> None:
        super().__init__()
        self.rater = rater

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Level probabilities, shape ``(batch, level)``."""
        return self.rater.head.probabilities(self.rater(input_ids, attention_mask)).to(torch.float32)


def torch_probabilities(rater: Rater, encoder: TextEncoder, texts: Sequence[str]) -> FloatArray:
    """Level probabilities by torch, shape ``(text, level)``."""
    tokenised = encoder.encode(texts)
    batch = pad(tokenised.ids, np.arange(len(texts)), pad_id=encoder.settings.pad_id, pad_left=encoder.settings.pad_left)
    with torch.inference_mode():
        found = ProbabilityGraph(rater)(torch.from_numpy(batch.input_ids), torch.from_numpy(batch.attention_mask))
    probabilities: FloatArray = (found.double() / found.double().sum(1, keepdim=True)).numpy()
    return probabilities
