"""AdaLoRA: low-rank matrices whose ranks go where they are worth most."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ratecast.errors import ConfigError, require
from ratecast.model.adapters.base import PeftMethod
from ratecast.model.adapters.lora import is_transposed, targets


@dataclass(frozen=True, kw_only=True)
class AdaLora(PeftMethod):
    """W + P · Λ · Q with Λ diagonal, whose least important entries are set to zero while training (Zhang et al. 2023).

    The number of entries that are left falls from ``rank`` to ``final_rank`` for each matrix, by the cubic course of the
    paper's equation 12, after a tenth of the steps; in the second half of the steps those that are left are trained. Entries
    that are zero cost nothing once the matrices are merged.

    Attributes:
        rank: entries of each Λ in the beginning.
        final_rank: those in the end, on average.
        alpha: scale of the sum, in units of 1 / rank.
        adapter_dropout: dropout before Q.
        adapter_targets: as for `AdapterConfig`.

    Raises:
        ConfigError: if the final rank is not below the first one.
    """

    name: ClassVar[str] = "adalora"
    merges: ClassVar[bool] = True
    orthogonality: ClassVar[float] = 0.1
    """Weight of the penalty in the paper's equation 4."""

    rank: int = 12
    final_rank: int = 8
    alpha: float = 32.0
    adapter_dropout: float = 0.05
    adapter_targets: str | None = None

    def __post_init__(self) -> None:
        if self.final_rank >= self.rank:
            raise ConfigError(f"adalora lowers the rank: final_rank must be below rank {self.rank}, found {self.final_rank}")

    def check(self, architecture: Any) -> None:
        """As for `Lora.check`."""
        targets(self.adapter_targets, architecture, self.name)

    def peft_config(self, architecture: Any) -> Any:
        """As for `PeftMethod.peft_config`; the steps are set once they are known."""
        return require("peft", "train", "tune=adalora").AdaLoraConfig(
            task_type="FEATURE_EXTRACTION",
            init_r=self.rank,
            target_r=self.final_rank,
            lora_alpha=self.alpha,
            lora_dropout=self.adapter_dropout,
            target_modules=targets(self.adapter_targets, architecture, self.name),
            fan_in_fan_out=is_transposed(architecture),
            total_step=1,
        )

    def penalty(self, model: nn.Module) -> Tensor:
        """Weight times the mean of ‖PᵀP − I‖ and ‖QQᵀ − I‖ over the matrices, so that entries of Λ can be compared.

        As peft has it, without the paper's square.
        """
        norms = []
        for name, weight in model.named_parameters():
            if ".lora_A." in name or ".lora_B." in name:
                product = weight @ weight.T if ".lora_A." in name else weight.T @ weight
                norms.append(torch.linalg.matrix_norm(product - torch.eye(len(product), device=product.device)))
        return self.orthogonality * torch.stack(norms).mean()

    def after_step(self, model: nn.Module, step: int, steps: int, memory: dict[str, Tensor]) -> dict[str, Tensor]:
        """Update how important each entry is, and set the least important ones to zero; as for `Method.after_step`."""
        tuner: Any = model.base_model
        allocator, settings = tuner.rankallocator, tuner.peft_config["default"]
        settings.total_step, settings.tinit, settings.tfinal = steps, steps // 10, steps // 2
        settings.deltaT = max(1, steps // 100)
        if memory and not allocator.exp_avg_ipt and settings.rank_pattern is None:  # the first step of a resumed run
            device = next(model.parameters()).device
            _recall(allocator, settings, {name: value.to(device) for name, value in memory.items()})
        tuner.update_and_allocate(step)
        found = {f"importance/{name}": value for name, value in allocator.exp_avg_ipt.items()}
        found |= {f"uncertainty/{name}": value for name, value in allocator.exp_avg_unc.items()}
        kept: dict[str, list[bool]] = settings.rank_pattern or {}
        return found | {f"kept/{name}": torch.tensor(value) for name, value in kept.items()}


def _recall(allocator: Any, settings: Any, memory: dict[str, Tensor]) -> None:
    found: dict[str, dict[str, Tensor]] = {"importance": {}, "uncertainty": {}, "kept": {}}
    for key, value in memory.items():
        kind, _, name = key.partition("/")
        found[kind][name] = value
    allocator.ipt = dict.fromkeys(found["importance"])  # computed anew in each step
    allocator.exp_avg_ipt, allocator.exp_avg_unc = found["importance"], found["uncertainty"]
    settings.rank_pattern = {name: value.tolist() for name, value in found["kept"].items()} or None
