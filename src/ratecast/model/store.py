"""The model folder: a manifest, the components that predict, and documents for people.

```
model/
  model.json              the manifest: format, scale, components with the SHA-256 of each file, which of them predict
  model.onnx, tokenizer.json, model.safetensors, ...     files of components
  config.json, metrics.json, data.json, split.json       what it was fitted with, on and to what effect
  README.md, report.html                                 the model card and the evaluation report
```

The folder is written beside its final place and renamed, so that it is there whole or not at all.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ratecast.errors import ModelFolderError, OutputError, ScaleError
from ratecast.files import explained_write
from ratecast.scale import RatingScale

FORMAT_VERSION: Final = 1
MANIFEST: Final = "model.json"
METRICS_FILE: Final = "metrics.json"
CARD_FILE: Final = "README.md"
REPORT_FILE: Final = "report.html"


@dataclass(frozen=True, kw_only=True)
class Component:
    """A part of a model that can be loaded by itself.

    Attributes:
        name: what the manifest refers to it by.
        kind: what it is ("onnx", "constant", "linear", "weights"), which decides how it is loaded.
        files: its files in the folder, each with its SHA-256.
        settings: what else is needed to load it.
    """

    name: str
    kind: str
    files: Mapping[str, str]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What `model.json` holds.

    Attributes:
        scale: the rating scale.
        components: every part of the model.
        chain: names of the components that predict: the first gives probabilities, each further one changes them.
        baselines: names of the components that the model was compared with.
        about: facts for people: backbone, versions, time of making, fingerprint of the data.
        columns: name by role ("text", "user") of the table's columns that the model was fitted on.
    """

    scale: RatingScale
    components: tuple[Component, ...]
    chain: tuple[str, ...]
    baselines: tuple[str, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)

    def component(self, name: str) -> Component:
        """The component of that name.

        Raises:
            ModelFolderError: if there is none.
        """
        for component in self.components:
            if component.name == name:
                return component
        raise ModelFolderError(
            f"the model has no component {name!r}; it has {', '.join(part.name for part in self.components)}"
        )


@dataclass(frozen=True, kw_only=True)
class FolderKind:
    """A kind of folder that ratecast writes, and may therefore replace.

    Attributes:
        what: what such a folder holds, with its article.
        marker: a file that every one of them has.
    """

    what: str
    marker: str


MODEL: Final = FolderKind(what="a model", marker=MANIFEST)


def is_model(path: str | Path) -> bool:
    """Whether the path is a folder that holds a model."""
    return (Path(path) / MANIFEST).is_file()


