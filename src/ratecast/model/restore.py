"""From a model folder back to torch: the network that was exported."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ratecast.config import BackboneConfig
from ratecast.errors import ModelFolderError, require
from ratecast.model.adapters import load_adapter
from ratecast.model.export import BACKBONE_FILE, WEIGHTS_FILE
from ratecast.model.graph import TOKENIZER_FILE
from ratecast.model.heads import HEADS, create_head
from ratecast.model.prompting import Transform
from ratecast.model.rater import Rater
from ratecast.model.store import Component, Manifest, read_manifest, verify
from ratecast.model.windows import create_window_pooling
from ratecast.text import TextEncoder, TextSettings


@dataclass(frozen=True, kw_only=True)
class Restored:
    """A network out of a model folder.

    Attributes:
        rater: the network; weights that were added to its backbone are merged into it.
        encoder: its tokenizer.
        head: name of its head.
    """

    rater: Rater
    encoder: TextEncoder
    head: str


def restore_rater(folder: str | Path) -> Restored:
    """The network of a model folder in torch.

    Raises:
        ModelFolderError: if the folder is no model, is damaged, or has no network: it is linear or static.
        BackboneError: if its weights were added to a backbone that cannot be found.
    """
    path = Path(folder)
    manifest, kinds = check_restorable(path)
    if "adapter" in kinds:
        loaded = load_adapter(path)
        loaded.rater.backbone = loaded.adapter.method.merged(loaded.adapter.model).eval()
        return Restored(rater=loaded.rater, encoder=loaded.encoder, head=str(kinds["adapter"].settings["head"]))
    return _from_weights(path, manifest, kinds["onnx"], kinds["weights"])


def check_restorable(path: Path) -> tuple[Manifest, dict[str, Component]]:
    """The manifest and the components by kind of a model that has a network; errors as for `restore_rater`."""
    manifest = read_manifest(path)
    kinds = {part.kind: part for part in manifest.components}
    if "onnx" not in kinds or not {"weights", "adapter"} & kinds.keys():
        raise ModelFolderError(
            f"{path} holds no network to start from, only {', '.join(sorted(kinds))}: take a model with a fine-tuned backbone"
        )
    return manifest, kinds


def _from_weights(path: Path, manifest: Manifest, graph: Component, stored: Component) -> Restored:
    transformers = require("transformers", "train", "restoring a network")
    for part in (stored, replace(graph, files={TOKENIZER_FILE: graph.files[TOKENIZER_FILE]})):
        verify(path, part)
    text = TextSettings.from_json(dict(graph.settings["text"]))
    settings, name = stored.settings, str(manifest.about.get("head"))
    if name not in HEADS:
        raise ModelFolderError(f"{path} does not say which head its network has; found {name!r}: fit the model again")
    try:
        weights = load_file(path / WEIGHTS_FILE)
        values = json.loads((path / BACKBONE_FILE).read_text(encoding="utf-8"))
        architecture = transformers.AutoConfig.for_model(**values)
        backbone = transformers.AutoModel.from_config(architecture)
        if hasattr(backbone, "pooler"):
            backbone.pooler = None
        if hasattr(backbone.config, "use_cache"):
            backbone.config.use_cache = False
        width = weights["head.linear.weight"].shape[1]
        layers = int(settings["layers"])
        transform = None if settings.get("transform") is None else Transform(**settings["transform"])
        reading = BackboneConfig(windows=text.windows, window_pooling=settings.get("window_pooling") or "mean")
        rater = Rater(
            backbone,
            create_head(name, width, manifest.scale, np.asarray(manifest.scale.levels)),
            pooling=settings["pooling"],
            pooled_layers=layers,
            transform=transform,
            windows=create_window_pooling(reading, layers * int(architecture.hidden_size), backbone),
        )
        fit_shapes(rater, weights)
        rater.load_state_dict(weights)
    except (SafetensorError, OSError, RuntimeError, ValueError, LookupError, TypeError) as error:
        raise ModelFolderError(f"cannot restore the network in {path} ({' '.join(str(error).split())[:200]})") from None
    return Restored(rater=rater.eval(), encoder=TextEncoder.load(path / TOKENIZER_FILE, text), head=name)


def fit_shapes(module: nn.Module, weights: dict[str, Tensor]) -> None:
    """Give linear layers the sizes of their stored weights: no configuration says how many heads a pruned layer has left."""
    for name, layer in list(module.named_modules()):
        stored = weights.get(f"{name}.weight")
        if isinstance(layer, nn.Linear) and stored is not None and stored.shape != layer.weight.shape:
            parent, _, own = name.rpartition(".")
            new: Any = nn.Linear(stored.shape[1], stored.shape[0], bias=layer.bias is not None)
            setattr(module.get_submodule(parent), own, new)
