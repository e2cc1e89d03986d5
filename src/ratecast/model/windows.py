"""From the vectors of a long review's windows to one vector for the review.

A backbone reads a limited number of tokens, and needs time in proportion to the square of it; windows keep both small. Every
pooling here starts as the plain mean, so that training begins where the untrained backbone stands.
"""

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ratecast.config import BackboneConfig
from ratecast.errors import ConfigError
from ratecast.model.backbone import backbone_architecture, most_positions


class MeanWindows(nn.Module):
    """The mean of a review's window vectors: no weights of its own."""

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """One vector for each review.

        Args:
            vectors: of each window, shape ``(review, window, width)``.
            mask: 1 for a window, 0 where a review has fewer, shape ``(review, window)``.

        Returns:
            Shape ``(review, width)``.
        """
        weights = mask.unsqueeze(-1).to(vectors.dtype)
        return (vectors * weights).sum(1) / weights.sum(1).clamp(min=1)


class AttentionWindows(MeanWindows):
    """A mean with learnt weights: softmax over the windows of √width · (q · v̂ / width + p).

    v̂ is the window's vector, standardised, and q one learnt query for all reviews, as in the attention over sentences of
    Yang et al. 2016, "Hierarchical attention networks", section 2.2, without its hidden layer. p is a learnt number for each
    distance from the review's end, where verdicts tend to stand. Both begin at zero, as the mean.

    Args:
        width: length of the vectors.
        windows: most windows of a review.
    """

    def __init__(self, width: int, windows: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(width))
        self.place = nn.Parameter(torch.zeros(windows))

    def weights(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """What each window counts, shape ``(review, window)``; arguments as for `forward`."""
        width = vectors.shape[-1]
        following = (mask.sum(1, keepdim=True) - mask.cumsum(1)).clamp(min=0, max=len(self.place) - 1)
        fit = (functional.layer_norm(vectors, (width,)) * self.query).mean(-1) + self.place[following]
        scores: Tensor = (width**0.5 * fit).masked_fill(mask == 0, torch.finfo(vectors.dtype).min)
        return scores.softmax(1)

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """One vector for each review, shape ``(review, width)``; arguments as for `MeanWindows.forward`."""
        return (vectors * self.weights(vectors, mask).unsqueeze(-1)).sum(1)


class RecurrentWindows(MeanWindows):
    """The mean of windows, each of which was read after a summary of the one before, as if that were a token.

    Memory that goes from segment to segment in the place of tokens is that of Bulatov et al. 2022, "Recurrent memory
    transformer", section 3, here of one vector; the idea to go on from the segment before is that of Dai et al. 2019,
    "Transformer-XL", section 3.2. The summary is s + C · v / ‖v‖ with v the window's vector. C begins at zero, so that at
    first every window has the same learnt token s before it, and gradients go back through all windows.

    Args:
        width: length of the vectors.
        embeddings: the backbone's token embeddings; s begins as their mean.
    """

    def __init__(self, width: int, embeddings: Tensor) -> None:
        super().__init__()
        self.start = nn.Parameter(embeddings.detach().float().mean(0))
        self.carry = nn.Linear(width, embeddings.shape[1], bias=False)
        nn.init.zeros_(self.carry.weight)

    def summary(self, before: Tensor) -> Tensor:
        """What stands before each window in the place of a token, shape ``(window, 1, embedding)``.

        Args:
            before: vectors of the windows before them, zeros for a review's first, shape ``(window, width)``.
        """
        found: Tensor = self.start + self.carry(functional.normalize(before, dim=1))
        return found.unsqueeze(1)


WINDOW_POOLINGS = {"attention": AttentionWindows, "mean": MeanWindows, "recurrent": RecurrentWindows}
"""Every pooling of windows by the name used in the configuration."""


def create_window_pooling(config: BackboneConfig, width: int, backbone: nn.Module) -> MeanWindows | None:
    """The pooling that the settings ask for; None where a review is read in one window.

    Args:
        config: the settings.
        width: length of the window vectors.
        backbone: what reads the windows.
    """
    if config.windows == 1:
        return None
    if config.window_pooling == "recurrent":
        model: Any = backbone
        return RecurrentWindows(width, model.get_input_embeddings().weight)
    return AttentionWindows(width, config.windows) if config.window_pooling == "attention" else MeanWindows()


def summary_tokens(config: BackboneConfig) -> int:
    """Positions that the summary of the window before takes up."""
    return 1 if config.windows > 1 and config.window_pooling == "recurrent" else 0


def pooling_name(pooling: MeanWindows) -> str:
    """What the configuration calls a pooling of windows."""
    return next(name for name, kind in WINDOW_POOLINGS.items() if type(pooling) is kind)


def check_windows(config: BackboneConfig, *, added_tokens: int = 0) -> None:
    """Refuse a backbone that can take no summary before the text where windows recur; weights are not read.

    Args:
        config: the settings.
        added_tokens: positions that a tuning method takes up.

    Raises:
        BackboneError: if it cannot be found.
        ConfigError: naming the backbone.
    """
    if not summary_tokens(config):
        return
    from transformers.models.auto.modeling_auto import MODEL_MAPPING

    architecture = backbone_architecture(config.backbone)
    positions = most_positions(architecture)
    kind: Any = MODEL_MAPPING[type(architecture)]
    if "inputs_embeds" not in inspect.signature(kind.forward).parameters:
        raise ConfigError(
            f"window_pooling=recurrent puts a vector before the tokens, which the backbone {config.backbone!r} "
            f"({kind.__name__}) does not take: choose attention or mean"
        )
    taken = summary_tokens(config) + added_tokens
    if positions is not None and config.max_tokens is not None and config.max_tokens + taken > positions:
        raise ConfigError(
            f"max_tokens is {config.max_tokens}, but of the {positions} positions of the backbone {config.backbone!r} "
            f"window_pooling=recurrent takes one: ask for up to {positions - taken}"
        )
