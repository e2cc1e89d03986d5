"""Settings of every stage of fitting: frozen dataclasses from which TOML keys, flags, help texts and estimator parameters come.

Field names are unique over all stages, so that a flag needs no prefix: ``train.learning_rate`` in TOML is ``--learning-rate``
on the command line and ``train__learning_rate`` for the scikit-learn estimator.
"""

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from ratecast.config.adapter import AdapterConfig, TuneName
from ratecast.config.compress import CompressConfig
from ratecast.config.distill import DistillConfig
from ratecast.config.few import FewLabelsConfig
from ratecast.config.pretrain import PretrainConfig
from ratecast.config.serve import (
    BatchingConfig,
    LimitsConfig,
    ListenConfig,
    RoutingConfig,
    ServeConfig,
    TraceConfig,
    is_loopback,
)
from ratecast.config.settings import Settings, setting_names
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
from ratecast.config.store import StoreConfig
from ratecast.config.values import parse_duration, translation_models
from ratecast.errors import ConfigError

__all__ = [
    "AdapterConfig",
    "AnswerConfig",
    "BackboneConfig",
    "BatchingConfig",
    "ClassWeights",
    "ColumnsConfig",
    "CompressConfig",
    "DistillConfig",
    "FewLabelsConfig",
    "FitConfig",
    "LimitsConfig",
    "ListenConfig",
    "Optimise",
    "PretrainConfig",
    "RoutingConfig",
    "ServeConfig",
    "Settings",
    "SplitBy",
    "SplitConfig",
    "StoreConfig",
    "StrengthenConfig",
    "TraceConfig",
    "TrackConfig",
    "TrainConfig",
    "TuneName",
    "is_loopback",
    "parse_duration",
    "setting_names",
    "translation_models",
]


