"""How much a network's loss would change without a head or a neuron: first order, from activations and their gradients.

The loss without a part whose output is a is about L − a · ∂L/∂a. Heads: Michel, Levy & Neubig 2019, "Are Sixteen Heads Really
Better than One?", section 4.1. Neurons: Molchanov et al. 2017, "Pruning Convolutional Neural Networks for Resource Efficient
Inference", equation 7, as McCarley, Chakravarti & Sil 2019, "Structured Pruning of a BERT-based Question Answering Model", do
it for feed-forward networks.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from ratecast.compress.pruning.structure import head_size, layout_of
from ratecast.model.backbone import transformer_layers
from ratecast.text import inference_batches
from ratecast.train.inputs import Network, RatedTexts

REVIEWS: Final = 256
"""Reviews that importance is measured on, at most."""


@dataclass(frozen=True, kw_only=True)
class Importance:
    """What each part is worth.

    Attributes:
        heads: shape ``(layer, head)``; each layer's numbers have the length 1, by which they can be compared (Michel et al.).
        neurons: shape ``(layer, neuron)``.
    """

    heads: Tensor
    neurons: Tensor

    def best_heads(self, share: float) -> list[list[int]]:
        """Numbers of the heads of each layer that stay: the most important of all layers, and one of each at least."""
        layers, heads = self.heads.shape
        firsts = self.heads.argmax(dim=1)
        scores = self.heads.clone()
        scores[torch.arange(layers), firsts] = torch.inf
        chosen = scores.flatten().argsort(descending=True, stable=True)[: max(layers, round(share * layers * heads))]
        return [sorted((chosen[chosen // heads == layer] % heads).tolist()) for layer in range(layers)]

    def best_neurons(self, share: float) -> list[Tensor]:
        """Numbers of the neurons of each layer that stay: its most important ones, as many in each."""
        count = max(1, round(share * self.neurons.shape[1]))
        return [scores.argsort(descending=True, stable=True)[:count].sort().values for scores in self.neurons]


def measure_importance(network: Network, reviews: RatedTexts) -> Importance:
    """Measure heads and neurons on some reviews; the network is left as it was.

    Raises:
        BackboneError: if its architecture is not known.
    """
    rater = network.rater
    layout, size = layout_of(rater.backbone), head_size(rater.backbone)
    layers: Any = transformer_layers(rater.backbone)
    wanted = [weight.requires_grad for weight in rater.parameters()]
    rater.requires_grad_(True)
    was_training = rater.training
    rater.eval()
    heads = [torch.zeros(layer.get_submodule(layout.joined).in_features // size) for layer in layers]
    neurons = [torch.zeros(layer.get_submodule(layout.outer).in_features) for layer in layers]
    for rows in inference_batches(reviews.texts.lengths):
        with _inputs(layers, layout.joined) as of_heads, _inputs(layers, layout.outer) as of_neurons:
            output = network.output(reviews, rows)
            ratings = torch.as_tensor(reviews.ratings[rows], device=output.device)
            loss = rater.head.loss(output, ratings).sum()
            gradients = torch.autograd.grad(loss, [*of_heads, *of_neurons])
        for number, (states, gradient) in enumerate(zip([*of_heads, *of_neurons], gradients, strict=True)):
            change = (states * gradient).detach().sum(1).cpu()  # (text or window, input), summed over the tokens
            if number < len(layers):
                heads[number] += change.view(len(change), -1, size).sum(-1).abs().sum(0)
            else:
                neurons[number - len(layers)] += change.abs().sum(0)
    for weight, was_wanted in zip(rater.parameters(), wanted, strict=True):
        weight.requires_grad_(was_wanted)
    rater.train(was_training)
    found = torch.stack(heads)
    return Importance(heads=found / found.norm(dim=1, keepdim=True).clamp(min=1e-12), neurons=torch.stack(neurons))


def few_reviews(reviews: RatedTexts, seed: int) -> RatedTexts:
    """Some of the reviews, drawn at random."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(reviews))[:REVIEWS])
    return RatedTexts(texts=reviews.texts.take(rows), ratings=reviews.ratings[rows])


@contextmanager
def _inputs(layers: Any, name: str) -> Iterator[list[Tensor]]:
    """What enters a linear map of each layer, from the lowest to the topmost, once the network has run."""
    found: list[Tensor] = []
    handles = [
        layer.get_submodule(name).register_forward_pre_hook(lambda _module, given: found.append(given[0])) for layer in layers
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
