"""Contrastive learning of review vectors."""

from typing import ClassVar, Final, Literal

import numpy as np
import torch
from torch import Tensor

from ratecast.config import PretrainConfig
from ratecast.model.pooling import POOLINGS
from ratecast.pretraining.corpus import Corpus, Rows
from ratecast.pretraining.examples import Batch, Examples, SingleReviews
from ratecast.pretraining.language import DECODER, ENCODER, LanguageModel
from ratecast.pretraining.objectives.base import Loss, PretrainingObjective

TEMPERATURE: Final = 0.05


class ContrastiveObjective(PretrainingObjective):
    """Which review of the batch is this one, under another dropout mask?

    The loss is equation 4 of Gao et al. 2021, "SimCSE", section 3. Two passes of a review through the backbone, which differ by
    dropout alone, are a pair; the other reviews of the batch are what it has to be told from. Review vectors are
    what fine-tuning takes by default: the mean of an encoder's token vectors, the last one of a decoder's.
    """

    name: ClassVar = "contrastive"
    kinds: ClassVar = frozenset({ENCODER, DECODER})
    measure: ClassVar[Literal["perplexity", "loss"]] = "loss"
    learning_rate: ClassVar = 3e-5
    inner_dropout: ClassVar = True

    def __init__(self, language: LanguageModel, config: PretrainConfig) -> None:
        super().__init__(language, config)
        language.without_output()

    def examples(self, corpus: Corpus, rows: Rows) -> Examples:
        """Single reviews, by length."""
        settings = self.language.encoder.settings
        return SingleReviews(corpus, rows, settings, batch_tokens=self.config.batch_tokens)

    def loss(self, batch: Batch, seed: tuple[int, ...]) -> Loss:
        """Mean over the reviews; the dropout masks follow from ``seed``, in evaluations too."""
        ids, mask = self.tensors(batch)
        was_training = self.language.training
        self.language.train()
        with torch.random.fork_rng():
            torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
            vectors = self.language.vectors(ids.repeat(2, 1), mask.repeat(2, 1))
        self.language.train(was_training)
        pooling = POOLINGS["last" if self.language.kind == DECODER else "mean"]
        first, second = pooling(vectors, mask.repeat(2, 1)).chunk(2)
        return Loss(mean=contrast(first, second), count=len(ids))


def contrast(first: Tensor, second: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """−log of the share that each review's own pair has among all pairs of the batch, by exp(cosine / temperature); mean.

    Args:
        first: vectors under one dropout mask, shape ``(review, width)``.
        second: under another, same shape.
        temperature: the lower, the more the nearest others count.
    """
    first, second = (torch.nn.functional.normalize(part, dim=1) for part in (first, second))
    return torch.nn.functional.cross_entropy(first @ second.T / temperature, torch.arange(len(first), device=first.device))
