"""A set of reviews as the training loop takes it: rows in, the network's raw outputs out."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ratecast.errors import ShapeError
from ratecast.model.backbone import transformer_layers
from ratecast.model.rater import Rater, batch_tensors
from ratecast.scale import FloatArray
from ratecast.text import AugmentedTexts, TextSettings, TokenisedTexts, inference_batches, pad_texts
from ratecast.train.frozen import Encoded, StoredLayer, stored_layers


@dataclass(frozen=True, kw_only=True)
class RatedTexts:
    """Tokenised reviews with their ratings, and what has been computed of them already.

    Attributes:
        texts: token ids.
        ratings: shape ``(review,)``.
        weights: how much each review counts, as `review_weights` gives it.
        encoded: outputs of layers that are not trained; None where all are.
        targets: level probabilities to learn besides the ratings, such as an ensemble's, shape ``(review, level)``.
        target_weight: weight of the divergence from them in the loss, for all reviews or for each; the ratings' has the rest
            of 1.
        augmented: gives the texts of each pass, in place of ``texts``; only where no layer's outputs are stored.

    Raises:
        ShapeError: if there are not as many targets as reviews.
    """

    texts: TokenisedTexts
    ratings: FloatArray
    weights: FloatArray | None = None
    encoded: Encoded | None = None
    targets: FloatArray | None = None
    target_weight: float | FloatArray = 0.5
    augmented: AugmentedTexts | None = None

    def __post_init__(self) -> None:
        if self.targets is not None and len(self.targets) != len(self):
            raise ShapeError(f"found targets of {len(self.targets)} reviews, expected one for each of {len(self)}")

    def __len__(self) -> int:
        return len(self.ratings)

    def in_pass(self, epoch: int) -> "RatedTexts":
        """The set as one pass over it reads it."""
        return self if self.augmented is None else replace(self, texts=self.augmented.in_pass(epoch))


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

    def entrance(self) -> nn.Module:
        """The first module that is trained and takes what frozen ones give: a layer, or the head."""
        return self.rater.head if self._only_head else transformer_layers(self.rater.backbone)[self._frozen]

    def output(self, reviews: RatedTexts, rows: NDArray[np.int64], dropout_samples: int = 1) -> Tensor:
        """The head's raw outputs for some rows of a set, shape ``(sample · batch, output)``."""
        device = self.rater.head.linear.weight.device
        if self._only_head and reviews.encoded is not None:
            return self.rater.sampled(self._stored(reviews.encoded, reviews.texts, rows).to(device), dropout_samples)
        batch = pad_texts(reviews.texts, rows, self._settings)
        if self._stand_in is not None and reviews.encoded is not None and reviews.encoded.hidden is not None:
            lines = reviews.texts.windows_of(rows)
            states = reviews.encoded.hidden.padded(lines, batch.input_ids.shape[1])
            self._stand_in.states = states.to(device)
        ids, mask, windows = batch_tensors(batch, device)
        output: Tensor = self.rater(ids, mask, dropout_samples, windows)
        return output

    def _stored(self, encoded: Encoded, texts: TokenisedTexts, rows: NDArray[np.int64]) -> Tensor:
        """Review vectors from those that are stored, shape ``(batch, width)``."""
        if encoded.windows is None:
            return encoded.vectors[rows]
        device = self.rater.head.linear.weight.device
        vectors, layout = encoded.windows[texts.windows_of(rows)], torch.from_numpy(texts.layout(rows))
        return self.rater.joined(vectors.to(device), layout.to(device))

    @torch.no_grad()
    def outputs(self, reviews: RatedTexts) -> Tensor:
        """Raw outputs of a whole set, without dropout, shape ``(review, output)``."""
        was_training = self.rater.training
        self.rater.eval()
        groups = inference_batches(reviews.texts.lengths)
        parts = [self.output(reviews, rows).float() for rows in groups]
        self.rater.train(was_training)
        found = torch.empty(len(reviews), parts[0].shape[1], device=parts[0].device)
        found[np.concatenate(groups)] = torch.cat(parts)
        return found