def create_component(folder: Path, name: str, kind: str, files: list[str], **settings: Any) -> Component:
    """Component of files that lie in ``folder`` already; takes their hashes."""
    return Component(name=name, kind=kind, files={file: sha256(folder / file) for file in files}, settings=settings)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``model.json``."""
    content = {
        "format_version": FORMAT_VERSION,
        "scale": manifest.scale.to_json(),
        "chain": list(manifest.chain),
        "baselines": list(manifest.baselines),
        "components": [
            {"name": part.name, "kind": part.kind, "files": dict(part.files), "settings": dict(part.settings)}
            for part in manifest.components
        ],
        "about": dict(manifest.about),
        "columns": dict(manifest.columns),
    }
    write_json(folder / MANIFEST, content)


def read_manifest(folder: Path) -> Manifest:
    """Read ``model.json``.

    Raises:
        ModelFolderError: if the folder is no model, its manifest is damaged, or its format is newer than this version knows.
    """
    path = folder / MANIFEST
    with explained_read(path):
        if not folder.exists():
            raise ModelFolderError(f"there is no model folder {folder}")
        if not path.is_file():
            raise ModelFolderError(
                f"{folder} is no model folder: it holds no {MANIFEST}; expected a folder that ratecast fit wrote"
            )
        text = path.read_bytes()
    try:
        content = json.loads(text)
        version = content["format_version"]
        if not isinstance(version, int):
            raise TypeError(f"format_version is {version!r}")
        if version > FORMAT_VERSION:
            raise ModelFolderError(
                f"{folder} has the model format {version}, this version of ratecast reads up to {FORMAT_VERSION}: "
                "pip install --upgrade ratecast"
            )
        components = [
            Component(name=part["name"], kind=part["kind"], files=_mapping(part, "files"), settings=_mapping(part, "settings"))
            for part in content["components"]
        ]
        return Manifest(
            scale=RatingScale.from_json(content["scale"]),
            components=tuple(components),
            chain=tuple(content["chain"]),
            baselines=tuple(content["baselines"]),
            about=_mapping(content, "about"),
            columns=_mapping({"columns": {}} | content, "columns"),  # older folders have none
        )
    except (ValueError, KeyError, TypeError, ScaleError) as error:
        raise ModelFolderError(
            f"{path} is damaged ({type(error).__name__}: {error}); fit again or restore the folder"
        ) from None


def _mapping(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = content[name]
    if not isinstance(found, dict):
        raise TypeError(f"{name} is {found!r}")
    return found


@contextmanager
def explained_read(path: Path) -> Iterator[None]:
    """Says of an error of the operating system that a file of a model folder cannot be read.

    Raises:
        ModelFolderError: in its place.
    """
    try:
        yield
    except OSError as error:
        raise ModelFolderError(f"cannot read {path}: {error.strerror or error}") from None


def verify(folder: Path, component: Component) -> None:
    """Check that a component's files are there and unchanged.

    Raises:
        ModelFolderError: naming the file that is missing or differs.
    """
    for file, expected in component.files.items():
        path = folder / file
        if Path(file).name != file:
            raise ModelFolderError(f"{folder / MANIFEST} is damaged: the file name {file!r} leads out of the folder")
        with explained_read(path):
            if not path.is_file():
                raise ModelFolderError(
                    f"the model folder {folder} is incomplete: {file} is missing; fit again or restore the file"
                )
            found = sha256(path)
        if found != expected:
            raise ModelFolderError(
                f"{path} is damaged: its SHA-256 is not the one in {MANIFEST}; fit again or restore the file"
            )


@contextmanager
def new_folder(target: Path, kind: FolderKind = MODEL) -> Iterator[Path]:
    """A folder to write into that becomes ``target`` when the context ends without an error, and vanishes otherwise.

    An older one of its kind at ``target`` is replaced; anything else there is left alone. Between the two renames that this
    takes there is none at ``target`` for a moment; a link is followed, and what it leads to is replaced.

    Raises:
        OutputError: if ``target`` holds something else, or cannot be written. If only the last step is refused, the whole
            folder is kept beside it, and named.
    """
    check_target(target, kind)
    place = target.resolve()
    partial = place.parent / f".{place.name}.{uuid.uuid4().hex[:8]}.partial"
    with explained_write(target):
        partial.mkdir(parents=True)
    try:
        with explained_write(target):
            yield partial
            _open_to_readers(partial, kind)
            _bring_to_disk(partial)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    try:
        _replace(partial, place)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror}; what was to go there is whole in {partial}") from None


def check_target(target: Path, kind: FolderKind = MODEL) -> None:
    """Check before long work that a folder can be written to ``target``.

    Raises:
        OutputError: if the place holds something of another kind, cannot be replaced, or cannot be written to.
    """
    if target.is_file() or (target.is_dir() and not (target / kind.marker).is_file() and any(target.iterdir())):
        raise OutputError(f"{target} holds something that is not {kind.what}; give a new or empty folder, nothing was written")
    place = target.resolve()
    if place == Path.cwd() or place in Path.cwd().parents or place.is_mount():
        what = "where a volume is mounted" if place.is_mount() else "the folder that this runs in"
        raise OutputError(f"{target} is {what}, which cannot be replaced as a whole; give a folder inside it, such as model")
    with explained_write(target):
        place.parent.mkdir(parents=True, exist_ok=True)
        probe = place.parent / f".{place.name}.{uuid.uuid4().hex[:8]}.probe"
        probe.mkdir()
        probe.rmdir()


def sha256(path: Path) -> str:
    """SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, content: Any) -> None:
    """Write JSON that people can read too."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")


def package_versions(*packages: str) -> dict[str, str]:
    """Versions of Python and of those of some packages that are installed, for people."""
    found = {"python": platform.python_version()}
    for name in packages:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _open_to_readers(folder: Path, kind: FolderKind) -> None:
    """Give every file the mode that the marker got from the umask: safetensors 0.8 writes files for their owner only."""
    mode = (folder / kind.marker).stat().st_mode
    for path in folder.iterdir():
        path.chmod(mode)


def _bring_to_disk(folder: Path) -> None:
    for path in filter(Path.is_file, folder.iterdir()):
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _replace(partial: Path, target: Path) -> None:
    if not target.exists():
        os.replace(partial, target)
        return
    old = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}.old"
    os.replace(target, old)
    try:
        os.replace(partial, target)
    except OSError:
        os.replace(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)
