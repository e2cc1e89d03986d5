"""What all objectives share."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ratecast.config import PretrainConfig
from ratecast.pretraining.corpus import Corpus, Rows
from ratecast.pretraining.examples import Batch, Blocks, Examples
from ratecast.pretraining.language import LanguageModel


@dataclass(frozen=True, kw_only=True)
class Loss:
    """The loss of a batch.

    Attributes:
        mean: mean of the losses, a scalar.
        count: how many there are: predicted words, or reviews.
    """

    mean: Tensor
    count: int


class PretrainingObjective(ABC):
    """A loss that needs no labels.

    Args:
        language: the model that learns.
        config: the settings.

    Attributes:
        name: what the settings call it.
        kinds: kinds of models that it fits.
        measure: what an evaluation tells: perplexity, the exponential of the mean loss, or the loss.
        learning_rate: peak learning rate where the settings give none.
        inner_dropout: whether it needs the dropout inside the backbone.
    """

    name: ClassVar[str]
    kinds: ClassVar[frozenset[str]]
    measure: ClassVar[Literal["perplexity", "loss"]] = "perplexity"
    learning_rate: ClassVar[float]
    inner_dropout: ClassVar[bool] = False

    def __init__(self, language: LanguageModel, config: PretrainConfig) -> None:
        self.language = language
        self.config = config

    def examples(self, corpus: Corpus, rows: Rows) -> Examples:
        """The reviews at ``rows`` as this objective reads them."""
        language = self.language
        return Blocks(
            corpus,
            rows,
            language.encoder.settings,
            separators=language.separators,
            batch_tokens=self.config.batch_tokens,
        )

    @abstractmethod
    def loss(self, batch: Batch, seed: tuple[int, ...]) -> Loss:
        """Loss of a batch; all that is random in it follows from ``seed``."""

    def tensors(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Ids and mask of a batch where the model is, each of shape ``(example, token)``."""
        device = self.language.device
        return torch.from_numpy(batch.input_ids).to(device), torch.from_numpy(batch.attention_mask).to(device)
