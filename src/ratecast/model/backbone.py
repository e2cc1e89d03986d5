"""Pretrained language models as they are loaded: model, tokenizer, layers, and what of them is trained."""

import copy
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

from tokenizers import Tokenizer
from torch import nn

from ratecast.config import BackboneConfig
from ratecast.errors import BackboneError, ConfigError, require
from ratecast.model.source import LOAD_ERRORS, Origin, explain, find_backbone, is_decoder, quiet, read_architecture
from ratecast.text import TextEncoder

MOST_TOKENS: Final = 256
"""Longest input that is chosen without being asked for."""

LEAST_TOKENS: Final = 8
"""Shortest input that is worth reading."""

DROPOUT: Final = 0.1
"""Rate of the dropout inside a backbone where it is wanted and the backbone says 0."""

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
        pooling: name of the pooling that suits it: of a decoder the last token alone has read the whole text.
        language: the model with its output layer that ``model`` is a part of, where that was asked for.
    """

    model: nn.Module
    encoder: TextEncoder
    name: str
    sha256: str | None
    width: int
    pooling: str
    language: "Pretrained | None" = None


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
    origin = find_backbone(name)
    found = read_architecture(name, origin)
    with quiet(transformers, origin):
        try:
            tokenizer = _load_tokenizer(transformers, origin, found)
            model, info = getattr(transformers, kind(found)).from_pretrained(
                origin.place,
                trust_remote_code=False,
                use_safetensors=True,
                dtype="float32",
                output_loading_info=True,
                **_options(found, origin, inner_dropout=inner_dropout),
            )
        except LOAD_ERRORS as error:
            raise BackboneError(explain(name, error, origin=origin)) from None
    _check_belongs(name, model, tokenizer, info["missing_keys"])
    model.hf_quantizer = None  # what was unpacked from a GGUF file is a model like any other
    vars(model.config).pop("quantization_config", None)
    return Pretrained(
        model=model,
        tokenizer=tokenizer,
        config=found,
        sha256=origin.loaded_sha256(),
        missing=frozenset(info["missing_keys"]),
    )


def _check_belongs(name: str, model: Any, tokenizer: Any, missing: Collection[str]) -> None:
    """Find out whether the weights are those of the configuration, and the tokenizer is the weights'.

    Raises:
        BackboneError: if a weight besides those of output layers would start at random, or a token has no embedding.
    """
    base = model.base_model
    prefix = "" if base is model else f"{model.base_model_prefix}."
    own = {f"{prefix}{part}" for part in base.state_dict() if "pooler" not in part.split(".")}
    if absent := sorted(own.intersection(missing)):
        raise BackboneError(
            f"the weights of the backbone {name!r} are not those of its config.json: {len(absent)} of {len(own)} are missing, "
            f"such as {absent[0]}; the files do not belong together, or it needs code of its own, which ratecast does not run"
        )
    backend = getattr(tokenizer, "backend_tokenizer", None)
    rows = base.get_input_embeddings().weight.shape[0]  # added tokens may lie beyond, which no text need have
    if isinstance(backend, Tokenizer) and backend.get_vocab_size(with_added_tokens=False) > rows:
        raise BackboneError(f"the tokenizer of {name!r} has more tokens than the backbone; they do not belong together")


def load_backbone(config: BackboneConfig, *, added_tokens: int = 0, kind: Callable[[Any], str] | None = None) -> Backbone:
    """Load a pretrained model and its tokenizer; weights from safetensors only, never remote code.

    Args:
        config: the settings.
        added_tokens: positions that a tuning method takes up besides those of the text.
        kind: chooses a class of transformers with an output layer, by the configuration; without one by default.

    Raises:
        BackboneError: if it cannot be found or loaded, or the bundled weights are damaged.
        ConfigError: if more tokens or layers are asked for than it has.
        MissingExtraError: if the extra ``train`` is not installed.
    """
    check_backbone(config, added_tokens=added_tokens)
    loaded = load_pretrained(config.backbone) if kind is None else load_pretrained(config.backbone, kind)
    model, tokenizer = loaded.model if kind is None else loaded.model.base_model, loaded.tokenizer
    if hasattr(model, "pooler"):
        model.pooler = None  # BERT's next-sentence layer: unused, and untrained in most checkpoints
    if hasattr(model.config, "use_cache"):
        model.config.use_cache = False  # a decoder's keys and values are of no use once the text is read
    return Backbone(
        model=model,
        encoder=_encoder(config, tokenizer, loaded.config, added_tokens=added_tokens),
        name=config.backbone,
        sha256=loaded.sha256,
        width=int(loaded.config.hidden_size),
        pooling="last" if is_decoder(loaded.config) else "mean",
        language=None if kind is None else loaded,
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
    architecture = backbone_architecture(config.backbone)
    if getattr(architecture, "is_encoder_decoder", False):
        raise BackboneError(
            f"the backbone {config.backbone!r} ({architecture.model_type}) is a sequence-to-sequence model; expected an "
            "encoder, such as BERT, or a decoder, such as GPT-2"
        )
    _check_sizes(config, architecture, reinitialised_layers, added_tokens)


def load_tokenizer(config: BackboneConfig) -> tuple[Any, TextEncoder]:
    """The tokenizer of a backbone, as transformers loads it and as an encoder of texts; weights are not read.

    Raises:
        BackboneError: if it cannot be found or loaded.
    """
    transformers = require("transformers", "train", "loading a backbone")
    origin = find_backbone(config.backbone)
    architecture = read_architecture(config.backbone, origin)
    with quiet(transformers, origin):
        try:
            tokenizer = _load_tokenizer(transformers, origin, architecture)
        except LOAD_ERRORS as error:
            raise BackboneError(explain(config.backbone, error, origin=origin)) from None
    return tokenizer, _encoder(config, tokenizer, architecture, added_tokens=0)


def _encoder(config: BackboneConfig, tokenizer: Any, architecture: Any, *, added_tokens: int) -> TextEncoder:
    return TextEncoder.create(
        fast_tokenizer(tokenizer, config.backbone),
        max_tokens=config.max_tokens or _longest(architecture, added_tokens),
        head_fraction=config.head_fraction,
        pad_id=pad_id(tokenizer),
        end_id=_end_id(tokenizer),
        windows=config.windows,
        overlap_fraction=config.overlap_fraction,
    )


def backbone_architecture(name: str) -> Any:
    """The configuration of a backbone in transformers, without its weights; arguments and errors as for `load_pretrained`."""
    return read_architecture(name, find_backbone(name))


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
        train_embeddings: whether the token embeddings are trained too, where all layers are. Where some are frozen, so is all
            that is not inside of a layer: it may be what frozen layers compute with (DeBERTa's relative positions).

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
    model.requires_grad_(frozen == 0)
    for layer in layers[frozen:]:
        layer.requires_grad_(True)
    if not train_embeddings:
        embeddings: Any = model.get_input_embeddings()  # type: ignore[operator] # torch says that any attribute of a module may be a tensor
        embeddings.requires_grad_(False)
    return frozen


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
    trained = config.trained_layers
    if config.train_embeddings and layers is not None and trained is not None and trained < layers:
        raise ConfigError(
            f"train_embeddings needs all {layers} layers of the backbone trained, found trained_layers={trained}: leave one of "
            "the two unset"
        )
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


def _load_tokenizer(transformers: Any, origin: Origin, config: Any) -> Any:
    if origin.gguf_file is None:
        return transformers.AutoTokenizer.from_pretrained(origin.place, trust_remote_code=False)
    if origin.own_tokenizer:
        return transformers.AutoTokenizer.from_pretrained(origin.place, trust_remote_code=False, config=config)
    # The automatic class gives the same, but reads the file's whole dictionary again, which takes 8 s for SmolLM2.
    return transformers.PreTrainedTokenizerFast.from_pretrained(origin.place, gguf_file=origin.gguf_file)


def _options(config: Any, origin: Origin, *, inner_dropout: bool) -> dict[str, Any]:
    """What ``from_pretrained`` of the model needs to know."""
    rates = _dropout(config, is_on=inner_dropout)
    if origin.gguf_file is None:
        return dict(rates)
    changed = copy.deepcopy(config)  # given, it is not read once more
    for name, rate in rates.items():
        setattr(changed, name, rate)
    return {"config": changed, "gguf_file": origin.gguf_file}


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


def _end_id(tokenizer: Any) -> int | None:
    """The token that stands after a text where the tokenizer puts none around it, as those of many decoders do."""
    ids = (tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.sep_token_id)
    return next((int(token_id) for token_id in ids if token_id is not None), None)


_OFFSET_KINDS: Final = frozenset(
    {
        *("roberta", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm", "camembert", "data2vec-text", "ibert"),
        *("longformer", "luke", "mpnet", "xmod"),
    }
)
"""Architectures that number positions from the padding token's id + 1 on, as RoBERTa does."""


def most_positions(config: Any) -> int | None:
    """The longest input that a model can take, None where there is no limit."""
    positions = getattr(config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions <= 0:
        return None
    offset = config.pad_token_id + 1 if config.model_type in _OFFSET_KINDS else 0
    return positions - offset


def _longest(config: Any, added_tokens: int) -> int:
    positions = most_positions(config)
    return MOST_TOKENS if positions is None else min(MOST_TOKENS, positions - added_tokens)
