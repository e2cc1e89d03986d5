"""Settings of pretraining on unlabelled reviews."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from ratecast.config.settings import Settings
from ratecast.config.stages import ColumnsConfig, TrackConfig

ObjectiveName = Literal["masked", "causal", "contrastive"]


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(Settings):
    """Everything that decides how a backbone is pretrained further."""

    columns: ColumnsConfig = field(default_factory=ColumnsConfig)
    track: TrackConfig = field(default_factory=TrackConfig)
    backbone: str = "all-MiniLM-L6-v2"
    """Name on the Hugging Face hub, local folder or GGUF file. The default comes with ratecast[train], without a download."""
    objective: ObjectiveName | None = None
    """What is learnt from the text: masked (words that were hidden, for encoders such as BERT), causal (the next word, for
    decoders such as GPT), contrastive (telling reviews apart, whatever the dropout). By default that of the backbone's kind."""
    masked_fraction: float = 0.15
    """Share of the tokens that the masked objective hides, whole words at a time."""
    block_tokens: int = 128
    """Tokens that are read together. Reviews stand in blocks of this length one after the other; contrastive, which takes them
    one by one, keeps the beginning and the end of longer ones."""
    batch_tokens: int = 2048
    """Tokens in a batch."""
    learning_rate: float | None = None
    """Peak learning rate; by default the objective's: 2e-4 for masked, 1e-4 for causal, 3e-5 for contrastive."""
    warmup_fraction: float = 0.06
    """Share of the steps in which the learning rate rises; after them it falls."""
    weight_decay: float = 0.01
    """Decoupled weight decay, on matrices only."""
    epochs: float = 1.0
    """Passes over the reviews, at most."""
    steps: int | None = None
    """Fixed number of steps in place of epochs; such a run is exactly repeatable and resumable."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """What the backbone computes in. auto takes bfloat16 on processors that multiply it much faster."""
    checkpoint_seconds: float = 60.0
    """Time between checkpoints that --resume goes on from."""
    time_budget: str | None = None
    """Upper limit from the start to the folder written: 90s, 10m, 1.5h. None by default."""
    seed: int = 0
    """Seed of every random choice."""
    threads: int | None = None
    """Processor threads; all cores by default."""

    def combined_faults(self) -> Iterator[str]:
        """What is wrong with settings together, or with one that has no range in common with others."""
        if self.masked_fraction == 0:
            yield "masked_fraction must be above 0: nothing would be learnt"
        if self.masked_fraction != PretrainConfig.masked_fraction and self.objective not in {None, "masked"}:
            yield f"masked_fraction is for the objective masked, found {self.objective}: leave it unset"
        if self.block_tokens < 8:
            yield f"block_tokens must be at least 8, found {self.block_tokens}"
        if self.batch_tokens < self.block_tokens:
            yield f"batch_tokens must be at least block_tokens, {self.block_tokens}, found {self.batch_tokens}"