@dataclass(frozen=True, kw_only=True)
class FitConfig(Settings):
    """Everything that decides how a model is fitted."""

    columns: ColumnsConfig = field(default_factory=ColumnsConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    adapter: AdapterConfig = field(default_factory=AdapterConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    few: FewLabelsConfig = field(default_factory=FewLabelsConfig)
    strengthen: StrengthenConfig = field(default_factory=StrengthenConfig)
    answer: AnswerConfig = field(default_factory=AnswerConfig)
    track: TrackConfig = field(default_factory=TrackConfig)
    time_budget: str | None = None
    """Upper limit from the start to the folder written: 90s, 10m, 1.5h. None by default."""
    seed: int = 0
    """Seed of every random choice."""
    threads: int | None = None
    """Processor threads; all cores by default."""

    def combined_faults(self) -> Iterator[str]:
        """What is wrong with settings together, or with one that has no range in common with others."""
        if self.backbone.max_tokens is not None and self.backbone.max_tokens < 8:
            yield f"max_tokens must be at least 8, found {self.backbone.max_tokens}"
        if (self.split.validation_fraction or 0.1) + self.split.test_fraction > 0.9:
            yield "validation_fraction and test_fraction leave less than a tenth of the reviews for training"
        if self.split.validation_fraction == 0:
            yield "validation_fraction must be above 0: training stops on the validation reviews"
        if not 0 < self.answer.coverage < 1:
            yield f"coverage must be above 0 and below 1, found {self.answer.coverage}"
        yield from _clashes(self.strengthen, self.backbone)
        yield from _clashes_with_few_labels(self.few, self.backbone)
        yield from _clashes_with_windows(self.strengthen, self.backbone)
        if self.adapter.tune != "full":
            yield from _clashes_with_adapters(self)
        yield from self._pretrain_faults()
        if self.strengthen.back_translation is not None:
            try:
                translation_models(self.strengthen.back_translation)
            except ConfigError as error:
                yield str(error)

    def _pretrain_faults(self) -> Iterator[str]:
        if self.backbone.pretrain is None:
            return
        try:
            seconds = parse_duration(self.backbone.pretrain)
        except ConfigError as error:
            yield f"pretrain: {error}"
            return
        with suppress(ConfigError):  # a time budget that cannot be read is told elsewhere
            if seconds >= (self.time_budget_seconds or math.inf):
                yield f"pretrain is {self.backbone.pretrain}, which leaves nothing of the time budget of {self.time_budget}"


def _clashes(strengthen: StrengthenConfig, backbone: BackboneConfig) -> Iterator[str]:
    """Settings that contradict each other, or that would do nothing without another one."""
    trained, anew = backbone.trained_layers, strengthen.reinitialised_layers or 0
    if strengthen.gradual_unfreezing and trained is not None and trained < 2:
        yield (
            f"gradual_unfreezing lets lower layers join the topmost, but trained_layers={trained} trains "
            f"{'none' if trained == 0 else 'that one alone'}: leave one of the two unset"
        )
    if strengthen.gradual_unfreezing and anew > 1:
        yield (
            f"gradual_unfreezing starts with the topmost layer alone, which would leave others of the "
            f"reinitialised_layers={anew} at random weights: leave one of the two unset"
        )
    if strengthen.layer_decay > 1:
        yield f"layer_decay must be at most 1, found {strengthen.layer_decay}"
    if (strengthen.dropout_samples > 1 or strengthen.r_drop) and not backbone.dropout:
        yield "dropout_samples and r_drop compare dropout masks, but dropout is 0: set it above 0"
    if trained is not None and anew > trained:
        yield f"reinitialised_layers must be at most trained_layers={trained}, found {anew}"
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


def _clashes_with_few_labels(few: FewLabelsConfig, backbone: BackboneConfig) -> Iterator[str]:
    """Settings of prompts and pairs that are impossible, or that others contradict."""
    yield from few.faults()
    if few.prompt is not None and (backbone.pooled_layers > 1 or backbone.pooling is not None):
        yield "a prompt takes the vector where the word is told: leave pooling and pooled_layers unset"
    if few.contrastive_passes and backbone.trained_layers == 0:
        yield "contrastive_passes trains the backbone, which trained_layers=0 leaves as it is: leave one of them unset"
    if few.prompt is not None and backbone.windows > 1:
        yield "a prompt is told once, but windows read a review several times: leave one of them unset"


def _clashes_with_windows(strengthen: StrengthenConfig, backbone: BackboneConfig) -> Iterator[str]:
    """Settings of windows without any, and those that take the first trained layer to be entered once.

    The summary that recurs makes what enters that layer another in each pass.
    """
    if backbone.windows == 1:
        for name in ("window_pooling", "overlap_fraction"):
            if getattr(backbone, name) != getattr(BackboneConfig(), name):
                yield f"{name} is for reviews that are read in several windows: set windows above 1, or leave it unset"
        return
    if backbone.window_pooling != "recurrent":
        return
    if backbone.trained_layers is not None:
        yield (
            "window_pooling=recurrent hands what is learnt to the lowest layer of the next window, but "
            f"trained_layers={backbone.trained_layers} computes the lowest layers once: leave trained_layers unset, or choose "
            "attention or mean"
        )
    if strengthen.adversarial:
        yield "adversarial does not go with window_pooling=recurrent: choose attention or mean, or leave it off"


def _clashes_with_adapters(config: FitConfig) -> Iterator[str]:
    """Settings of the backbone's own weights, which stay as they are where others are added to them."""
    own = {
        "trained_layers": config.backbone.trained_layers is not None,
        "train_embeddings": config.backbone.train_embeddings,
        "gradual_unfreezing": config.strengthen.gradual_unfreezing > 0,
        "reinitialised_layers": bool(config.strengthen.reinitialised_layers),
    }
    if config.adapter.tune == "prefix" and config.train.gradient_checkpointing:
        yield "gradient_checkpointing does not go with tune=prefix, whose keys and values it would leave out: leave it off"
    for name in (name for name, is_given in own.items() if is_given):
        yield f"{name} is for the backbone's own weights, which tune={config.adapter.tune} leaves as they are: leave it unset"
    if config.backbone.pretrain is not None:
        yield (
            f"with tune={config.adapter.tune} the model folder needs a backbone that stays: run ratecast pretrain before it in "
            "place of setting pretrain, and give its folder as the backbone"
        )
