"""Settings of making a smaller model from a fitted one."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from ratecast.config.settings import Settings
from ratecast.config.stages import AnswerConfig, ColumnsConfig, SplitConfig, TrackConfig, TrainConfig


@dataclass(frozen=True, kw_only=True)
class DistillConfig(Settings):
    """Everything that decides how a smaller model is made from a fitted one."""

    columns: ColumnsConfig = field(default_factory=ColumnsConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    answer: AnswerConfig = field(default_factory=AnswerConfig)
    track: TrackConfig = field(default_factory=TrackConfig)
    student: str = "static"
    """What the smaller model is: static (vectors of words and word pairs, thousands of reviews a second, no network), layers
    (the teacher's network with fewer layers), width (with fewer attention heads and a narrower inner layer, for BERT, RoBERTa,
    XLM-R, CamemBERT, ELECTRA and DistilBERT), or another backbone: a name on the hub, a folder or a GGUF file."""
    kept_layers: int | None = None
    """How many layers stay; half of them with the student layers, all with the student width."""
    layer_choice: Literal["loss", "even"] = "loss"
    """Which layers stay: loss drops, one after the other, the layer that the validation reviews miss least; even keeps layers
    at even distances."""
    kept_heads: float | None = None
    """Share of the attention heads that stay, the most important ones: half with the student width, all otherwise."""
    kept_neurons: float | None = None
    """Share of the neurons of the inner layers that stay: half with the student width, all otherwise."""
    max_tokens: int | None = None
    """Longest input of a pruned network, in tokens; the teacher's by default. With fewer it learns from more reviews in
    the same time, and predicts faster."""
    prune_vocabulary: bool = False
    """Whether a pruned network also loses the tokens that none of the texts has. It becomes smaller, not faster."""
    unlabelled: str | None = None
    """A further table, file, folder or pattern, of reviews without ratings: the teacher rates them, and the student learns from
    that. Rows without a rating in the table itself serve in the same way. The more, the better."""
    most_unlabelled: int = 100_000
    """How many reviews without a rating are read at most; fewer where the time does not suffice."""
    time_budget: str | None = None
    """Upper limit from the start to the folder written: 90s, 10m, 1.5h. None by default."""
    seed: int = 0
    """Seed of every random choice."""
    threads: int | None = None
    """Processor threads; all cores by default."""

    def combined_faults(self) -> Iterator[str]:
        """What is wrong with settings together, or with one that has no range in common with others."""
        for name in ("kept_heads", "kept_neurons"):
            if (share := getattr(self, name)) is not None and not 0 < share <= 1:
                yield f"{name} must be above 0 and at most 1, found {share}"
        if (self.split.validation_fraction or 0.1) + self.split.test_fraction > 0.9:
            yield "validation_fraction and test_fraction leave less than a tenth of the reviews for training"
        if not 0 < self.answer.coverage < 1:
            yield f"coverage must be above 0 and below 1, found {self.answer.coverage}"
        for name in ("use", "scale"):
            if (given := getattr(self.columns, name)) is not None:
                yield f"{name} is the teacher's and cannot be another one, found {given!r}: leave it unset"
        pruning = ("kept_layers", "kept_heads", "kept_neurons", "max_tokens", "prune_vocabulary")
        pruned = [name for name in pruning if getattr(self, name)]
        if pruned and self.student not in {"layers", "width"}:
            yield f"{pruned[0]} is for the students layers and width, found student={self.student!r}: leave it unset"
        if self.student == "layers" and (self.kept_heads or self.kept_neurons):
            yield "kept_heads and kept_neurons are for the student width, which takes kept_layers too"
