"""Model folders without the graph of their network, which the backbone and the weights that were added to it give again."""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from ratecast.errors import ModelFolderError, require

require("torch", "train", "packing a model")

from ratecast.model.adapters import load_adapter  # noqa: E402 - they need what was just looked for
from ratecast.model.adapters.folder import ADAPTER  # noqa: E402 - as above
from ratecast.model.derive import derive  # noqa: E402 - as above
from ratecast.model.export import AGREEMENT, export_rater  # noqa: E402 - as above
from ratecast.model.graph import (  # noqa: E402 - as above
    GRAPH_DATA_FILE,
    GRAPH_FILE,
    PACKED,
    POOLING_FILE,
    TOKENIZER_FILE,
    OnnxGraph,
)
from ratecast.model.store import Component, Manifest, read_manifest, verify  # noqa: E402 - as above
from ratecast.scale import FloatArray  # noqa: E402 - as above

_PROBES: Final = (
    "Great phone, poor battery.",
    "The room was clean and the staff kind; we shall come back!",
    "never again",
    "Arrived late and broken. The shop did not answer for three weeks, and then refused to take it back.",
    "5/5",
    "很好",
    "",
)
"""What the network says of these is kept with them, so that one which is made again can be compared."""


def pack(folder: str | Path, out: str | Path) -> Manifest:
    """Write a model folder without the graph that predicts: the added weights, the head, the hash of the backbone and the rest.

    It is a few megabytes large where the backbone is hundreds, so that many of them can be kept and sent; `unpack` makes the
    graph again. `load_adapter` and `AdapterBank` use it as it is.

    Args:
        folder: a model folder that was fitted with an adapter, which stays as it is.
        out: where the new one goes; an older model there is replaced.

    Raises:
        ModelFolderError: if the folder is no model, is damaged, has no adapter, is packed already, or its graph was quantised.
        OutputError: if ``out`` holds something else or cannot be written.
    """
    source = Path(folder)
    manifest, graph = _with_adapter(source)
    if PACKED in graph.settings:
        raise ModelFolderError(f"{source} is packed already")
    if not set(graph.files) <= {GRAPH_FILE, GRAPH_DATA_FILE, POOLING_FILE, TOKENIZER_FILE}:
        raise ModelFolderError(f"the network in {source} was quantised; pack the model that it was made from")
    verify(source, graph)
    answers = OnnxGraph.load(source, graph, len(manifest.scale)).probabilities(_PROBES).round(7).tolist()
    packed = {"texts": list(_PROBES), "probabilities": answers}

    def leave_out(_: Path, component: Component) -> Component:
        files = {TOKENIZER_FILE: component.files[TOKENIZER_FILE]}
        return replace(component, files=files, settings={**component.settings, PACKED: packed})

    return derive(source, Path(out), {graph.name: leave_out})


def unpack(folder: str | Path, out: str | Path, *, backbone: str | None = None) -> Manifest:
    """Write a model folder with the graph that predicts, of one that `pack` wrote.

    Args:
        folder: the packed folder, which stays as it is.
        out: where the whole one goes; an older model there, such as the packed one, is replaced.
        backbone: name or folder of the backbone, if it is no longer where it was.

    Raises:
        ModelFolderError: if the folder is not packed or damaged, or the new graph gives other answers than the old one did.
        RatecastError: if it gives other answers than the network in torch.
        BackboneError: if the backbone cannot be found, or is not the one that the adapter was trained on.
        OutputError: if ``out`` holds something else or cannot be written.
    """
    source = Path(folder)
    manifest, graph = _with_adapter(source)
    if PACKED not in graph.settings:
        raise ModelFolderError(f"{source} is not packed: it has the graph of its network")
    loaded = load_adapter(source, backbone=backbone)

    def make(new: Path, component: Component) -> Component:
        with tempfile.TemporaryDirectory(dir=new) as place:
            made, _ = export_rater(loaded.rater, loaded.encoder, Path(place), _PROBES, adapter=loaded.adapter)
            _check_same(OnnxGraph.load(Path(place), made, len(manifest.scale)), component.settings[PACKED], source)
            for file in made.files:
                shutil.move(Path(place) / file, new / file)
        return made

    return derive(source, Path(out), {graph.name: make})


def _check_same(graph: OnnxGraph, packed: Mapping[str, Any], source: Path) -> None:
    """Compare what a graph that was made again says with what the old one said.

    Raises:
        ModelFolderError: if a probability differs by more than 1e-4.
    """
    expected: FloatArray = np.asarray(packed["probabilities"], dtype=np.float64)
    difference = float(np.abs(graph.probabilities(packed["texts"]) - expected).max())
    if not difference <= AGREEMENT:
        raise ModelFolderError(
            f"the network made again from {source} gives other probabilities than the one that was left out: they differ by "
            f"{difference:.2g}, expected at most {AGREEMENT:g}; use the versions of torch and transformers of then"
        )


def _with_adapter(folder: Path) -> tuple[Manifest, Component]:
    """The manifest and the graph's component of a model that was fitted with an adapter."""
    manifest = read_manifest(folder)
    kinds = {part.kind: part for part in manifest.components}
    if ADAPTER not in kinds:
        raise ModelFolderError(
            f"{folder} has no adapter, so that nothing of its network could be left out: fit with --tune lora or another method"
        )
    return manifest, kinds["onnx"]
