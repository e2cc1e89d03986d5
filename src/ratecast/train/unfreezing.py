"""Gradual unfreezing: the backbone's layers join the training one after another, the topmost first."""

from torch import nn

from ratecast.model.backbone import transformer_layers


class Unfreezing:
    """Lets the layers that are trained join one after another.

    The topmost one trains from the start, beside the head (Howard & Ruder 2018, "Universal Language Model Fine-tuning for Text
    Classification", section 3.3). The others join at even distances, the lowest at ``share`` of the schedule, and with it
    whatever is trained outside of the layers, such as embeddings. A weight that waits requires no gradient, so nothing is
    computed for it in a backward pass, and the optimiser passes over it.

    A layer that waits is computed in each step; only layers that never train are stored (`ratecast.train.frozen`). Storing
    what waits would save a tenth of the time of six layers that join over half of the training, less the passes that fill
    the store, one for each layer that joins.

    Args:
        backbone: a transformers model; it is to train the weights that require gradients now.
        share: share of the schedule over which layers join, above 0.
    """

    def __init__(self, backbone: nn.Module, share: float) -> None:
        self._share = share
        layers = [[weight for weight in layer.parameters() if weight.requires_grad] for layer in transformer_layers(backbone)]
        self._groups = [weights for weights in reversed(layers) if weights]
        inside = {id(weight) for weights in self._groups for weight in weights}
        outside = [weight for weight in backbone.parameters() if weight.requires_grad and id(weight) not in inside]
        if self._groups:
            self._groups[-1].extend(outside)
        self._joined = len(self._groups)

    def joined(self, progress: float) -> int:
        """How many of the top layers train at some progress, 0 to 1, of the schedule."""
        others = len(self._groups) - 1
        return sum(number == 0 or progress >= self._share * (number / others) for number in range(len(self._groups)))

    def advance(self, progress: float) -> None:
        """Bring the weights to where they stand at that progress."""
        joined = self.joined(progress)
        if joined != self._joined:
            for number, weights in enumerate(self._groups):
                for weight in weights:
                    weight.requires_grad_(number < joined)
            self._joined = joined


def waiting_share(share: float, layers: int) -> float:
    """Share of the layers that wait for their turn, on average over a training of so many layers.

    While they join, from all but one to none of them wait: half of the others' share of the time, which is half of all layers
    where each phase is as long as the next.

    Args:
        share: share of the schedule over which they join; 0 where all train from the start.
        layers: how many are trained.

    Example:
        >>> waiting_share(0.5, 6), waiting_share(0.5, 1)
        (0.25, 0.0)
    """
    return share / 2 if layers > 1 else 0.0
