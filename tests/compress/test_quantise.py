"""Networks of fewer bits."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from ratecast.compress import quantise
from ratecast.compress.quantise import Kind
from ratecast.config import BackboneConfig
from ratecast.errors import ConfigError, DataError, ModelFolderError, RatecastError
from ratecast.model.backbone import load_backbone
from ratecast.model.export import export_rater
from ratecast.model.graph import GRAPH_FILE, OnnxGraph
from ratecast.model.heads import create_head
from ratecast.model.rater import Rater
from ratecast.model.reference import EXACT_FILE, REFERENCE_FILE, Reference
from ratecast.model.store import Component, Manifest, create_component, read_manifest, write_manifest
from ratecast.model.windows import create_window_pooling
from ratecast.scale import RatingScale

SCALE = RatingScale.parse("1..5")
TEXTS = ["good food", "the " * 80, "bad awful room", "never again with the staff of the hotel", "very good", "poor service"]


def test_what_would_be_lost_or_mistaken_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is the model itself; give another folder"):
        quantise(tiny_model, TEXTS, out=tiny_model)
    manifest = read_manifest(tiny_model)
    network = next(part for part in manifest.components if part.kind == "onnx")
    shutil.copytree(tiny_model, tmp_path / "two")
    second = replace(network, name="second")
    write_manifest(tmp_path / "two", replace(manifest, components=(*manifest.components, second)))
    with pytest.raises(ModelFolderError, match="has two networks"):
        quantise(tmp_path / "two", TEXTS, out=tmp_path / "small")


@pytest.fixture(scope="module", params=[1, 3])
def source(request: pytest.FixtureRequest, tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network alone, which reads one window or several."""
    folder = tmp_path_factory.mktemp("exact")
    config = BackboneConfig(backbone=str(tiny_backbone), max_tokens=16, windows=request.param, window_pooling="recurrent")
    backbone = load_backbone(config, added_tokens=1)
    head = create_head("mixed", backbone.width, SCALE, np.array([1.0, 2, 3, 4, 5]))
    torch.nn.init.normal_(head.linear.weight, std=0.3)
    windows = create_window_pooling(config, backbone.width, backbone.model)
    rater = Rater(backbone.model, head, pooling="mean", windows=windows)
    parts = export_rater(rater, backbone.encoder, folder, TEXTS)
    write_manifest(folder, Manifest(scale=SCALE, components=parts, chain=(parts[0].name,), about={"seed": 1}))
    return folder


def graph_of(folder: Path) -> tuple[OnnxGraph, Component]:
    component = next(part for part in read_manifest(folder).components if part.kind == "onnx")
    return OnnxGraph.load(folder, component, 5), component


@pytest.mark.parametrize("kind", ["dynamic", "static", "float16"])
def test_answers_stay_near_and_everything_else_is_kept(source: Path, tmp_path: Path, kind: Kind) -> None:
    found = quantise(source, TEXTS, out=tmp_path / "small", kind=kind)
    before, after = graph_of(source)[0].probabilities(TEXTS), graph_of(tmp_path / "small")[0].probabilities(TEXTS)
    differences = np.abs(after - before)
    assert 0 < differences.max() < 0.1
    np.testing.assert_allclose(found.difference, differences.max(), atol=1e-6)
    np.testing.assert_allclose(found.mean_difference, differences.mean(), atol=1e-6)
    manifest = read_manifest(tmp_path / "small")
    assert manifest.about == {"seed": 1, "quantised": kind}
    assert (tmp_path / "small" / "model.safetensors").exists()
    assert not (tmp_path / "small" / EXACT_FILE).exists()
    types = {weight.data_type for weight in onnx.load(tmp_path / "small" / GRAPH_FILE).graph.initializer}
    assert (onnx.TensorProto.INT8 in types) == (kind != "float16")


def test_weights_can_be_left_out(source: Path, tmp_path: Path) -> None:
    quantise(source, TEXTS, out=tmp_path / "small", keep_weights=False)
    assert not (tmp_path / "small" / "model.safetensors").exists()
    assert [part.kind for part in read_manifest(tmp_path / "small").components] == ["onnx"]


def spoil(folder: Path) -> Component:
    """Let the stored answers be those of another network, as if this processor computed otherwise."""
    manifest = read_manifest(folder)
    component = next(part for part in manifest.components if part.kind == "onnx")
    reference = Reference.load(folder / REFERENCE_FILE)
    Reference(feeds=reference.feeds, outputs=reference.outputs + 0.5, tolerance=reference.tolerance).save(
        folder / REFERENCE_FILE
    )
    return create_component(folder, component.name, component.kind, list(component.files), **component.settings)


def test_the_exact_graph_is_used_where_the_smaller_one_answers_otherwise(source: Path, tmp_path: Path) -> None:
    quantise(source, TEXTS, out=tmp_path / "small", keep_exact=True)
    component = spoil(tmp_path / "small")
    with pytest.warns(UserWarning, match=r"differ by 0\.[45]\d*, expected at most .* the exact network is used"):
        graph = OnnxGraph.load(tmp_path / "small", component, 5)
    np.testing.assert_array_equal(graph.probabilities(TEXTS), graph_of(source)[0].probabilities(TEXTS))


def test_the_exact_graph_is_used_where_the_smaller_one_cannot_be_computed(source: Path, tmp_path: Path) -> None:
    quantise(source, TEXTS, out=tmp_path / "small", keep_exact=True)
    graph = onnx.load(tmp_path / "small" / GRAPH_FILE)
    graph.graph.node[len(graph.graph.node) // 2].op_type = "NoSuchOperator"  # as one that a processor has no kernel for
    onnx.save(graph, tmp_path / "small" / GRAPH_FILE)
    component = next(part for part in read_manifest(tmp_path / "small").components if part.kind == "onnx")
    with pytest.warns(UserWarning, match=r"cannot be computed on this processor .* the exact network is used"):
        found = OnnxGraph.load(tmp_path / "small", component, 5)
    np.testing.assert_array_equal(found.probabilities(TEXTS), graph_of(source)[0].probabilities(TEXTS))
    (tmp_path / "small" / EXACT_FILE).unlink()
    without = replace(component, files={file: value for file, value in component.files.items() if file != EXACT_FILE})
    with pytest.raises(ModelFolderError, match="cannot be computed on this processor"):
        OnnxGraph.load(tmp_path / "small", without, 5)


def test_without_the_exact_graph_the_folder_is_refused(source: Path, tmp_path: Path) -> None:
    quantise(source, TEXTS, out=tmp_path / "small")
    component = spoil(tmp_path / "small")
    with pytest.raises(ModelFolderError, match="quantise that one here"):
        OnnxGraph.load(tmp_path / "small", component, 5)


def test_what_cannot_be_quantised_is_told(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "small"
    with pytest.raises(ConfigError, match="expected one of dynamic, static, float16"):
        quantise(source, TEXTS, out=out, kind="int4")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no text"):
        quantise(source, ["  "], out=out)
    with pytest.raises(RatecastError, match=r"probabilities differ by .* on average"):
        quantise(source, TEXTS, out=out, most_difference=1e-9)
    assert not out.exists()
    quantise(source, TEXTS, out=out)
    with pytest.raises(ModelFolderError, match="quantised already"):
        quantise(out, TEXTS, out=tmp_path / "again")
    content = json.loads((out / "model.json").read_text())
    content["components"] = []
    (out / "model.json").write_text(json.dumps(content))
    with pytest.raises(ModelFolderError, match="has no network"):
        quantise(out, TEXTS, out=tmp_path / "again")
