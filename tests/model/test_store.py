"""The model folder on disk."""

import errno
import json
import os
from pathlib import Path

import pytest

from ratecast.errors import ModelFolderError, OutputError
from ratecast.files import explained_write
from ratecast.model.store import (
    FORMAT_VERSION,
    MANIFEST,
    Manifest,
    check_target,
    create_component,
    is_model,
    new_folder,
    package_versions,
    read_manifest,
    verify,
    write_manifest,
)
from ratecast.scale import RatingScale


def write_model(folder: Path, content: str = "weights") -> Manifest:
    (folder / "part.bin").write_text(content)
    component = create_component(folder, "graph", "onnx", ["part.bin"], answer=42)
    manifest = Manifest(
        scale=RatingScale.parse("1..5"),
        components=(component,),
        chain=("graph",),
        about={"made": "now"},
        columns={"text": "body"},
    )
    write_manifest(folder, manifest)
    return manifest


def test_manifest_survives_the_disk(tmp_path: Path) -> None:
    written = write_model(tmp_path)
    assert read_manifest(tmp_path) == written
    verify(tmp_path, written.component("graph"))


def test_a_folder_from_before_columns_were_kept_is_read(tmp_path: Path) -> None:
    written = write_model(tmp_path)
    content = json.loads((tmp_path / MANIFEST).read_text())
    del content["columns"]
    (tmp_path / MANIFEST).write_text(json.dumps(content))
    found = read_manifest(tmp_path)
    assert (found.components, found.columns) == (written.components, {})


def test_flipped_byte_is_found(tmp_path: Path) -> None:
    manifest = write_model(tmp_path)
    (tmp_path / "part.bin").write_text("weighty")
    with pytest.raises(ModelFolderError, match=r"part\.bin is damaged"):
        verify(tmp_path, manifest.components[0])


def test_missing_file_is_named(tmp_path: Path) -> None:
    manifest = write_model(tmp_path)
    (tmp_path / "part.bin").unlink()
    with pytest.raises(ModelFolderError, match=r"part\.bin is missing"):
        verify(tmp_path, manifest.components[0])


def test_file_outside_the_folder_is_refused(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (tmp_path / "secret").write_text("x")
    component = create_component(model, "graph", "onnx", ["../secret"])
    with pytest.raises(ModelFolderError, match="leads out of the folder"):
        verify(model, component)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"format_version": "one"}', '{"format_version": 1}'])
def test_damaged_manifest_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(ModelFolderError, match="damaged"):
        read_manifest(tmp_path)


def test_what_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = write_model(tmp_path)

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ModelFolderError, match=r"cannot read .*part\.bin: Permission denied"):
        verify(tmp_path, manifest.components[0])
    with pytest.raises(ModelFolderError, match=rf"cannot read .*{MANIFEST}: Permission denied"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("wrong", [{"about": None}, {"columns": 5}, {"components": [{"name": "a", "kind": "b", "files": []}]}])
def test_manifest_of_wrong_values_is_told(tmp_path: Path, wrong: dict[str, object]) -> None:
    write_model(tmp_path)
    content = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps(content | wrong))
    with pytest.raises(ModelFolderError, match="damaged"):
        read_manifest(tmp_path)


def test_newer_format_asks_for_an_upgrade(tmp_path: Path) -> None:
    write_model(tmp_path)
    content = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps(content | {"format_version": FORMAT_VERSION + 1}))
    with pytest.raises(ModelFolderError, match="upgrade"):
        read_manifest(tmp_path)


def test_folders_that_are_no_models(tmp_path: Path) -> None:
    assert not is_model(tmp_path)
    with pytest.raises(ModelFolderError, match="is no model folder"):
        read_manifest(tmp_path)
    with pytest.raises(ModelFolderError, match="there is no model folder"):
        read_manifest(tmp_path / "absent")


def test_new_folder_replaces_an_older_model(tmp_path: Path) -> None:
    target = tmp_path / "model"
    for content in ("old", "new"):
        with new_folder(target) as folder:
            write_model(folder, content)
    assert (target / "part.bin").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_files_can_be_read_by_whom_the_umask_allows(tmp_path: Path) -> None:
    with new_folder(tmp_path / "model") as folder:
        write_model(folder)
        (folder / "part.bin").chmod(0o600)
    assert (tmp_path / "model" / "part.bin").stat().st_mode == (tmp_path / "model" / MANIFEST).stat().st_mode


def fail_to_write(target: Path) -> None:
    with new_folder(target) as folder:
        write_model(folder, "new")
        raise RuntimeError


def test_failure_leaves_the_older_model_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "model"
    with new_folder(target) as folder:
        write_model(folder, "old")
    with pytest.raises(RuntimeError):
        fail_to_write(target)
    assert (target / "part.bin").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="holds something that is not a model"):
        check_target(tmp_path)
    with pytest.raises(OutputError, match="holds something that is not a model"):
        check_target(tmp_path / "thesis.txt")
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "model")
    for content in ("old", "new"):
        with new_folder(tmp_path / "link") as folder:
            write_model(folder, content)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "model" / "part.bin").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "model"]


def test_the_current_folder_is_refused_before_long_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    for place in (Path(), tmp_path / "inner", tmp_path / "inner" / ".."):
        (tmp_path / MANIFEST).write_text("{}")
        with pytest.raises(OutputError, match="the folder that this runs in"):
            check_target(place)


def test_a_mounted_volume_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_mount", lambda path: path == tmp_path / "volume")
    (tmp_path / "volume").mkdir()
    with pytest.raises(OutputError, match="where a volume is mounted"):
        check_target(tmp_path / "volume")
    check_target(tmp_path / "volume" / "model")


def test_the_folder_is_kept_where_only_the_last_step_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OutputError, match="whole in") as error, new_folder(tmp_path / "model") as folder:
        write_model(folder, "new")
    kept = Path(str(error.value).rpartition(" ")[2])
    assert (kept / "part.bin").read_text() == "new"


def test_packages_that_are_not_installed_have_no_version() -> None:
    assert set(package_versions("numpy", "no-such-package")) == {"python", "numpy"}


def test_unwritable_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot write"):
        check_target(tmp_path / "file" / "model")


def fill(device: Path) -> None:
    with explained_write(Path("model")):
        device.write_text("x")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_full_disk_is_told() -> None:
    with pytest.raises(OutputError, match="the disk is full: cannot write model"):
        fill(Path("/dev/full"))
