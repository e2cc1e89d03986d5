"""Networks that parts were cut out of, beside networks in which the same parts are masked."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from architectures import write_tiny
from ratecast.compress.pruning import LAYOUTS, Cut, Pruned, cut_as_before, even_layers, prune
from ratecast.compress.pruning.importance import measure_importance
from ratecast.compress.pruning.structure import head_size, keep_heads, keep_layers, keep_neurons
from ratecast.config import BackboneConfig, FitConfig
from ratecast.errors import BackboneError, ConfigError
from ratecast.model.backbone import load_backbone, transformer_layers
from ratecast.model.rater import Rater, torch_probabilities
from ratecast.scale import RatingScale
from ratecast.text import TextEncoder
from ratecast.train.inputs import Network, RatedTexts
from ratecast.train.network import create_rater

SCALE = RatingScale.parse("1..5")
RATINGS = np.array([1.0, 5.0, 3.0, 4.0, 2.0, 5.0])
TEXTS = ["bad food", "great staff and great room", "the hotel was fine", "good phone", "awful", "i love this movie"]
DECODERS = ("gpt2", "llama", "qwen2", "qwen3", "smollm3")
Made = tuple[Rater, TextEncoder]


@pytest.fixture
def made(tiny_backbone: Path, tmp_path: Path) -> Callable[[str], Made]:
    """Makes a tiny network of an architecture, in which every weight matters."""

    def make(family: str) -> Made:
        folder = tmp_path / family
        folder.mkdir()
        write_tiny(folder, family, tiny_backbone, gains=0.3)
        backbone = load_backbone(BackboneConfig(backbone=str(folder), max_tokens=32))
        config = FitConfig().with_values(precision="float32")
        rater = create_rater(backbone, SCALE, RATINGS, config)
        nn.init.normal_(rater.head.linear.weight, std=0.3)
        return rater.eval(), backbone.encoder

    return make


def rated(encoder: TextEncoder) -> RatedTexts:
    return RatedTexts(texts=encoder.encode(TEXTS), ratings=RATINGS)


def numbers(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def masking(layers: Any, name: str, kept: list[torch.Tensor]) -> list[Any]:
    """Hooks that put zeros where a linear map of each layer takes in what is not kept."""
    handles = []
    for layer, rows in zip(layers, kept, strict=True):
        linear = layer.get_submodule(name)
        mask = torch.zeros(linear.in_features)
        mask[rows] = 1
        handles.append(linear.register_forward_pre_hook(lambda _module, given, mask=mask: (given[0] * mask,)))
    return handles


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "electra", "distilbert"])
def test_cut_heads_and_neurons_are_as_if_masked(made: Callable[[str], Made], family: str) -> None:
    rater, encoder = made(family)
    layout, layers = LAYOUTS[family], transformer_layers(rater.backbone)
    size, before = head_size(rater.backbone), numbers(rater)
    heads, neurons = [[0, 3], [2]], [torch.arange(1, 40), torch.arange(20, 59)]
    outputs = [torch.cat([torch.arange(size * head, size * head + size) for head in kept]) for kept in heads]
    handles = [*masking(layers, layout.joined, outputs), *masking(layers, layout.outer, neurons)]
    expected = torch_probabilities(rater, encoder, TEXTS)
    for handle in handles:
        handle.remove()
    assert np.abs(torch_probabilities(rater, encoder, TEXTS) - expected).max() > 1e-3
    keep_heads(rater.backbone, heads)
    keep_neurons(rater.backbone, neurons)
    np.testing.assert_allclose(torch_probabilities(rater, encoder, TEXTS), expected, atol=1e-6)
    width = 32
    gone = sum(4 * width * size * (4 - len(kept)) + 3 * size * (4 - len(kept)) for kept in heads)
    gone += sum((2 * width + 1) * (64 - len(kept)) for kept in neurons)
    assert before - numbers(rater) == gone


@pytest.mark.parametrize("family", ["bert", "distilbert", "deberta-v2", "modernbert", *DECODERS])
def test_a_layer_that_is_gone_is_as_if_passed_over(made: Callable[[str], Made], family: str) -> None:
    rater, encoder = made(family)
    layers = transformer_layers(rater.backbone)
    # The output of the upper layer is that of the lower one: as if the upper one were not there.
    kept: list[Any] = []
    below = layers[0].register_forward_hook(lambda _module, _given, output: kept.append(output))
    above = layers[1].register_forward_hook(lambda _module, _given, _output: kept.pop())
    expected = torch_probabilities(rater, encoder, TEXTS)
    below.remove()
    above.remove()
    before = numbers(rater)
    keep_layers(rater.backbone, [0])
    assert len(transformer_layers(rater.backbone)) == 1
    assert numbers(rater) < before
    np.testing.assert_allclose(torch_probabilities(rater, encoder, TEXTS), expected, atol=1e-6)


def test_layers_that_cannot_be_kept_are_refused(made: Callable[[str], Made]) -> None:
    with pytest.raises(ConfigError, match="expected some of 0 to 1"):
        keep_layers(made("bert")[0].backbone, [2])
    with pytest.raises(ConfigError, match="lowest layer of a ModernBERT"):
        keep_layers(made("modernbert")[0].backbone, [1])


@pytest.mark.parametrize("family", ["gpt2", "deberta-v2"])
def test_an_architecture_that_is_not_known_is_refused_by_name(made: Callable[[str], Made], family: str) -> None:
    rater, encoder = made(family)
    before = numbers(rater)
    with pytest.raises(BackboneError, match=f"heads or neurons out of a {family} backbone; known are bert"):
        prune(rater, encoder, Cut(layers=1, heads=0.5), training=rated(encoder), validation=rated(encoder), texts=TEXTS, seed=0)
    assert numbers(rater) == before


def test_importance_is_the_gradient_with_respect_to_a_factor(made: Callable[[str], Made]) -> None:
    """A factor of 1 on a part's output has the gradient Σ a · ∂L/∂a: the reference, review by review."""
    rater, encoder = made("bert")
    layers, layout, size = transformer_layers(rater.backbone), LAYOUTS["bert"], head_size(rater.backbone)
    reviews = rated(encoder)
    network = Network(rater, encoder.settings, frozen=0, layers=2)
    found = measure_importance(network, reviews)
    heads, neurons = torch.zeros(2, 4), torch.zeros(2, 64)
    for row in range(len(TEXTS)):
        factors = (
            [torch.ones(32 // size, requires_grad=True) for _ in range(2)],
            [torch.ones(64, requires_grad=True) for _ in range(2)],
        )
        handles = []
        for number, layer in enumerate(layers):
            of_heads, of_neurons = factors[0][number], factors[1][number]
            handles.append(
                layer.get_submodule(layout.joined).register_forward_pre_hook(
                    lambda _module, given, factor=of_heads: (given[0] * factor.repeat_interleave(size),)
                )
            )
            handles.append(
                layer.get_submodule(layout.outer).register_forward_pre_hook(
                    lambda _module, given, factor=of_neurons: (given[0] * factor,)
                )
            )
        output = network.output(reviews, np.array([row]))
        loss = rater.head.loss(output, torch.tensor(RATINGS[row : row + 1])).sum()
        gradients = torch.autograd.grad(loss, [*factors[0], *factors[1]])
        for handle in handles:
            handle.remove()
        heads += torch.stack(gradients[:2]).abs()
        neurons += torch.stack(gradients[2:]).abs()
    torch.testing.assert_close(found.heads, heads / heads.norm(dim=1, keepdim=True), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.neurons, neurons, atol=1e-4, rtol=1e-4)


def test_the_most_important_parts_stay() -> None:
    from ratecast.compress.pruning import Importance

    found = Importance(
        heads=torch.tensor([[0.9, 0.1, 0.3, 0.2], [0.05, 0.04, 0.01, 0.02]]), neurons=torch.tensor([[1.0, 4, 2], [3, 1, 9]])
    )
    assert found.best_heads(0.5) == [[0, 2, 3], [0]]
    assert found.best_heads(0.01) == [[0], [0]]
    assert [kept.tolist() for kept in found.best_neurons(0.67)] == [[1, 2], [0, 2]]


def test_the_layer_that_is_missed_least_goes(made: Callable[[str], Made]) -> None:
    rater, encoder = made("bert")
    reviews = rated(encoder)
    losses = []
    for kept in ([0], [1]):
        one = copy.deepcopy(rater)
        keep_layers(one.backbone, kept)
        found = torch_probabilities(one, encoder, TEXTS)
        index, levels = RATINGS.astype(int) - 1, np.array(SCALE.levels)
        gaps = (found @ levels - RATINGS) / float(RATINGS.std())
        losses.append(float((-np.log(found[np.arange(6), index]) + gaps**2).mean()))
    _, pruned = prune(rater, encoder, Cut(layers=1), training=reviews, validation=reviews, texts=TEXTS, seed=0)
    assert pruned.layers == [int(np.argmin(losses))]
    assert even_layers(6, 3) == [1, 3, 5]


def test_tokens_that_no_text_has_go_and_the_others_are_read_as_before(made: Callable[[str], Made], tmp_path: Path) -> None:
    rater, encoder = made("roberta")
    whole = copy.deepcopy(rater)
    settings: Any = rater.backbone.config
    expected, rows = torch_probabilities(rater, encoder, TEXTS), settings.vocab_size
    smaller, pruned = prune(
        rater, encoder, Cut(vocabulary=True), training=rated(encoder), validation=rated(encoder), texts=TEXTS, seed=0
    )
    assert settings.vocab_size == len(pruned.tokens or []) < rows
    np.testing.assert_allclose(torch_probabilities(rater, smaller, TEXTS), expected, atol=1e-6)
    other = torch_probabilities(rater, smaller, ["a story of stars", "😀", ""])
    assert np.isfinite(other).all()
    pruned.save(tmp_path, "same")
    with pytest.raises(ConfigError, match="is of other data or settings; run without --resume"):
        Pruned.load(tmp_path, "another")
    again = Pruned.load(tmp_path, "same")
    assert again == pruned
    same = cut_as_before(whole, encoder, again)
    np.testing.assert_allclose(
        torch_probabilities(whole, same, ["good stars"]), torch_probabilities(rater, smaller, ["good stars"])
    )
