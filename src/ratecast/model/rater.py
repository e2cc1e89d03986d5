"""The network: a backbone, a pooling and a head."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ratecast.model.backbone import transformer_layers
from ratecast.model.heads import Head
from ratecast.model.network import Explained, Network
from ratecast.model.pooling import find_pooling
from ratecast.model.precision import computing_in
from ratecast.model.prompting.output import Transform, UnitLength
from ratecast.model.windows import MeanWindows, RecurrentWindows
from ratecast.progress import Reporter, SilentReporter
from ratecast.scale import FloatArray
from ratecast.text import Batch, TextEncoder, inference_batches, pad_texts


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
        windows: makes one vector of those of a review's windows; None where a review is one window.
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
        windows: MeanWindows | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.pooling = pooling
        self.pooled_layers = pooled_layers
        self.precision = precision
        self.transform = transform
        self.windows = windows

    def vectors(self, input_ids: Tensor, attention_mask: Tensor, windows: Tensor | None = None) -> Tensor:
        """One vector for each review, from ids and mask of shape ``(batch, token)``.

        Args:
            input_ids: token ids.
            attention_mask: 1 for a token, 0 for padding.
            windows: as `ratecast.text.Batch.windows` has it, where the rows are windows of reviews.

        Returns:
            Shape ``(review, pooled_layers * width)``, the topmost layer's vector first, or what the transform makes of it.
        """
        return self.joined(self.read(input_ids, attention_mask, windows), windows)

    def joined(self, vectors: Tensor, windows: Tensor | None) -> Tensor:
        """Review vectors from those of their windows, both of width ``pooled_layers * width``."""
        if self.windows is None or windows is None:
            return vectors
        found: Tensor = self.windows(vectors[windows.clamp(min=0)], (windows >= 0).long())
        return found

    def read(self, input_ids: Tensor, attention_mask: Tensor, windows: Tensor | None = None) -> Tensor:
        """One vector for each row, shape ``(batch, pooled_layers * width)``; arguments as for `vectors`.

        Where windows recur, all first ones are read, then all second ones with what came of the first, and so on.
        """
        if windows is None or not isinstance(self.windows, RecurrentWindows):
            return self.window_vectors(input_ids, attention_mask)
        width, device = self.windows.carry.in_features, input_ids.device
        last, found = (torch.zeros(len(rows), width, device=device) for rows in (windows, input_ids))
        for column in windows.unbind(1):
            reviews = (column >= 0).nonzero().squeeze(1)
            rows = column[reviews]
            vectors = self.window_vectors(input_ids[rows], attention_mask[rows], last[reviews])
            last, found = last.index_copy(0, reviews, vectors), found.index_copy(0, rows, vectors)
        return found

    def window_vectors(self, input_ids: Tensor, attention_mask: Tensor, before: Tensor | None = None) -> Tensor:
        """One vector for each row, read by itself or, where windows recur, with what the window before it was read as.

        Args:
            input_ids: shape ``(batch, token)``.
            attention_mask: shape ``(batch, token)``.
            before: vectors of the windows before, zeros where there is none, shape ``(batch, pooled_layers * width)``.
        """
        given = {"input_ids": input_ids, "attention_mask": attention_mask}
        if before is not None and isinstance(self.windows, RecurrentWindows):
            embed: Any = self.backbone.get_input_embeddings()  # type: ignore[operator] # torch says that any attribute of a module may be a tensor
            summary = self.windows.summary(before)
            given = {
                "inputs_embeds": torch.cat([summary, embed(input_ids)], 1),
                "attention_mask": torch.cat([torch.ones_like(attention_mask[:, :1]), attention_mask], 1),
            }
        with self._lower_layers() as lower, computing_in(self.precision, input_ids.device):
            output: Any = self.backbone(**given)
        pool = find_pooling(self.pooling)
        pooled = torch.cat([pool(states.float(), attention_mask) for states in (output.last_hidden_state, *lower)], dim=1)
        found: Tensor = pooled if self.transform is None else self.transform(pooled)
        return found

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, dropout_samples: int = 1, windows: Tensor | None = None
    ) -> Tensor:
        """The head's raw outputs, shape ``(review, output)``, or ``(sample · review, output)`` with several dropout masks."""
        return self.sampled(self.vectors(input_ids, attention_mask, windows), dropout_samples)

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

    def forward(self, input_ids: Tensor, attention_mask: Tensor, windows: Tensor | None = None) -> Tensor:
        """Level probabilities, shape ``(review, level)``."""
        return self.rater.head.probabilities(self.rater(input_ids, attention_mask, windows=windows)).to(torch.float32)


class WindowGraph(nn.Module):
    """The part of a rater that reads windows, as it is exported."""

    def __init__(self, rater: Rater) -> None:
        super().__init__()
        self.rater = rater

    def forward(self, input_ids: Tensor, attention_mask: Tensor, before: Tensor | None = None) -> Tensor:
        """Window vectors, shape ``(window, width)``; arguments as for `Rater.window_vectors`."""
        return self.rater.window_vectors(input_ids, attention_mask, before)


class PoolingGraph(nn.Module):
    """What a rater makes of window vectors, as it is exported."""

    def __init__(self, rater: Rater) -> None:
        super().__init__()
        self.windows, self.head = rater.windows, rater.head

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """Level probabilities, shape ``(review, level)``; arguments as for `MeanWindows.forward`."""
        if self.windows is None:
            raise TypeError("expected a rater that reads windows")
        return self.head.probabilities(self.head(self.windows(vectors, mask))).to(torch.float32)


def batch_tensors(batch: Batch, device: torch.device | None = None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Ids, mask and windows of a batch as `Rater.vectors` takes them."""
    windows = None if batch.windows is None else torch.from_numpy(batch.windows).to(device)
    return torch.from_numpy(batch.input_ids).to(device), torch.from_numpy(batch.attention_mask).to(device), windows


def torch_probabilities(rater: Rater, encoder: TextEncoder, texts: Sequence[str]) -> FloatArray:
    """Level probabilities by torch in one batch, shape ``(text, level)``."""
    return _batch_probabilities(rater, pad_texts(encoder.encode(texts), np.arange(len(texts)), encoder.settings))


def _batch_probabilities(rater: Rater, batch: Batch) -> FloatArray:
    with torch.inference_mode():
        found = ProbabilityGraph(rater)(*batch_tensors(batch))
    probabilities: FloatArray = (found.double() / found.double().sum(1, keepdim=True)).numpy()
    return probabilities


class TorchNetwork(Network):
    """A network that torch computes, where there is no graph of it.

    Args:
        rater: the network.
        encoder: turns texts into token ids.
    """

    def __init__(self, rater: Rater, encoder: TextEncoder) -> None:
        super().__init__(encoder)
        self.rater = rater

    def explained(self, texts: Sequence[str], reporter: Reporter | None = None) -> Explained:
        """Level probabilities, and what else there is to know of each text."""
        tokenised = self.encoder.encode(texts)
        found = np.empty((len(texts), len(self.rater.head.scale)))
        with (reporter or SilentReporter()).track("predicting", len(texts)) as advance:
            for rows in inference_batches(tokenised.lengths):
                found[rows] = _batch_probabilities(self.rater, pad_texts(tokenised, rows, self.encoder.settings))
                advance(len(rows), "")
        return Explained(found, tokenised.shortened, self.unknown_shares(tokenised))
