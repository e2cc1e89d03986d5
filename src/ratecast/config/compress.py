"""Settings of making a model as small and fast as a limit allows."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ratecast.config.distill import DistillConfig
from ratecast.config.settings import Settings
from ratecast.config.stages import AnswerConfig, ColumnsConfig, SplitConfig, TrackConfig, TrainConfig
from ratecast.config.values import parse_share
from ratecast.errors import ConfigError

DEFAULT_LOSS: Final = 0.01
"""How much higher the RMSE may be where no limit is given."""


@dataclass(frozen=True, kw_only=True)
class CompressConfig(Settings):
    """What a smaller model has to keep to, and what may be tried to get there."""

    columns: ColumnsConfig = field(default_factory=ColumnsConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    answer: AnswerConfig = field(default_factory=AnswerConfig)
    track: TrackConfig = field(default_factory=TrackConfig)
    max_loss: str | None = None
    """How much higher the RMSE may be than the whole model's: 1%, or 0.01. The quickest model within it is written. 1% where
    neither this nor target_ms is given."""
    target_ms: float | None = None
    """How many milliseconds a single review may take, in the median, on this machine. The most accurate model within it is
    written, or with max_loss too, the quickest that keeps to both."""
    deterministic: bool = False
    """Whether only what gives the same answers on every processor, but for rounding, is tried: no network is made one of 8-bit
    integers."""
    keep_exact: bool = False
    """Whether the exact network is kept beside one of 8-bit integers, to fall back on where a processor answers otherwise.
    Without it such a model is refused there."""
    unlabelled: str | None = None
    """A further table, file, folder or pattern, of reviews without ratings: the model rates them, and the smaller ones learn
    from that."""
    most_unlabelled: int = 100_000
    """How many reviews without a rating are read at most; fewer where the time does not suffice."""
    time_budget: str | None = "10m"
    """Upper limit from the start to the folder written: 90s, 10m, 1.5h. With more of it smaller networks learn longer."""
    seed: int = 0
    """Seed of every random choice."""
    threads: int | None = None
    """Processor threads; all cores by default."""

    @property
    def most_loss(self) -> float | None:
        """How much higher the RMSE may be, as a share; None if only the time of a review is limited."""
        if self.max_loss is not None:
            return parse_share(self.max_loss)
        return DEFAULT_LOSS if self.target_ms is None else None

    def for_student(self, student: str, **settings: int) -> DistillConfig:
        """The settings of a student that is tried."""
        return DistillConfig(
            columns=self.columns,
            split=self.split,
            train=self.train,
            answer=self.answer,
            track=self.track,
            student=student,
            unlabelled=self.unlabelled,
            most_unlabelled=self.most_unlabelled,
            time_budget=self.time_budget,
            seed=self.seed,
            threads=self.threads,
        ).with_values(**settings)

    def combined_faults(self) -> Iterator[str]:
        """What is wrong with settings together, or with one that has no range in common with others."""
        if self.max_loss is not None:
            try:
                parse_share(self.max_loss)
            except ConfigError as error:
                yield str(error)
        try:
            self.for_student("static")
        except ConfigError as error:
            yield str(error)
