"""Settings of parameter-efficient tuning."""

from dataclasses import dataclass
from typing import Literal

TuneName = Literal["full", "lora", "adalora", "ia3", "prefix", "prompt", "p-tuning", "bottleneck"]


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """Which weights learn: the backbone's own, or a few that are added to it. Each value is for the methods that it names."""

    tune: TuneName = "full"
    """How the backbone is tuned: full (its own weights), or with weights that are added to it while it stays as it is: lora,
    adalora, ia3, prefix, prompt, p-tuning, bottleneck. The model folder then keeps these alone, beside the graph that
    predicts."""
    base_bits: Literal[4] | None = None
    """With lora, keep the backbone's own linear layers in 4 bits (QLoRA): an eighth of their memory in training, which is
    slower for it. The graph that predicts is as large as without."""
    rank: int | None = None
    """Rank of the matrices that are added: for lora 8 by default, for adalora 12, with which it starts."""
    final_rank: int | None = None
    """Rank that adalora's matrices have in the end, on average; 8 by default."""
    alpha: float | None = None
    """Scale of what lora and adalora add, which is then divided by the rank; 16 by default for lora, 32 for adalora."""
    adapter_dropout: float | None = None
    """Dropout before the added weights of lora and adalora; 0.05 by default."""
    adapter_targets: str | None = None
    """Linear layers that lora and adalora change, by the ends of their names, separated by commas. Those of queries and values
    by default, which is known for the usual architectures."""
    virtual_tokens: int | None = None
    """Tokens that prefix, prompt and p-tuning put before each text, which take up as many positions; 10 by default."""
    bottleneck_width: int | None = None
    """Width of the bottleneck after each layer; 32 by default."""
