"""A model folder made from another one, some of whose components are replaced."""

import json
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ratecast.errors import ModelFolderError
from ratecast.model.store import (
    CARD_FILE,
    MANIFEST,
    METRICS_FILE,
    Component,
    Manifest,
    new_folder,
    read_manifest,
    verify,
    write_json,
    write_manifest,
)

Writer = Callable[[Path, Component], Component]
"""Writes the files of a component into a new folder, which holds those of the old component, and describes what it wrote."""


def derive(
    source: Path,
    out: Path,
    replaced: Mapping[str, Writer],
    *,
    without: Collection[str] = (),
    about: Mapping[str, Any] | None = None,
    note: str | None = None,
) -> Manifest:
    """Write a model folder that is a copy of another one but for some components.

    A writer may change files of the old component or write others. Files that then belong to no component any more are
    left out. What a writer returns keeps the name of the component, so that the blend still finds it.

    Args:
        source: the model folder to start from, which stays as it is; ``out`` may be the same place, and is then replaced.
        out: where the new one goes.
        replaced: what writes the new component, by its name.
        without: names of components that are left out and that no member of the blend is, such as "weights".
        about: facts that are added to the manifest's, or replace those of the same name.
        note: a sentence for people on what was changed; it joins the model card and the notes on its measurements, which were
            made before the change.

    Raises:
        ModelFolderError: if the source is no model folder, is damaged, lacks a named component, or predicts with one that is
            to be left out.
        OutputError: if ``out`` holds something else or cannot be written.
    """
    manifest = read_manifest(source)
    for name in (*replaced, *without):
        manifest.component(name)
    needed = set(without) & {*manifest.chain, *manifest.baselines}
    if needed:
        raise ModelFolderError(f"{source} needs its component {min(needed)!r}, which therefore cannot be left out")
    for component in manifest.components:
        verify(source, component)
    with new_folder(out) as new:
        for path in filter(Path.is_file, source.iterdir()):
            shutil.copyfile(path, new / path.name)
        written = [
            replace(replaced[part.name](new, part), name=part.name) if part.name in replaced else part
            for part in manifest.components
            if part.name not in without
        ]
        _check_kept(new, manifest, written)
        for name in _files(manifest.components) - _files(written):
            (new / name).unlink(missing_ok=True)
        changed = replace(manifest, components=tuple(written), about={**manifest.about, **(about or {})})
        write_manifest(new, changed)
        if note is not None:
            _write_note(new, note)
    return changed


def _check_kept(new: Path, before: Manifest, written: Collection[Component]) -> None:
    """A file that components share must not change under the one that was kept."""
    for component in written:
        if component in before.components:
            verify(new, component)


def _files(components: Collection[Component]) -> set[str]:
    return {MANIFEST, *(file for part in components for file in part.files)}


def _write_note(folder: Path, note: str) -> None:
    """Add a sentence to the documents of a model folder, as far as it has them."""
    metrics, card = folder / METRICS_FILE, folder / CARD_FILE
    if metrics.exists():
        content = json.loads(metrics.read_text(encoding="utf-8"))
        write_json(metrics, content | {"notes": [*content.get("notes", []), note]})
    if card.exists():
        card.write_text(f"{card.read_text(encoding='utf-8')}\n## Changed after fitting\n\n{note}\n", encoding="utf-8")
