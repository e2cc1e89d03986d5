"""The next word: the pretraining of GPT."""

from typing import ClassVar

import torch

from ratecast.pretraining.examples import Batch
from ratecast.pretraining.language import DECODER
from ratecast.pretraining.objectives.base import Loss, PretrainingObjective


class CausalObjective(PretrainingObjective):
    """Which token comes next?

    The loss is the mean cross-entropy of all tokens but the first of a block (Radford et al. 2018, section 3.1).
    """

    name: ClassVar = "causal"
    kinds: ClassVar = frozenset({DECODER})
    learning_rate: ClassVar = 1e-4

    def loss(self, batch: Batch, seed: tuple[int, ...]) -> Loss:
        """Mean cross-entropy of each token after the first of its block; nothing in it is random."""
        ids, mask = self.tensors(batch)
        rows, width = ids.shape
        places = torch.arange(rows * width, device=ids.device).view(rows, width)[:, :-1].flatten()
        logits = self.language.logits(ids, mask, places)
        return Loss(mean=torch.nn.functional.cross_entropy(logits, ids[:, 1:].flatten()), count=len(places))
