"""Adapters in model folders: written, read again in another process, exported, and many over one backbone."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

import ratecast
from ratecast.errors import BackboneError, DataError, ModelFolderError
from ratecast.model.adapters import METHODS, Adapter, AdapterBank, load_adapter
from ratecast.model.adapters.folder import ADAPTER_FILE
from ratecast.model.backbone import Backbone
from ratecast.model.export import WEIGHTS_FILE, export_rater
from ratecast.model.rater import Rater, torch_probabilities
from ratecast.model.store import Manifest, write_manifest
from ratecast.progress import SilentReporter
from ratecast.scale import FloatArray, RatingScale
from ratecast.text import TextEncoder

SCALE = RatingScale.parse("1..5")
TEXTS = ["good food", "", "the " * 80, "bad awful room", "never again with the staff of the hotel"]
Network = tuple[Rater, TextEncoder, Adapter]
NetworkOf = Callable[..., Network]
LOAD = """
import json, sys
from ratecast.model.adapters import load_adapter
from ratecast.model.rater import torch_probabilities
found = load_adapter(sys.argv[1])
print(json.dumps(torch_probabilities(found.rater, found.encoder, json.loads(sys.argv[2])).tolist()))
"""


def written(network: Network, folder: Path) -> FloatArray:
    """Export into a model folder; returns what torch predicted before."""
    rater, encoder, adapter = network
    folder.mkdir()
    expected = torch_probabilities(rater, encoder, TEXTS)
    parts = export_rater(rater, encoder, folder, TEXTS, adapter=adapter)
    write_manifest(folder, Manifest(scale=SCALE, components=parts, chain=("graph",)))
    return expected


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_another_process_predicts_the_same(name: str, network_of: NetworkOf, tmp_path: Path) -> None:
    expected = written(network_of(tune=name), tmp_path / "model")
    assert not (tmp_path / "model" / WEIGHTS_FILE).exists()
    command = [sys.executable, "-W", "error", "-c", LOAD, str(tmp_path / "model"), json.dumps(TEXTS)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    np.testing.assert_allclose(json.loads(found), expected, atol=1e-5)


@pytest.mark.slow
def test_merged_graph_has_no_further_operations(
    network_of: NetworkOf, base_of: Callable[[str], Backbone], tmp_path: Path
) -> None:
    import onnx

    rater, encoder, adapter = network_of(tune="lora")
    plain = Rater(base_of("bert").model, rater.head, pooling=rater.pooling)
    counts = []
    for name, network, added in (("lora", rater, adapter), ("full", plain, None)):
        (tmp_path / name).mkdir()
        export_rater(network, encoder, tmp_path / name, TEXTS, adapter=added)
        counts.append(len(onnx.load(tmp_path / name / "model.onnx").graph.node))
    assert counts[0] == counts[1]


@pytest.fixture
def one(network_of: NetworkOf, tmp_path: Path) -> Path:
    """Folder of a model with a LoRA."""
    written(network_of(tune="lora"), tmp_path / "one")
    return tmp_path / "one"


@pytest.mark.slow
def test_another_backbone_or_a_damaged_adapter_is_refused(
    one: Path, tmp_path: Path, backbone_of: Callable[[str], Path]
) -> None:
    other = Path(shutil.copytree(backbone_of("bert"), tmp_path / "other"))
    weights = load_file(other / "model.safetensors")
    weights["embeddings.LayerNorm.bias"] = weights["embeddings.LayerNorm.bias"] + 1e-3
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BackboneError, match=r"belongs to the backbone .* give the backbone that it was trained on"):
        load_adapter(one, backbone=str(other))
    shutil.copytree(backbone_of("bert"), tmp_path / "moved")
    assert load_adapter(one, backbone=str(tmp_path / "moved")).adapter.method.name == "lora"
    (one / ADAPTER_FILE).write_bytes(b"broken")
    with pytest.raises(ModelFolderError, match="is damaged"):
        load_adapter(one)


@pytest.mark.slow
def test_bank_predicts_what_each_model_does(network_of: NetworkOf, tmp_path: Path) -> None:
    names = ("lora", "ia3", "prompt", "bottleneck")
    expected = {name: written(network_of(tune=name), tmp_path / name) for name in names}
    bank = AdapterBank({name: tmp_path / name for name in names})
    assert bank.names == names
    texts = [text for text in TEXTS for _ in names]
    found = bank.probabilities(texts, names * len(TEXTS))
    for number, name in enumerate(names):
        np.testing.assert_allclose(found[number :: len(names)], expected[name], atol=1e-5)
    shared = {name: bank[name].rater.backbone.get_input_embeddings().weight for name in names}  # type: ignore[operator]
    assert len({weight.data_ptr() for weight in shared.values()}) == 1
    with pytest.raises(DataError, match="there is no adapter 'none'; there are lora, ia3"):
        bank.probabilities(["good"], ["none"])
    with pytest.raises(DataError, match="found 1 names of adapters for 2 texts"):
        bank.probabilities(["good", "bad"], ["lora"])


@pytest.mark.slow
def test_adapters_of_different_backbones_are_no_bank(network_of: NetworkOf, tmp_path: Path) -> None:
    for family in ("bert", "gpt2"):
        written(network_of(family, tune="lora"), tmp_path / family)
    with pytest.raises(BackboneError, match="belong to different backbones"):
        AdapterBank({"a": tmp_path / "bert", "b": tmp_path / "gpt2"})


@pytest.mark.slow
def test_fitted_model_keeps_the_adapter_alone(
    backbone_of: Callable[[str], Path], tiny_reviews: tuple[list[str], list[float]], tmp_path: Path
) -> None:
    texts, ratings = tiny_reviews
    settings: dict[str, Any] = {"backbone": str(backbone_of("llama")), "max_tokens": 24, "pooling": "last"}
    model = ratecast.fit(
        texts=texts,
        ratings=ratings,
        out=tmp_path / "model",
        reporter=SilentReporter(),
        steps=2,
        blend=False,
        tune="lora",
        rank=4,
        **settings,
    )
    assert len(model.predict(["good food"])) == 1
    assert not (tmp_path / "model" / WEIGHTS_FILE).exists()
    assert json.loads((tmp_path / "model" / "config.json").read_text())["train"]["learning_rate"] == 1e-3
    found = load_adapter(tmp_path / "model")
    assert {len(weight) for name, weight in found.rater.named_parameters() if "lora_A" in name} == {4}
    ratecast.fit(
        texts=texts, ratings=ratings, out=tmp_path / "full", reporter=SilentReporter(), steps=1, blend=False, **settings
    )
    with pytest.raises(ModelFolderError, match="has no adapter: it was fitted with tune=full"):
        load_adapter(tmp_path / "full")
