"""A model folder with an adapter: the added weights and the head, which with their backbone give the network again."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ratecast.config import BackboneConfig
from ratecast.errors import BackboneError, ModelFolderError
from ratecast.model.adapters.base import Adapter
from ratecast.model.adapters.methods import METHODS, attach
from ratecast.model.backbone import Backbone, load_backbone
from ratecast.model.graph import TOKENIZER_FILE
from ratecast.model.heads import HEADS, create_head
from ratecast.model.prompting import Transform
from ratecast.model.rater import Rater
from ratecast.model.store import Component, create_component, read_manifest, verify
from ratecast.model.windows import create_window_pooling, pooling_name
from ratecast.scale import RatingScale
from ratecast.text import TextEncoder, TextSettings

ADAPTER_FILE: Final = "adapter.safetensors"
ADAPTER: Final = "adapter"
"""Name and kind of the component."""
_OWN: Final = ("head.", "transform.", "windows.")
"""What the names of weights begin with that the backbone does not have."""


@dataclass(frozen=True, kw_only=True)
class AdapterFolder:
    """What a model folder says of its adapter.

    Attributes:
        folder: the model folder, whose files have been verified.
        scale: the rating scale.
        component: the adapter.
        text: how the model reads texts.
    """

    folder: Path
    scale: RatingScale
    component: Component
    text: TextSettings

    @property
    def base(self) -> str:
        """The name or folder that the backbone was asked for by."""
        return str(self.component.settings["base"])

    @property
    def base_sha256(self) -> str:
        """Hash of the backbone's own weights."""
        return str(self.component.settings["base_sha256"])


@dataclass(frozen=True, kw_only=True)
class LoadedAdapter:
    """A network as it was trained, not merged.

    Attributes:
        rater: the network.
        encoder: its tokenizer.
        adapter: the added weights in it.
    """

    rater: Rater
    encoder: TextEncoder
    adapter: Adapter


def save_adapter(rater: Rater, adapter: Adapter, folder: Path) -> Component:
    """Write the weights that were added, the head and what stands before it, and which backbone they belong to."""
    added = {f"backbone.{name}" for name, weight in adapter.model.named_parameters() if weight.requires_grad}
    kept = {name: value for name, value in rater.state_dict().items() if name in added or name.startswith(_OWN)}
    save_file({name: value.detach().cpu().contiguous().clone() for name, value in kept.items()}, folder / ADAPTER_FILE)
    return create_component(
        folder,
        ADAPTER,
        ADAPTER,
        [ADAPTER_FILE],
        tune=adapter.method.name,
        method=asdict(adapter.method),
        base=adapter.base,
        base_sha256=adapter.base_sha256,
        pooling=rater.pooling,
        layers=rater.pooled_layers,
        transform=None if rater.transform is None else rater.transform.settings,
        window_pooling=None if rater.windows is None else pooling_name(rater.windows),
        head=next(name for name, kind in HEADS.items() if type(rater.head) is kind),
    )


def load_adapter(folder: str | Path, *, backbone: str | None = None) -> LoadedAdapter:
    """The network of a model folder in torch, from the backbone and the weights that were added to it.

    Args:
        folder: a model folder that was fitted with an adapter.
        backbone: name or folder of the backbone, if it is no longer where it was.

    Raises:
        ModelFolderError: if the folder is no model, has no adapter, or is damaged.
        BackboneError: if the backbone cannot be found, or is not the one that the adapter was trained on.
    """
    found = read_adapter(folder)
    return rebuild(found, load_base(found, backbone))


def has_adapter(folder: Path) -> bool:
    """Whether a model was fitted with an adapter; errors as for `read_manifest`."""
    return any(part.kind == ADAPTER for part in read_manifest(folder).components)


def read_adapter(folder: str | Path) -> AdapterFolder:
    """What a model folder says of its adapter, whose files are verified; errors as for `load_adapter`.

    Of the graph, the larger part of the folder, only the tokenizer is needed, and only that must be there.
    """
    path = Path(folder)
    manifest = read_manifest(path)
    components = {part.kind: part for part in manifest.components}
    if ADAPTER not in components:
        raise ModelFolderError(f"{path} has no adapter: it was fitted with tune=full, or its backbone does not predict")
    graph = components["onnx"]
    for part in (components[ADAPTER], replace(graph, files={TOKENIZER_FILE: graph.files[TOKENIZER_FILE]})):
        verify(path, part)
    text = TextSettings.from_json(dict(graph.settings["text"]))
    return AdapterFolder(folder=path, scale=manifest.scale, component=components[ADAPTER], text=text)


def load_base(found: AdapterFolder, backbone: str | None = None) -> Backbone:
    """The backbone that an adapter belongs to; arguments and errors as for `load_adapter`."""
    try:
        return load_backbone(BackboneConfig(backbone=backbone or found.base))
    except BackboneError as error:
        if backbone is not None:
            raise
        raise BackboneError(
            f"{error}. The adapter in {found.folder} belongs to it: if it lies elsewhere now, give its place as the backbone"
        ) from None


def rebuild(found: AdapterFolder, base: Backbone) -> LoadedAdapter:
    """Add an adapter's weights to its backbone, whose model is changed in place.

    Raises:
        BackboneError: if it is another backbone.
        ModelFolderError: if the adapter's file is damaged.
    """
    settings = found.component.settings
    adapter = attach(base, METHODS[settings["tune"]](**settings["method"]))
    if adapter.base_sha256 != found.base_sha256:
        raise BackboneError(
            f"the adapter in {found.folder} belongs to the backbone {found.base!r} with the SHA-256 {found.base_sha256[:16]}, "
            f"found {base.name!r} with {adapter.base_sha256[:16]}: give the backbone that it was trained on"
        )
    layers = int(settings["layers"])
    transform = None if settings.get("transform") is None else Transform(**settings["transform"])
    width = layers * base.width if transform is None else transform.dense.out_features
    head = create_head(settings["head"], width, found.scale, np.asarray(found.scale.levels))
    reading = BackboneConfig(windows=found.text.windows, window_pooling=settings.get("window_pooling") or "mean")
    windows = create_window_pooling(reading, layers * base.width, adapter.model)
    rater = Rater(adapter.model, head, pooling=settings["pooling"], pooled_layers=layers, transform=transform, windows=windows)
    _load_weights(rater, found.folder / ADAPTER_FILE)
    encoder = TextEncoder.load(found.folder / TOKENIZER_FILE, found.text)
    return LoadedAdapter(rater=rater.eval(), encoder=encoder, adapter=replace(adapter, base=found.base))


@torch.no_grad()
def _load_weights(rater: Rater, path: Path) -> None:
    try:
        stored = load_file(path)
        missing, unexpected = rater.load_state_dict(stored, strict=False)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise ModelFolderError(f"{path} is damaged ({error}); fit again or restore the file") from None
    trained: set[str] = {name for name, weight in rater.named_parameters() if weight.requires_grad}
    absent: list[Any] = [name for name in missing if name in trained or name.startswith(_OWN)]
    if absent or unexpected:
        raise ModelFolderError(f"{path} is damaged: found {sorted(stored)}, expected {sorted(trained)}")
