"""Settings of every stage of fitting: frozen dataclasses from which TOML keys, flags, help texts and estimator parameters come.

Field names are unique over all stages, so that a flag needs no prefix: ``train.learning_rate`` in TOML is ``--learning-rate``
on the command line and ``train__learning_rate`` for the scikit-learn estimator.
"""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ratecast.errors import ConfigError

SplitBy = Literal["random", "user", "item", "time", "column"]
ClassWeights = Literal["none", "balanced"]

Optimise = Literal["rmse", "mae", "accuracy", "qwk"]
"""The metric that a single predicted rating is chosen for."""


@dataclass(frozen=True, kw_only=True)
class ColumnsConfig:
    """Which column of the table holds what. A column that is not given is found by its name and content."""

    text_column: str | None = None
    """Column with the review's text."""
    rating_column: str | None = None
    """Column with the rating."""
    title_column: str | None = None
    """Column with the review's title or summary."""
    id_column: str | None = None
    """Column that names each review."""
    item_column: str | None = None
    """Column with the product, hotel or app."""
    user_column: str | None = None
    """Column with who wrote the review."""
    category_column: str | None = None
    """Column with the item's category."""
    time_column: str | None = None
    """Column with the time of writing."""
    split_column: str | None = None
    """Column that says "train", "validation" or "test" for each review."""
    use: str | None = None
    """Columns, besides title and text, that the model may use: names separated by commas, also user, item and category."""
    weight_column: str | None = None
    """Column with how much each review counts in training: numbers of 0 or more, 1 where empty. Never found by itself."""
    query: str | None = None
    """SQL query that gives the table, for a database file; needed where it has several tables."""
    scale: str | None = None
    """Rating scale: 1..5, 1..5/0.5, 0..100 or explicit levels such as 1,2,4,5. Inferred by default."""


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """How reviews are divided into parts for training, validation and test. Equal and nearly equal texts stay together."""

    by: SplitBy = "random"
    """Divide at random (stratified by rating), by user or item (none on two sides), by time (test is the latest), by column."""
    validation_fraction: float = 0.1
    """Share of the reviews that training stops on and choices are made on."""
    test_fraction: float = 0.1
    """Share of the reviews that is used once, for the final table."""


@dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """The pretrained language model and how reviews enter it."""

    backbone: str = "all-MiniLM-L6-v2"
    """Name on the Hugging Face hub or a local folder. The default comes with ratecast[train] and needs no download."""
    pooling: Literal["mean", "first"] = "mean"
    """How token vectors become one review vector."""
    pooled_layers: int = 1
    """How many top layers the review vector is made of. More than one helps where only the head is trained."""
    max_tokens: int | None = None
    """Longest input; of a longer review the beginning and the end are kept. Up to 256 by default, as the time allows."""
    head_fraction: float = 0.5
    """Share of the kept tokens that is taken from the beginning of a longer review."""
    trained_layers: int | None = None
    """How many top layers are trained: 0 trains the head only. All by default, or half of them where the time is short; the
    frozen layers are computed once."""
    train_embeddings: bool = False
    """Whether the token embeddings are trained too."""
    head: str = "mixed"
    """Output head: softmax (a probability for each level); the same with labels that fade by distance (soft), with squared
    error (mixed), or with mistakes that cost more the farther they are (ordinal-log); corn or coral (level by level, whether
    the rating is higher); regression (squared error)."""
    dropout: float = 0.1
    """Dropout of the review's vector before the head; inside the backbone there is none."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The training loop."""

    learning_rate: float = 1e-4
    """Peak learning rate of the backbone."""
    head_learning_rate: float = 1e-3
    """Peak learning rate of the head."""
    epochs: float | None = None
    """Passes over the training reviews, at most. By default 3 over many reviews, up to 10 over few."""
    steps: int | None = None
    """Fixed number of steps in place of epochs; such a run is exactly repeatable and resumable."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """What the backbone computes in while training. auto takes bfloat16 on processors that multiply it much faster."""
    batch_reviews: int = 16
    """Reviews in a batch."""
    class_weights: ClassWeights = "none"
    """With balanced, all levels count the same in fine-tuning, however rare, so that it learns more of the rare ones. The
    probabilities are calibrated afterwards, on validation reviews as they are."""
    label_smoothing: float = 0.0
    """Share of each training label that is spread over all levels, for the heads with a softmax; against overconfidence."""
    warmup_fraction: float = 0.06
    """Share of the steps in which the learning rate rises; after them it falls."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls after the warmup."""
    weight_decay: float = 0.01
    """Decoupled weight decay, on matrices only."""
    max_gradient_norm: float = 1.0
    """Gradients are scaled down to this norm."""
    evaluations_per_epoch: int = 2
    """How often the validation reviews are scored."""
    patience: int = 4
    """Evaluations without improvement after which training stops."""
    checkpoint_seconds: float = 60.0
    """Time between checkpoints that --resume goes on from."""


