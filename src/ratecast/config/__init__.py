"""Settings of every stage of fitting: frozen dataclasses from which TOML keys, flags, help texts and estimator parameters come.

Field names are unique over all stages, so that a flag needs no prefix: ``train.learning_rate`` in TOML is ``--learning-rate``
on the command line and ``train__learning_rate`` for the scikit-learn estimator.
"""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from ratecast.config.stages import (
    AnswerConfig,
    BackboneConfig,
    ClassWeights,
    ColumnsConfig,
    Optimise,
    SplitBy,
    SplitConfig,
    StrengthenConfig,
    TrackConfig,
    TrainConfig,
)
from ratecast.config.values import fits, parse_duration, range_fault, translation_models, type_name
from ratecast.errors import ConfigError

__all__ = [
    "AnswerConfig",
    "BackboneConfig",
    "ClassWeights",
    "ColumnsConfig",
    "FitConfig",
    "Optimise",
    "SplitBy",
    "SplitConfig",
    "StrengthenConfig",
    "TrackConfig",
    "TrainConfig",
    "parse_duration",
    "setting_names",
    "translation_models",
]


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


def _faults(config: FitConfig) -> Iterator[str]:
    values = {name: getattr(getattr(config, stage) if stage else config, name) for stage, name in setting_names()}
    wrong = [name for name, value in values.items() if not fits(value, _hints()[name])]
    if wrong:
        yield from (f"{name} must be {type_name(_hints()[name])}, found {values[name]!r}" for name in wrong)
        return
    yield from filter(None, (range_fault(name, value) for name, value in values.items() if value is not None))
    yield from _combined_faults(config)


def _combined_faults(config: FitConfig) -> Iterator[str]:
    if config.backbone.max_tokens is not None and config.backbone.max_tokens < 8:
        yield f"max_tokens must be at least 8, found {config.backbone.max_tokens}"
    if (config.split.validation_fraction or 0.1) + config.split.test_fraction > 0.9:
        yield "validation_fraction and test_fraction leave less than a tenth of the reviews for training"
    if config.split.validation_fraction == 0:
        yield "validation_fraction must be above 0: training stops on the validation reviews"
    if not 0 < config.answer.coverage < 1:
        yield f"coverage must be above 0 and below 1, found {config.answer.coverage}"
    yield from _clashes(config.strengthen, config.backbone)
    for text, read in ((config.time_budget, parse_duration), (config.strengthen.back_translation, translation_models)):
        if text is not None:
            try:
                read(text)
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
    if trained and backbone.pooled_layers > trained + 1:
        yield (
            f"pooled_layers must be at most {trained + 1} with trained_layers={trained}, found {backbone.pooled_layers}: "
            "of the frozen layers only the topmost one's outputs are kept"
        )
    if trained is not None and strengthen.changes_texts:
        yield (
            "word_deletion, synonyms and back_translation change the training texts in each pass, but "
            f"trained_layers={trained} computes the frozen layers once: leave trained_layers unset, or these off"
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
        elif not fits(value, hints[key]):
            faults.append(f"{name} must be {type_name(hints[key])}, found {value!r}")
        else:
            values[key] = float(value) if value is not None and hints[key] in {float, float | None} else value
    if faults:
        return None
    try:
        return kind(**values)
    except ConfigError as error:
        faults.append(str(error))
        return None
