"""Models without their graph, and the graph made again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

import ratecast
from ratecast import AdapterBank
from ratecast.cli import run
from ratecast.errors import BackboneError, ModelFolderError
from ratecast.model.adapters import load_adapter
from ratecast.model.graph import GRAPH_FILE
from ratecast.model.pack import pack, unpack
from ratecast.model.store import MANIFEST, write_json
from ratecast.progress import SilentReporter

pytestmark = pytest.mark.slow
TEXTS = ["the movie was great", "awful 好", "", "the staff was poor and the room was fine " * 20]


@pytest.fixture(scope="module", params=["lora", "prefix"])
def model(
    request: pytest.FixtureRequest,
    backbone_of: Callable[[str], Path],
    tiny_reviews: tuple[list[str], list[float]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A model with linear members beside its network; one method can be merged, the other cannot."""
    folder = tmp_path_factory.mktemp("pack") / "model"
    texts, ratings = tiny_reviews
    settings = {"tune": request.param, "backbone": str(backbone_of("bert")), "max_tokens": 24, "steps": 2}
    ratecast.fit(texts=texts, ratings=ratings, out=folder, reporter=SilentReporter(), **settings)
    return folder


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_what_was_packed_predicts_the_same_when_it_is_unpacked(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = ratecast.load(model).predict(TEXTS)
    packed, whole = tmp_path / "packed", tmp_path / "whole"
    assert run(["pack", str(model), "--out", str(packed)]) == 0
    assert "MB in place of" in capsys.readouterr().out
    assert not (packed / GRAPH_FILE).exists()
    assert size(model) - size(packed) == pytest.approx((model / GRAPH_FILE).stat().st_size, abs=5000)
    with pytest.raises(ModelFolderError, match=f"is packed and predicts nothing; run ratecast unpack {packed}"):
        ratecast.load(packed)
    assert run(["unpack", str(packed), "--out", str(whole)]) == 0
    found = ratecast.load(whole).predict(TEXTS)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
    assert found.interval is not None
    np.testing.assert_array_equal(found.interval, expected.interval)
    assert sorted(path.name for path in whole.iterdir()) == sorted(path.name for path in model.iterdir())


def test_a_packed_model_is_read_by_torch_and_packed_in_its_own_place(model: Path, tmp_path: Path) -> None:
    place = Path(shutil.copytree(model, tmp_path / "model"))
    pack(place, place)
    assert load_adapter(place).adapter.base_sha256 == load_adapter(model).adapter.base_sha256
    found = AdapterBank({"a": place, "b": model}).predict(TEXTS * 2, ["a"] * len(TEXTS) + ["b"] * len(TEXTS))
    expected = ratecast.load(model).predict(TEXTS)
    np.testing.assert_allclose(found.probabilities, np.tile(expected.probabilities, (2, 1)), atol=1e-5)
    with pytest.raises(ModelFolderError, match="is packed already"):
        pack(place, tmp_path / "again")
    unpack(place, place)
    np.testing.assert_allclose(ratecast.load(place).probabilities(TEXTS), ratecast.load(model).probabilities(TEXTS), atol=1e-5)
    with pytest.raises(ModelFolderError, match="is not packed: it has the graph"):
        unpack(place, tmp_path / "again")


def test_another_backbone_and_other_answers_are_refused(
    model: Path, tmp_path: Path, backbone_of: Callable[[str], Path]
) -> None:
    packed = tmp_path / "packed"
    pack(model, packed)
    other = Path(shutil.copytree(backbone_of("bert"), tmp_path / "other"))
    weights = load_file(other / "model.safetensors")
    save_file({name: value + 1e-3 for name, value in weights.items()}, other / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BackboneError, match="belongs to the backbone"):
        unpack(packed, tmp_path / "whole", backbone=str(other))
    manifest = json.loads((packed / MANIFEST).read_text(encoding="utf-8"))
    (graph,) = (part for part in manifest["components"] if part["kind"] == "onnx")
    graph["settings"]["packed"]["texts"][0] = "something else"
    write_json(packed / MANIFEST, manifest)
    with pytest.raises(ModelFolderError, match=r"gives other probabilities .* use the versions of torch"):
        unpack(packed, tmp_path / "whole")
    assert not (tmp_path / "whole").exists()


def test_models_that_cannot_be_packed_are_told_in_a_line(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["pack", str(tiny_model), "--out", str(tmp_path / "packed")]) == 2
    assert "has no adapter, so that nothing of its network could be left out" in capsys.readouterr().err
    assert run(["pack", str(tmp_path / "none"), "--out", str(tmp_path / "packed")]) == 2
    assert run(["unpack", str(tiny_model), "--out", str(tmp_path / "whole")]) == 2
    assert not list(tmp_path.iterdir())
