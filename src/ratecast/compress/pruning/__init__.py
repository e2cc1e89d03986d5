"""Pruning a fitted network: fewer layers, attention heads, neurons and tokens, chosen by what they are worth."""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch

from ratecast.compress.pruning.importance import Importance, few_reviews, measure_importance
from ratecast.compress.pruning.structure import LAYOUTS, keep_heads, keep_layers, keep_neurons, layout_of
from ratecast.compress.tokens import reduce_tokenizer
from ratecast.compress.vocabulary import configured_ids, shrink
from ratecast.errors import ConfigError
from ratecast.files import read_state, write_state
from ratecast.model.backbone import transformer_layers
from ratecast.model.rater import Rater
from ratecast.text import TextEncoder
from ratecast.train.inputs import Network, RatedTexts

__all__ = ["LAYOUTS", "Cut", "Importance", "Pruned", "cut_as_before", "measure_importance", "prune"]

LayerChoice = Literal["loss", "even"]
_KEPT_FILE: Final = "pruned.json"


@dataclass(frozen=True, kw_only=True)
class Cut:
    """How much of a network stays.

    Attributes:
        layers: how many of its layers; None for all.
        layer_choice: which ones: "loss" takes away, one after the other, the layer without which the validation loss is least;
            "even" keeps layers at even distances, the topmost among them.
        heads: share of the attention heads.
        neurons: share of the neurons of the feed-forward networks.
        vocabulary: whether only tokens of the texts stay, and those that others fall back on.
    """

    layers: int | None = None
    layer_choice: LayerChoice = "loss"
    heads: float = 1.0
    neurons: float = 1.0
    vocabulary: bool = False


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """What stayed of a network, by number; None where nothing was taken away.

    Attributes:
        layers: its layers.
        heads: the heads of each layer.
        neurons: the neurons of each layer.
        tokens: ids of its tokens.
    """

    layers: list[int] | None = None
    heads: list[list[int]] | None = None
    neurons: list[list[int]] | None = None
    tokens: list[int] | None = None

    def describe(self) -> str:
        """What stayed, for people."""
        parts = []
        if self.layers is not None:
            parts.append(f"layers {', '.join(str(number + 1) for number in self.layers)}")
        if self.heads is not None:
            parts.append(f"{sum(map(len, self.heads))} heads ({', '.join(str(len(heads)) for heads in self.heads)})")
        if self.neurons is not None:
            parts.append(f"{len(self.neurons[0]):,} neurons in each layer")
        if self.tokens is not None:
            parts.append(f"{len(self.tokens):,} tokens")
        return "kept " + "; ".join(parts or ["everything"])

    def save(self, folder: Path, fingerprint: str) -> None:
        """Write it where a run of the same data and settings that is resumed finds it."""
        folder.mkdir(parents=True, exist_ok=True)
        write_state(folder / _KEPT_FILE, {"fingerprint": fingerprint, "kept": asdict(self)})

    @classmethod
    def load(cls, folder: Path, fingerprint: str) -> "Pruned | None":
        """What `save` wrote; None if there is nothing.

        Raises:
            ConfigError: if it is of other data or settings.
            ModelFolderError: if it is damaged.
        """
        found = read_state(folder / _KEPT_FILE)
        if found is None:
            return None
        if found["fingerprint"] != fingerprint:
            raise ConfigError(f"what an interrupted run left in {folder} is of other data or settings; run without --resume")
        return cls(**found["kept"])


def prune(
    rater: Rater,
    encoder: TextEncoder,
    cut: Cut,
    *,
    training: RatedTexts,
    validation: RatedTexts,
    texts: Sequence[str],
    seed: int,
) -> tuple[TextEncoder, Pruned]:
    """Cut a network, which is changed in place: layers first, then heads and neurons of those that stay, then tokens.

    Args:
        rater: the network.
        encoder: its tokenizer.
        cut: how much stays.
        training: reviews by which heads and neurons are judged, 256 of them at most.
        validation: reviews by which layers are judged.
        texts: what tokens must stay for.
        seed: decides which reviews are taken.

    Returns:
        Its tokenizer, a smaller one if the vocabulary was cut, and what stayed.

    Raises:
        BackboneError: if the architecture does not allow it.
        ConfigError: if there are not as many layers as shall stay.
    """
    if cut.heads < 1 or cut.neurons < 1:
        layout_of(rater.backbone)  # refused before anything is cut
    found = Pruned()
    if cut.layers is not None:
        found = replace(found, layers=_chosen_layers(rater, encoder, cut, few_reviews(validation, seed)))
        keep_layers(rater.backbone, found.layers or [])
    if cut.heads < 1 or cut.neurons < 1:
        network = Network(rater, encoder.settings, frozen=0, layers=len(transformer_layers(rater.backbone)))
        importance = measure_importance(network, few_reviews(training, seed))
        heads = importance.best_heads(cut.heads) if cut.heads < 1 else None
        neurons = [kept.tolist() for kept in importance.best_neurons(cut.neurons)] if cut.neurons < 1 else None
        found = replace(found, heads=heads, neurons=neurons)
        _cut_width(rater, found)
    if cut.vocabulary:
        encoder, tokens = _cut_vocabulary(rater, encoder, _seen(encoder, texts))
        found = replace(found, tokens=tokens)
    return encoder, found