@dataclass(frozen=True, kw_only=True)
class StrengthenConfig:
    """What makes fine-tuning hold better on new reviews. All of it is off by default."""

    layer_decay: float = 1.0
    """Learning rate of each layer as a share of that of the layer above it; 1 gives all layers the same."""
    average_decay: float = 0.0
    """Keep a moving average of the weights in place of the weights: the share of it that each step leaves, such as 0.99."""
    dropout_samples: int = 1
    """Dropout masks that each batch's loss is the mean over."""
    r_drop: float = 0.0
    """Weight of the divergence between the predictions under two dropout masks (R-Drop), at the head, where the dropout is."""
    reinitialised_layers: int = 0
    """Top layers of the backbone that start from random weights, because their pretrained ones fit another task too well."""
    adversarial: float = 0.0
    """Length of a step against the loss, on what enters the first trained layer; the batch is learnt after it too."""
    word_deletion: float = 0.0
    """Probability that a word of a training text is left out, drawn anew in each pass; words such as "not" always stay."""
    synonyms: float = 0.0
    """Probability that a word of a training text is replaced by one of its synonyms, drawn anew in each pass."""
    synonyms_file: str | None = None
    """Thesaurus for them in the MyThes format, such as Debian's mythes-en-us: /usr/share/mythes/th_en_US_v2.dat."""


@dataclass(frozen=True, kw_only=True)
class AnswerConfig:
    """What the model answers with."""

    optimise: Optimise = "rmse"
    """Metric that the predicted rating shall be best in: rmse gives the mean, mae the median, accuracy the most probable level,
    qwk levels cut at fitted thresholds. Predicting can ask for another one."""
    blend: bool = True
    """Whether linear models of the words join the backbone where that helps on the validation reviews."""
    coverage: float = 0.9
    """Share of the ratings that prediction intervals shall hold. Predicting can ask for another one."""


