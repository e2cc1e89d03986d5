"""The network: a backbone, a pooling and a head."""

from typing import Any

import torch
from torch import Tensor, nn

from ratecast.model.heads import Head
from ratecast.model.pooling import POOLINGS


class Rater(nn.Module):
    """Predicts level probabilities from token ids.

    Args:
        backbone: a transformers model whose output has ``last_hidden_state``.
        head: maps review vectors to raw outputs.
        pooling: name of a pooling.
    """

    def __init__(self, backbone: nn.Module, head: Head, *, pooling: str) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.pooling = pooling

    def vectors(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """One vector for each review, shape ``(batch, width)``, from ids and mask of shape ``(batch, token)``."""
        output: Any = self.backbone(input_ids=input_ids, attention_mask=attention_mask)
        return POOLINGS[self.pooling](output.last_hidden_state, attention_mask)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, dropout_samples: int = 1) -> Tensor:
        """The head's raw outputs, shape ``(batch, output)``, or ``(sample · batch, output)`` with several dropout masks."""
        return self.sampled(self.vectors(input_ids, attention_mask), dropout_samples)

    def sampled(self, vectors: Tensor, dropout_samples: int) -> Tensor:
        """Raw outputs for review vectors, one after the other under each dropout mask, shape ``(sample · batch, output)``."""
        output: Tensor = self.head(vectors if dropout_samples == 1 else vectors.repeat(dropout_samples, 1))
        return output


class ProbabilityGraph(nn.Module):
    """A rater as it is exported: token ids to level probabilities."""

    def __init__(self, rater: Rater) -> None:
        super().__init__()
        self.rater = rater

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Level probabilities, shape ``(batch, level)``."""
        return self.rater.head.probabilities(self.rater(input_ids, attention_mask)).to(torch.float32)
