"""From torch to the files of a model folder."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from ratecast.errors import RatecastError
from ratecast.model.adapters import Adapter, save_adapter
from ratecast.model.attention import fused_attention
from ratecast.model.graph import GRAPH_DATA_FILE, GRAPH_FILE, POOLING_FILE, TOKENIZER_FILE, OnnxGraph, graph_settings
from ratecast.model.rater import PoolingGraph, ProbabilityGraph, Rater, WindowGraph, torch_probabilities
from ratecast.model.store import Component, create_component
from ratecast.model.windows import RecurrentWindows, pooling_name
from ratecast.scale import FloatArray
from ratecast.text import TextEncoder, pad

WEIGHTS_FILE = "model.safetensors"
BACKBONE_FILE = "backbone.json"
AGREEMENT = 1e-4
"""Largest difference allowed between a probability of torch and of the exported graph."""
MOST_GRAPH_BYTES = 1_500_000_000
"""Weights of more than this lie beside the graph: a protobuf message holds at most 2 GiB."""


def export_rater(
    rater: Rater,
    encoder: TextEncoder,
    folder: Path,
    sample: Sequence[str],
    *,
    name: str = "graph",
    adapter: Adapter | None = None,
) -> tuple[Component, Component]:
    """Write a rater as an ONNX graph and as safetensors weights, and check that the graph gives the same answers.

    One that reads windows becomes two graphs: a window's vector, and from those of a review its level probabilities. So windows
    are batched by their length whichever reviews they are of, and their number has no limit.

    Of a backbone with added weights only these and the head are written as safetensors. Where the method can, they are then
    merged into the rater's backbone, so that the graph costs no more than one of the backbone alone.

    Args:
        rater: the trained network.
        encoder: its tokenizer.
        folder: where to write.
        sample: texts to compare torch and the graph on.
        name: what the component that predicts is called.
        adapter: the added weights, and the backbone that they belong to.

    Returns:
        The graph component, which predicts, and the weights component, which training can go on from.

    Raises:
        RatecastError: if torch and the graph disagree by more than 1e-4.
    """
    rater = rater.eval().cpu()
    rater.precision = torch.float32
    encoder.save(folder / TOKENIZER_FILE)
    expected = torch_probabilities(rater, encoder, sample)
    if adapter is None:
        stored = _save_weights(rater, folder)
    else:
        stored = save_adapter(rater, adapter, folder)
        rater.backbone = adapter.method.merged(adapter.model).eval()
    graph = _fused_graph(rater, encoder, folder, sample, name=name, expected=expected)
    if graph is None:
        _write_graphs(rater, encoder, folder)
        graph, difference = _compare(rater, encoder, folder, sample, name=name, attention="torch", expected=expected)
        if not difference <= AGREEMENT:
            raise RatecastError(f"the exported graph differs from torch by {difference:.2g}; expected at most {AGREEMENT:g}")
    return graph, stored


def _fused_graph(
    rater: Rater, encoder: TextEncoder, folder: Path, sample: Sequence[str], *, name: str, expected: FloatArray
) -> Component | None:
    """The graph with attention as one node, where the backbone's can be written so and the answers agree; else None."""
    try:
        with fused_attention(rater) as is_any:
            if not is_any:
                return None
            _write_graphs(rater, encoder, folder)
        graph, difference = _compare(rater, encoder, folder, sample, name=name, attention="fused", expected=expected)
    except Exception:  # noqa: BLE001 - exporter and ONNX Runtime raise what they like; the plain graph shows if it is something else
        return None
    return graph if difference <= AGREEMENT else None


def _compare(
    rater: Rater, encoder: TextEncoder, folder: Path, sample: Sequence[str], *, name: str, attention: str, expected: FloatArray
) -> tuple[Component, float]:
    """The component of the graph that lies in the folder, and how much its answers differ from the expected ones."""
    files = [file for file in (GRAPH_FILE, GRAPH_DATA_FILE, POOLING_FILE, TOKENIZER_FILE) if (folder / file).exists()]
    graph = create_component(folder, name, "onnx", files, **graph_settings(encoder), attention=attention)
    found = OnnxGraph.load(folder, graph, len(rater.head.scale)).probabilities(sample)
    return graph, float(np.abs(expected - found).max())


def _save_weights(rater: Rater, folder: Path) -> Component:
    weights = {name: tensor.contiguous() for name, tensor in rater.state_dict().items()}
    save_file(_without_shared(weights), folder / WEIGHTS_FILE)
    rater.backbone.config.to_json_file(folder / BACKBONE_FILE)  # type: ignore[union-attr, operator]
    settings: dict[str, Any] = {"pooling": rater.pooling, "layers": rater.pooled_layers}
    if rater.transform is not None:
        settings["transform"] = rater.transform.settings
    if rater.windows is not None:
        settings["window_pooling"] = pooling_name(rater.windows)
    return create_component(folder, "weights", "weights", [WEIGHTS_FILE, BACKBONE_FILE], **settings)


def _write_graphs(rater: Rater, encoder: TextEncoder, folder: Path) -> None:
    """Write what predicts: one graph, or where reviews are read in windows one for these and one for what they make."""
    example = pad(encoder.encode(["good", "very good indeed"]).ids, np.arange(2), pad_id=encoder.settings.pad_id)
    texts = {"input_ids": torch.from_numpy(example.input_ids), "attention_mask": torch.from_numpy(example.attention_mask)}
    if rater.windows is None:
        _write_graph(ProbabilityGraph(rater), texts, "probabilities", folder / GRAPH_FILE)
        return
    with torch.inference_mode():
        vectors = rater.window_vectors(**texts)
    before = {"before": vectors} if isinstance(rater.windows, RecurrentWindows) else {}
    _write_graph(WindowGraph(rater), texts | before, "vectors", folder / GRAPH_FILE)
    windows = {"vectors": vectors.repeat(2, 3, 1), "mask": torch.ones(2, 3, dtype=torch.int64)}
    _write_graph(PoolingGraph(rater), windows, "probabilities", folder / POOLING_FILE)


def _write_graph(module: nn.Module, inputs: dict[str, torch.Tensor], output: str, path: Path) -> None:
    """Write a graph of any batch size, and of any number of tokens or windows: every input has these axes first."""
    axes = (torch.export.Dim("batch"), torch.export.Dim("token"))
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # torch 2.13 warns of its own deprecated calls while it traces; nothing there is ours to change.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            tuple(inputs.values()),
            str(path),
            dynamo=True,
            input_names=list(inputs),
            output_names=[output],
            dynamic_shapes=tuple(dict(enumerate(axes[:1] if name == "before" else axes)) for name in inputs),
            external_data=sum(weight.nbytes for weight in module.state_dict().values()) > MOST_GRAPH_BYTES,
            verbose=False,
        )
    logger.setLevel(level)


def _without_shared(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tied weights are stored once under each name: safetensors refuses tensors that share memory."""
    seen: set[int] = set()
    found: dict[str, torch.Tensor] = {}
    for name, tensor in weights.items():
        found[name] = tensor.clone() if tensor.data_ptr() in seen else tensor
        seen.add(tensor.data_ptr())
    return found