@dataclass(frozen=True, kw_only=True)
class TrackConfig:
    """Where the training's course is recorded besides the model folder."""

    tensorboard: bool = False
    """Write TensorBoard events to <out>.tensorboard/."""
    wandb: bool = False
    """Log to Weights & Biases (WANDB_MODE=offline works without a network)."""
    run_name: str | None = None
    """Name of the run in the trackers."""


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Everything that decides how a model is fitted."""

    columns: ColumnsConfig = field(default_factory=ColumnsConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    strengthen: StrengthenConfig = field(default_factory=StrengthenConfig)
    answer: AnswerConfig = field(default_factory=AnswerConfig)
    track: TrackConfig = field(default_factory=TrackConfig)
    time_budget: str | None = None
    """Upper limit from the start to the folder written: 90s, 10m, 1.5h. None by default."""
    seed: int = 0
    """Seed of every random choice."""
    threads: int | None = None
    """Processor threads; all cores by default."""

    def __post_init__(self) -> None:
        faults = list(_faults(self))
        if faults:
            raise ConfigError("; ".join(faults))

    @property
    def time_budget_seconds(self) -> float | None:
        """The time budget in seconds, None without one."""
        return None if self.time_budget is None else parse_duration(self.time_budget)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "FitConfig":
        """Settings from nested tables, as read from TOML or JSON.

        Raises:
            ConfigError: naming every unknown key and every value of the wrong type or range at once.
        """
        faults: list[str] = []
        config: FitConfig | None = _build(cls, mapping, "", faults)
        if faults or config is None:
            raise ConfigError("; ".join(faults))
        return config

    @classmethod
    def from_toml(cls, path: str | Path) -> "FitConfig":
        """Settings from a TOML file.

        Raises:
            ConfigError: if the file cannot be read or holds something that is not a setting.
        """
        try:
            return cls.from_mapping(tomllib.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"cannot read the settings in {path}: {error}") from None

    def to_mapping(self) -> dict[str, Any]:
        """The settings as nested dictionaries; `from_mapping` reads them."""
        return asdict(self)

    def with_values(self, **values: Any) -> "FitConfig":
        """A copy with some settings changed, by their flat names (``learning_rate=1e-4, seed=1``).

        Raises:
            ConfigError: naming every setting that does not exist.
        """
        stages: dict[str, Any] = {}
        own: dict[str, Any] = {}
        home = {name: stage for stage, name in setting_names() if stage}
        known = [name for _, name in setting_names()]
        unknown = [_unknown(name, known) for name in values if name not in known]
        if unknown:
            raise ConfigError("; ".join(unknown))
        for name, value in values.items():
            if name in home:
                stages.setdefault(home[name], {})[name] = value
            else:
                own[name] = value
        return replace(self, **own, **{stage: replace(getattr(self, stage), **changed) for stage, changed in stages.items()})


def setting_names() -> Iterator[tuple[str | None, str]]:
    """Every setting as its stage (None for those of `FitConfig` itself) and name."""
    for own in fields(FitConfig):
        stage: Any = own.default_factory
        if is_dataclass(stage):
            yield from ((own.name, part.name) for part in fields(stage))
        else:
            yield None, own.name


_NUMBER = r"(\d*\.?\d+)\s*"
_DURATION = re.compile(f"{_NUMBER}|(?:{_NUMBER}h)?\\s*(?:{_NUMBER}m)?\\s*(?:{_NUMBER}s)?")


def parse_duration(text: str) -> float:
    """Seconds of a duration written like ``90s``, ``10m``, ``1.5h`` or ``1h30m``; a bare number is in seconds.

    Raises:
        ConfigError: if the text is no positive duration.

    Example:
        >>> parse_duration("1h30m")
        5400.0
    """
    match = _DURATION.fullmatch(text.strip().lower())
    seconds = 0.0
    if match is not None:
        bare, *parts = (float(part or 0) for part in match.groups())
        seconds = bare + sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=True))
    if seconds <= 0:
        raise ConfigError(f"cannot read the duration {text!r}; write 90s, 10m, 1.5h or 1h30m")
    return seconds


_POSITIVE = {"learning_rate", "head_learning_rate", "epochs", "steps", "batch_reviews", "max_gradient_norm"}
_POSITIVE |= {"evaluations_per_epoch", "patience", "checkpoint_seconds", "threads", "pooled_layers"}
_POSITIVE |= {"layer_decay", "dropout_samples"}
_NOT_NEGATIVE = {"weight_decay", "trained_layers", "seed", "r_drop", "reinitialised_layers", "adversarial"}
_FRACTIONS = {"head_fraction", "dropout", "warmup_fraction", "validation_fraction", "test_fraction", "label_smoothing"}
_FRACTIONS |= {"average_decay", "word_deletion", "synonyms"}


def _faults(config: FitConfig) -> Iterator[str]:
    values = {name: getattr(getattr(config, stage) if stage else config, name) for stage, name in setting_names()}
    wrong = [name for name, value in values.items() if not _fits(value, _hints()[name])]
    if wrong:
        yield from (f"{name} must be {_type_name(_hints()[name])}, found {values[name]!r}" for name in wrong)
        return
    for name, value in values.items():
        if value is None:
            continue
        if name in _POSITIVE and not value > 0:
            yield f"{name} must be above 0, found {value}"
        if name in _NOT_NEGATIVE and not value >= 0:
            yield f"{name} must be 0 or more, found {value}"
        if name in _FRACTIONS and not 0 <= value < 1:
            yield f"{name} must be at least 0 and below 1, found {value}"
    yield from _combined_faults(config)


def _combined_faults(config: FitConfig) -> Iterator[str]:
    if config.backbone.max_tokens is not None and config.backbone.max_tokens < 8:
        yield f"max_tokens must be at least 8, found {config.backbone.max_tokens}"
    if config.split.validation_fraction + config.split.test_fraction > 0.9:
        yield "validation_fraction and test_fraction leave less than a tenth of the reviews for training"
    if config.split.validation_fraction == 0:
        yield "validation_fraction must be above 0: training stops on the validation reviews"
    if not 0 < config.answer.coverage < 1:
        yield f"coverage must be above 0 and below 1, found {config.answer.coverage}"
    yield from _clashes(config.strengthen, config.backbone)
    if config.time_budget is not None:
        try:
            parse_duration(config.time_budget)
        except ConfigError as error:
            yield str(error)


def _clashes(strengthen: StrengthenConfig, backbone: BackboneConfig) -> Iterator[str]:
    """Settings that contradict each other, or that would do nothing without another one."""
    trained = backbone.trained_layers
    if strengthen.layer_decay > 1:
        yield f"layer_decay must be at most 1, found {strengthen.layer_decay}"
    if (strengthen.dropout_samples > 1 or strengthen.r_drop) and not backbone.dropout:
        yield "dropout_samples and r_drop compare dropout masks, but dropout is 0: set it above 0"
    if trained is not None and strengthen.reinitialised_layers > trained:
        yield f"reinitialised_layers must be at most trained_layers={trained}, found {strengthen.reinitialised_layers}"
    if trained is not None and (strengthen.word_deletion or strengthen.synonyms):
        yield (
            f"word_deletion and synonyms change the training texts in each pass, but trained_layers={trained} computes the "
            "frozen layers once: leave trained_layers unset, or these at 0"
        )
    if strengthen.synonyms and strengthen.synonyms_file is None:
        yield "synonyms needs a thesaurus: set synonyms_file, such as /usr/share/mythes/th_en_US_v2.dat (Debian's mythes-en-us)"


@cache
def _hints() -> dict[str, Any]:
    """Type of each setting by its flat name."""
    stages = get_type_hints(FitConfig)
    return {name: get_type_hints(stages[stage])[name] if stage else stages[name] for stage, name in setting_names()}


def _unknown(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name.rpartition(".")[2], known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
    return f"unknown setting {name!r}; {hint}"


def _build(kind: type[Any], mapping: Mapping[str, Any], prefix: str, faults: list[str]) -> Any:
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for key, value in mapping.items():
        name = f"{prefix}{key}"
        if key not in hints:
            faults.append(_unknown(name, list(hints)))
        elif is_dataclass(hints[key]):
            if isinstance(value, Mapping):
                values[key] = _build(hints[key], value, f"{name}.", faults)
            else:
                faults.append(f"{name} must be a table of settings, found {value!r}")
        elif not _fits(value, hints[key]):
            faults.append(f"{name} must be {_type_name(hints[key])}, found {value!r}")
        else:
            values[key] = float(value) if value is not None and hints[key] in {float, float | None} else value
    if faults:
        return None
    try:
        return kind(**values)
    except ConfigError as error:
        faults.append(str(error))
        return None


def _fits(value: Any, hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if isinstance(hint, UnionType):
        return any(_fits(value, option) for option in get_args(hint))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


def _type_name(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(get_args(hint))
    if isinstance(hint, UnionType):
        return " or ".join(_type_name(option) for option in get_args(hint) if option is not type(None))
    return {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}[hint]
