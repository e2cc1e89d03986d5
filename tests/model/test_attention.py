"""Attention in the exported graph."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from architectures import write_tiny
from ratecast.config import BackboneConfig
from ratecast.model import export
from ratecast.model.backbone import load_backbone
from ratecast.model.export import export_rater
from ratecast.model.graph import GRAPH_FILE, OnnxGraph
from ratecast.model.heads import create_head
from ratecast.model.rater import Rater, torch_probabilities
from ratecast.scale import RatingScale
from ratecast.text import TextEncoder

SCALE = RatingScale.parse("1..5")
TEXTS = ["good food", "", "the " * 80, "bad awful room", "never again with the staff of the hotel"]


def network(family: str, tokenizer: Path, folder: Path) -> tuple[Rater, TextEncoder]:
    folder.mkdir()
    backbone = load_backbone(BackboneConfig(backbone=str(write_tiny(folder, family, tokenizer)), max_tokens=32))
    rater = Rater(backbone.model, create_head("mixed", backbone.width, SCALE, np.array([1.0, 2, 3, 4, 5])), pooling="mean")
    torch.nn.init.normal_(rater.head.linear.weight)
    return rater, backbone.encoder


def nodes(folder: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(folder / GRAPH_FILE).graph.node)


@pytest.mark.parametrize(
    ("family", "attention", "count"),
    [("bert", "fused", 2), ("modernbert", "fused", 2), ("llama", "fused", 2), ("deberta-v2", "torch", 0)],
)
def test_attention_is_one_node_a_layer_where_the_architecture_allows(
    family: str, attention: str, count: int, tiny_backbone: Path, tmp_path: Path
) -> None:
    rater, encoder = network(family, tiny_backbone, tmp_path / "backbone")
    before = rater.backbone.config._attn_implementation  # type: ignore[union-attr]
    graph, _ = export_rater(rater, encoder, tmp_path, TEXTS[:2])
    assert graph.settings["attention"] == attention
    assert nodes(tmp_path)["MultiHeadAttention"] == count
    assert rater.backbone.config._attn_implementation == before  # type: ignore[union-attr]
    found = OnnxGraph.load(tmp_path, graph, 5).probabilities(TEXTS)
    expected = torch_probabilities(rater, encoder, TEXTS)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert expected.std(axis=0).max() > 0.01  # texts of different lengths do differ


def test_a_graph_that_differs_is_written_as_torch_has_it(
    tiny_backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rater, encoder = network("bert", tiny_backbone, tmp_path / "backbone")
    compare = export._compare

    def worse(*arguments: object, attention: str, **named: object) -> object:
        graph, difference = compare(*arguments, attention=attention, **named)  # type: ignore[arg-type]
        return graph, 1.0 if attention == "fused" else difference

    monkeypatch.setattr(export, "_compare", worse)
    graph, _ = export_rater(rater, encoder, tmp_path, TEXTS[:2])
    assert graph.settings["attention"] == "torch"
    assert nodes(tmp_path)["MultiHeadAttention"] == 0
