"""A model folder made from another one."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ratecast.errors import ModelFolderError
from ratecast.model.derive import derive
from ratecast.model.store import Component, Manifest, create_component, read_manifest, verify, write_manifest
from ratecast.scale import RatingScale


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for name in ("graph.bin", "shared.bin", "weights.bin"):
        (folder / name).write_text(name)
    (folder / "README.md").write_text("# Card\n")
    (folder / "metrics.json").write_text('{"test": 1, "notes": ["first"]}')
    components = (
        create_component(folder, "graph", "onnx", ["graph.bin", "shared.bin"], depth=6),
        create_component(folder, "weights", "weights", ["weights.bin", "shared.bin"]),
    )
    about = {"made": "once", "seed": 1}
    write_manifest(folder, Manifest(scale=RatingScale.parse("1..5"), components=components, chain=("graph",), about=about))
    return folder


def write_small(folder: Path, old: Component) -> Component:
    (folder / "small.bin").write_text((folder / "graph.bin").read_text()[:2])
    return create_component(folder, "any", old.kind, ["small.bin", "shared.bin"], **old.settings)


def test_one_component_is_replaced_and_all_else_is_kept(source: Path, tmp_path: Path) -> None:
    before = read_manifest(source)
    written = derive(source, tmp_path / "out", {"graph": write_small}, about={"made": "again"}, note="It is smaller.")
    found = read_manifest(tmp_path / "out")
    assert found == written
    assert found == replace(before, components=found.components, about={"made": "again", "seed": 1})
    graph, weights = found.components
    assert (graph.name, graph.settings) == ("graph", {"depth": 6})
    assert weights == before.components[1]
    for component in found.components:
        verify(tmp_path / "out", component)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"small.bin", "shared.bin", "weights.bin", "README.md", "metrics.json", "model.json"}
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == {"test": 1, "notes": ["first", "It is smaller."]}
    assert (tmp_path / "out" / "README.md").read_text().startswith("# Card\n")
    assert (tmp_path / "out" / "README.md").read_text().endswith("\nIt is smaller.\n")
    assert read_manifest(source) == before
    assert (source / "graph.bin").exists()


def test_a_component_can_be_left_out(source: Path, tmp_path: Path) -> None:
    found = derive(source, tmp_path / "out", {}, without=["weights"])
    assert [part.name for part in found.components] == ["graph"]
    assert not (tmp_path / "out" / "weights.bin").exists()
    assert (tmp_path / "out" / "shared.bin").exists()


def test_a_model_can_be_replaced_by_what_is_made_from_it(source: Path, tmp_path: Path) -> None:
    derive(source, source, {"graph": write_small})
    assert (source / "small.bin").read_text() == "gr"
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_what_predicts_cannot_be_left_out(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="needs its component 'graph'"):
        derive(source, tmp_path / "out", {}, without=["graph"])
    with pytest.raises(ModelFolderError, match="has no component 'blend'"):
        derive(source, tmp_path / "out", {"blend": write_small})
    assert not (tmp_path / "out").exists()


def test_a_damaged_source_is_told(source: Path, tmp_path: Path) -> None:
    (source / "weights.bin").write_text("other")
    with pytest.raises(ModelFolderError, match=r"weights\.bin is damaged"):
        derive(source, tmp_path / "out", {"graph": write_small})
    assert not (tmp_path / "out").exists()


def test_a_shared_file_cannot_change_under_another_component(source: Path, tmp_path: Path) -> None:
    def write(folder: Path, old: Component) -> Component:
        (folder / "shared.bin").write_text("changed")
        return create_component(folder, old.name, old.kind, list(old.files))

    with pytest.raises(ModelFolderError, match=r"shared\.bin is damaged"):
        derive(source, tmp_path / "out", {"graph": write})
    assert not (tmp_path / "out").exists()
