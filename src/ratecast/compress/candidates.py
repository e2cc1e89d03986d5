"""Networks that a smaller model may have, each by itself in a folder: the whole one, its variants, and students."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from ratecast.compress.quantise import quantise
from ratecast.model.graph import GRAPH_DATA_FILE, PREFIX, OnnxGraph
from ratecast.model.static import StaticModel
from ratecast.model.store import Component, Manifest, create_component, new_folder, read_manifest, verify, write_manifest
from ratecast.scale import RatingScale

QUANTISED: Final = "int8"
_TOKENS: Final = (128, 64, 32)
"""Lengths that a network is tried at, where its own is longer."""
_LEAST_SHORTENED: Final = 0.1
"""Share of the reviews that must be longer than a length for it to save anything."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network by itself.

    Attributes:
        folder: where its files are, with a manifest that names no other component.
        component: what they are.
        scale: the rating scale.
    """

    folder: Path
    component: Component
    scale: RatingScale

    @property
    def name(self) -> str:
        """What tables, and the blend of a model that has it, call it."""
        return self.component.name

    @property
    def is_network(self) -> bool:
        """Whether it is an exported network, which takes far longer than anything else."""
        return self.component.kind == "onnx"

    @property
    def megabytes(self) -> float:
        """Size of its files, in 10^6 bytes."""
        return sum((self.folder / file).stat().st_size for file in self.component.files) / 1e6

    def load(self, threads: int | None = None) -> OnnxGraph | StaticModel:
        """The network, ready to predict.

        Raises:
            ModelFolderError: if it is damaged.
        """
        verify(self.folder, self.component)
        if self.is_network:
            return OnnxGraph.load(self.folder, self.component, len(self.scale), threads)
        return StaticModel.load(self.folder, list(self.component.files), len(self.scale))

    def write(self, folder: Path, *, prefix: str = "") -> Component:
        """Copy it into a model folder; its files' names get the prefix, which sets two networks of a folder apart.

        The weights of a graph that is too large for one file are found by their name, so that such a one takes no prefix.
        """
        prefix = "" if GRAPH_DATA_FILE in self.component.files or not self.is_network else prefix
        files = [f"{prefix}{file}" for file in self.component.files]
        for file, new in zip(self.component.files, files, strict=True):
            shutil.copyfile(self.folder / file, folder / new)
        settings = {**self.component.settings, **({PREFIX: prefix} if prefix else {})}
        return create_component(folder, self.name, self.component.kind, files, **settings)


def set_apart(model: Path, component: Component, scale: RatingScale, place: Path, *, name: str) -> Candidate:
    """A component of a folder by itself, under a name of its own, copied to a place that `candidate_at` finds it in again."""
    verify(model, component)
    with new_folder(place) as new:
        for file in component.files:
            shutil.copyfile(model / file, new / file)
        write_manifest(new, Manifest(scale=scale, components=(component,), chain=()))
    return candidate_at(place, name)


def candidate_at(place: Path, name: str) -> Candidate:
    """The candidate that lies at a place.

    Raises:
        ModelFolderError: if there is none, or it is damaged.
    """
    manifest = read_manifest(place)
    return Candidate(folder=place, component=replace(manifest.components[0], name=name), scale=manifest.scale)


def quantised(source: Candidate, texts: Sequence[str], place: Path, *, keep_exact: bool = False) -> Candidate:
    """The same network with 8-bit integers, and the exact one beside it where that is to be kept.

    Raises:
        RatecastError: if its answers differ too much.
    """
    quantise(source.folder, texts, out=place, keep_exact=keep_exact)
    return candidate_at(place, f"{source.name}-{QUANTISED}")


def shortened(source: Candidate, graph: OnnxGraph, texts: Sequence[str]) -> Iterator[Candidate]:
    """The same network reading fewer tokens of long reviews, as far as there are enough of these; none if it reads windows."""
    for tokens in shorter_inputs(graph, texts):
        text = {**source.component.settings["text"], "max_tokens": tokens}
        component = replace(
            source.component, name=f"{source.name}-{tokens}-tokens", settings={**source.component.settings, "text": text}
        )
        yield replace(source, component=component)


def shorter_inputs(graph: OnnxGraph, texts: Sequence[str]) -> list[int]:
    """Tokens below a network's own that enough reviews are longer than, the most first; none if it reads windows."""
    settings = graph.encoder.settings
    if settings.windows > 1:
        return []
    lengths = graph.encoder.encode(texts).lengths
    return [
        tokens for tokens in _TOKENS if tokens < settings.max_tokens and float(np.mean(lengths > tokens)) >= _LEAST_SHORTENED
    ]
