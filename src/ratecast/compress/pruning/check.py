"""Whether a fitted network can be pruned, found out before long work."""

import json
from pathlib import Path

from ratecast.compress.pruning.structure import check_architecture
from ratecast.config import DistillConfig
from ratecast.errors import ConfigError, ModelFolderError
from ratecast.model.adapters import METHODS
from ratecast.model.export import BACKBONE_FILE
from ratecast.model.restore import check_restorable
from ratecast.model.store import Component
from ratecast.text import TextSettings


def check_pruning(folder: Path, config: DistillConfig) -> None:
    """Find out before long work whether a model's network can be cut as the settings say; its weights are not read.

    Raises:
        BackboneError: if its architecture is not known.
        ConfigError: if it has not as many layers as shall stay, or reads fewer tokens than are asked for.
        ModelFolderError: if the model has no network.
    """
    kinds = check_cuttable(folder)
    stored = kinds["weights" if "weights" in kinds else "adapter"].settings
    if config.student == "width" and stored.get("window_pooling") == "recurrent":
        raise ConfigError("a network whose windows hand on a summary cannot lose heads or neurons: take the student layers")
    longest = TextSettings.from_json(dict(kinds["onnx"].settings["text"])).max_tokens
    if config.max_tokens is not None and config.max_tokens > longest:
        raise ConfigError(f"max_tokens is {config.max_tokens}, but the teacher's network reads {longest}: ask for fewer")
    path = folder / BACKBONE_FILE
    if not path.is_file():  # a backbone with added weights, which is loaded to be asked
        return
    values = json.loads(path.read_text(encoding="utf-8"))
    if config.student == "width":
        check_architecture(values["model_type"])
    layers = next((values[name] for name in ("num_hidden_layers", "n_layers", "n_layer") if name in values), None)
    wanted = config.kept_layers
    if (layers is not None and (wanted or 0) >= layers) or (wanted is None and config.student == "layers" and layers == 1):
        raise ConfigError(f"kept_layers is {wanted or 1}, but the teacher's network has only {layers} layers: ask for fewer")


def check_cuttable(folder: Path) -> dict[str, Component]:
    """The components by kind of a model whose network can be cut.

    Raises:
        ModelFolderError: if the model has no network, or one whose added weights cannot be taken into its own.
    """
    _, kinds = check_restorable(folder)
    tune = str(kinds["adapter"].settings["tune"]) if "adapter" in kinds else None
    if tune is not None and not METHODS[tune].merges:
        raise ModelFolderError(f"{folder} has weights of tune={tune} beside its network's own, so that it cannot be cut")
    return kinds
