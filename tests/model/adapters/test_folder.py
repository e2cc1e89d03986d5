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
import torch
from safetensors.torch import load_file, save_file

import ratecast
from ratecast import AdapterBank
from ratecast.errors import BackboneError, ModelFolderError
from ratecast.model.adapters import METHODS, Adapter, load_adapter
from ratecast.model.adapters.folder import ADAPTER_FILE
from ratecast.model.backbone import Backbone
from ratecast.model.export import WEIGHTS_FILE, export_rater
from ratecast.model.graph import GRAPH_FILE
from ratecast.model.rater import Rater, TorchNetwork, torch_probabilities
from ratecast.model.store import Manifest, write_manifest
from ratecast.progress import SilentReporter
from ratecast.scale import FloatArray, RatingScale
from ratecast.text import TextEncoder

SCALE = RatingScale.parse("1..5")
TEXTS = ["good food", "", "the " * 80, "bad awful room", "never again with the staff of the hotel"]
Network = tuple[Rater, TextEncoder, Adapter]
Model = tuple[Path, FloatArray]
"""A model folder, and what torch predicted before it was written."""
NetworkOf = Callable[..., Network]
LOAD = """
import json, sys
from ratecast.model.adapters import load_adapter
from ratecast.model.rater import torch_probabilities
texts, *folders = sys.argv[1:]
for folder in folders:
    found = load_adapter(folder)
    print(json.dumps(torch_probabilities(found.rater, found.encoder, json.loads(texts)).tolist()))
"""


def written(network: tuple[Rater, TextEncoder, Adapter | None], folder: Path) -> FloatArray:
    """Export into a model folder; returns what torch predicted before."""
    rater, encoder, adapter = network
    folder.mkdir()
    expected = torch_probabilities(rater, encoder, TEXTS)
    parts = export_rater(rater, encoder, folder, TEXTS, adapter=adapter)
    write_manifest(folder, Manifest(scale=SCALE, components=parts, chain=("graph",)))
    return expected


@pytest.fixture(scope="module")
def models(network_of: NetworkOf, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    """A model of BERT for every method. Tests must leave them as they are."""
    torch.manual_seed(0)
    parent = tmp_path_factory.mktemp("adapters")
    return {name: (parent / name, written(network_of(tune=name), parent / name)) for name in METHODS}


@pytest.fixture(scope="module")
def elsewhere(models: dict[str, Model]) -> dict[str, Any]:
    """What another process predicts with each of them."""
    folders = [str(folder) for folder, _ in models.values()]
    command = [sys.executable, "-W", "error", "-c", LOAD, json.dumps(TEXTS), *folders]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return {name: json.loads(line) for name, line in zip(models, lines, strict=True)}


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_another_process_predicts_the_same(name: str, models: dict[str, Model], elsewhere: dict[str, Any]) -> None:
    folder, expected = models[name]
    assert not (folder / WEIGHTS_FILE).exists()
    np.testing.assert_allclose(elsewhere[name], expected, atol=1e-5)


@pytest.fixture(scope="module")
def full(network_of: NetworkOf, base_of: Callable[[str], Backbone], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a model of BERT with no added weights."""
    rater, encoder, _ = network_of(tune="lora")
    folder = tmp_path_factory.mktemp("adapters") / "full"
    written((Rater(base_of("bert").model, rater.head, pooling=rater.pooling).eval(), encoder, None), folder)
    return folder


@pytest.mark.slow
def test_merged_graph_has_no_further_operations(models: dict[str, Model], full: Path) -> None:
    import onnx

    counts = [len(onnx.load(folder / GRAPH_FILE).graph.node) for folder in (models["lora"][0], full)]
    assert counts[0] == counts[1]


@pytest.mark.slow
def test_a_model_without_added_weights_has_no_adapter(full: Path) -> None:
    with pytest.raises(ModelFolderError, match="has no adapter: it was fitted with tune=full"):
        load_adapter(full)


@pytest.fixture
def one(models: dict[str, Model], tmp_path: Path) -> Path:
    """Folder of a model with a LoRA, to be changed."""
    return Path(shutil.copytree(models["lora"][0], tmp_path / "one"))


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
def test_networks_of_a_bank_share_their_backbone_and_say_what_each_said(models: dict[str, Model]) -> None:
    names = ("lora", "ia3", "prompt", "bottleneck")
    bank = AdapterBank({name: models[name][0] for name in names})
    assert bank.names == names
    for name in names:
        found = TorchNetwork(bank[name].rater, bank[name].encoder).probabilities(TEXTS)
        np.testing.assert_allclose(found, models[name][1], atol=1e-5)
    shared = {name: bank[name].rater.backbone.get_input_embeddings().weight for name in names}  # type: ignore[operator]
    assert len({weight.data_ptr() for weight in shared.values()}) == 1


@pytest.mark.slow
def test_adapters_of_different_backbones_are_no_bank(models: dict[str, Model], network_of: NetworkOf, tmp_path: Path) -> None:
    written(network_of("gpt2", tune="lora"), tmp_path / "gpt2")
    with pytest.raises(BackboneError, match="belong to different backbones"):
        AdapterBank({"a": models["lora"][0], "b": tmp_path / "gpt2"})


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