def cut_as_before(rater: Rater, encoder: TextEncoder, pruned: Pruned) -> TextEncoder:
    """Cut a network as another one was, and give its tokenizer."""
    if pruned.layers is not None:
        keep_layers(rater.backbone, pruned.layers)
    _cut_width(rater, pruned)
    return encoder if pruned.tokens is None else _cut_vocabulary(rater, encoder, pruned.tokens)[0]


def _cut_width(rater: Rater, pruned: Pruned) -> None:
    if pruned.heads is not None:
        keep_heads(rater.backbone, pruned.heads)
    if pruned.neurons is not None:
        keep_neurons(rater.backbone, [torch.tensor(kept) for kept in pruned.neurons])


def _chosen_layers(rater: Rater, encoder: TextEncoder, cut: Cut, validation: RatedTexts) -> list[int]:
    layers, wanted = len(transformer_layers(rater.backbone)), cut.layers or 0
    least = max(1, rater.pooled_layers)
    if not least <= wanted < layers:
        raise ConfigError(
            f"kept_layers is {wanted}; the network has {layers} layers, of which {least} to {layers - 1} can stay"
        )
    is_fixed = rater.backbone.config.model_type == "modernbert"  # type: ignore[union-attr] # as of all transformers models
    if cut.layer_choice == "even":
        return even_layers(layers, wanted, with_lowest=is_fixed)
    kept = list(range(layers))
    while len(kept) > wanted:
        candidates = [number for number in kept if number or not is_fixed]
        losses = {out: _loss(rater, encoder, [one for one in kept if one != out], validation) for out in candidates}
        kept.remove(min(losses, key=lambda number: losses[number]))
    return kept


def even_layers(layers: int, wanted: int, *, with_lowest: bool = False) -> list[int]:
    """Numbers of layers at even distances, the topmost among them, the lowest too if that is asked for.

    Example:
        >>> even_layers(12, 4), even_layers(12, 4, with_lowest=True)
        ([2, 5, 8, 11], [0, 4, 7, 11])
    """
    if with_lowest:
        return sorted({round(place * (layers - 1) / max(1, wanted - 1)) for place in range(wanted)})
    return [round((place + 1) * layers / wanted) - 1 for place in range(wanted)]


@torch.no_grad()
def _loss(rater: Rater, encoder: TextEncoder, kept: list[int], reviews: RatedTexts) -> float:
    """Mean loss of the network with some of its layers; itself, it is left as it is."""
    candidate = copy.deepcopy(rater)
    keep_layers(candidate.backbone, kept)
    outputs = Network(candidate, encoder.settings, frozen=0, layers=len(kept)).outputs(reviews)
    return float(candidate.head.loss(outputs, torch.as_tensor(reviews.ratings, device=outputs.device)).mean())


def _seen(encoder: TextEncoder, texts: Iterable[str]) -> list[int]:
    encodings = encoder.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    return sorted({number for found in encodings for number in found.ids})


def _cut_vocabulary(rater: Rater, encoder: TextEncoder, wanted: Sequence[int]) -> tuple[TextEncoder, list[int]]:
    """Leave the network the wanted tokens, special ones and those that other texts fall back on."""
    settings, model = encoder.settings, rater.backbone
    special = {*settings.prefix_ids, *settings.suffix_ids, settings.pad_id, *configured_ids(model)}
    reduced = reduce_tokenizer(encoder.tokenizer, {*wanted, *special})
    shrink(model, reduced.kept)
    place: Callable[[int], int] = {number: row for row, number in enumerate(reduced.kept.tolist())}.__getitem__
    changed = replace(
        settings,
        prefix_ids=tuple(map(place, settings.prefix_ids)),
        suffix_ids=tuple(map(place, settings.suffix_ids)),
        pad_id=place(settings.pad_id),
    )
    return TextEncoder(reduced.tokenizer, changed), np.asarray(reduced.kept).tolist()
