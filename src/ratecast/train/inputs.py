"""A set of reviews as the training loop takes it: rows in, the network's raw outputs out."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ratecast.model.rater import Rater
from ratecast.scale import FloatArray
from ratecast.text import TextSettings, TokenisedTexts, inference_batches, pad
from ratecast.train.frozen import Encoded, StoredLayer, stored_layers


@dataclass(frozen=True, kw_only=True)
class RatedTexts:
    """Tokenised reviews with their ratings, and what has been computed of them already.

    Attributes:
        texts: token ids.
        ratings: shape ``(review,)``.
        weights: how much each review counts, as `review_weights` gives it.
        encoded: outputs of layers that are not trained; None where all are.
    """

    texts: TokenisedTexts
    ratings: FloatArray
    weights: FloatArray | None = None
    encoded: Encoded | None = None

    def __len__(self) -> int:
        return len(self.ratings)


class Network:
    """A rater that skips the layers whose outputs are stored.

    Args:
        rater: the network.
        settings: how to pad texts.
        frozen: number of frozen layers.
        layers: number of all layers.
        tuple_length: as for `HiddenStates`.
    """

    def __init__(self, rater: Rater, settings: TextSettings, *, frozen: int, layers: int, tuple_length: int = 0) -> None:
        self.rater = rater
        self._settings = settings
        self._frozen = frozen
        self._only_head = frozen == layers
        self._tuple_length = tuple_length
        self._stand_in: StoredLayer | None = None

    @contextmanager
    def skipping(self) -> Iterator["Network"]:
        """While the context is open, frozen layers are not computed; each set must have been encoded before."""
        if self._only_head or not self._frozen:
            yield self
            return
        with stored_layers(self.rater, self._frozen, self._tuple_length) as self._stand_in:
            yield self

    def output(self, reviews: RatedTexts, rows: NDArray[np.int64]) -> Tensor:
        """The head's raw outputs for some rows of a set, shape ``(batch, output)``."""
        device = self.rater.head.linear.weight.device
        if self._only_head and reviews.encoded is not None:
            output: Tensor = self.rater.head(reviews.encoded.vectors[rows].to(device))
            return output
        left = self._settings.pad_left
        batch = pad(reviews.texts.ids, rows, pad_id=self._settings.pad_id, pad_left=left)
        if self._stand_in is not None and reviews.encoded is not None and reviews.encoded.hidden is not None:
            states = reviews.encoded.hidden.padded(rows, batch.input_ids.shape[1], pad_left=left)
            self._stand_in.states = states.to(device)
        mask = torch.from_numpy(batch.attention_mask).to(device)
        output = self.rater(torch.from_numpy(batch.input_ids).to(device), mask)
        return output  # noqa: RET504 - annotated above, the module's call is not

    @torch.no_grad()
    def outputs(self, reviews: RatedTexts) -> Tensor:
        """Raw outputs of a whole set, without dropout, shape ``(review, output)``."""
        was_training = self.rater.training
        self.rater.eval()
        groups = inference_batches(reviews.texts.lengths)
        parts = [self.output(reviews, rows).float().cpu() for rows in groups]
        self.rater.train(was_training)
        found = torch.empty(len(reviews), parts[0].shape[1])
        found[np.concatenate(groups)] = torch.cat(parts)
        return found
