"""LoRA: low-rank matrices beside the backbone's own."""

import re
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from ratecast.errors import ConfigError, require
from ratecast.model.adapters.base import PeftMethod
from ratecast.model.adapters.families import FAMILIES, family_of
from ratecast.model.adapters.fourbit import quantise_layers, restore_layers


@dataclass(frozen=True, kw_only=True)
class Lora(PeftMethod):
    """W + (alpha / rank) · B · A, of which only A and B learn (Hu et al. 2022, section 4.1); B starts at zero.

    Attributes:
        rank: rows of A.
        alpha: scale of the sum.
        adapter_dropout: dropout before A.
        adapter_targets: as for `AdapterConfig`; by default queries and values, which the paper found to be worth most for as
            many weights (section 7.1).
        base_bits: 4 keeps the backbone's linear layers in four bits (QLoRA, Dettmers et al. 2023), None in float32.
    """

    name: ClassVar[str] = "lora"
    merges: ClassVar[bool] = True

    rank: int = 8
    alpha: float = 16.0
    adapter_dropout: float = 0.05
    adapter_targets: str | None = None
    base_bits: int | None = None

    def check(self, architecture: Any) -> None:
        """As for `Method.check`; with targets of the user's own every architecture will do."""
        targets(self.adapter_targets, architecture, self.name)
        if self.base_bits is not None and is_transposed(architecture):
            raise ConfigError(
                f"base_bits does not work with {architecture.model_type}, whose layers are Conv1D: leave it unset"
            )

    def attach(self, model: nn.Module) -> nn.Module:
        """As for `Method.attach`."""
        self.check(model.config)
        if self.base_bits is not None:
            quantise_layers(model)
        return super().attach(model)

    def merged(self, model: nn.Module) -> nn.Module:
        """As for `Method.merged`, in float32."""
        restore_layers(model)
        return super().merged(model)

    def peft_config(self, architecture: Any) -> Any:
        """As for `PeftMethod.peft_config`."""
        return require("peft", "train", "tune=lora").LoraConfig(
            task_type="FEATURE_EXTRACTION",
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.adapter_dropout,
            target_modules=targets(self.adapter_targets, architecture, self.name),
            fan_in_fan_out=is_transposed(architecture),
        )


def targets(given: str | None, architecture: Any, method: str) -> str:
    """The expression that the names of the changed layers match.

    Raises:
        ConfigError: if none are given and the architecture is none of the known ones, or it has no layer of a given name.
    """
    if given is None:
        return family_of(architecture, method).queries_values
    names = [name.strip() for name in given.split(",") if name.strip()]
    layers = _linear_layers(architecture)
    absent = [name for name in names if not any(f".{layer}".endswith(f".{name}") for layer in layers)]
    if absent or not names:
        known = dict.fromkeys(layer.rpartition(".")[2] for layer in layers)
        raise ConfigError(
            f"adapter_targets names {', '.join(absent) or 'nothing'}, which no linear layer of the backbone is called; "
            f"there are {', '.join(known)}"
        )
    return rf"(?:.*\.)?(?:{'|'.join(map(re.escape, names))})"


def _linear_layers(architecture: Any) -> list[str]:
    """Their names in a model of that architecture, which is made without its weights."""
    transformers = require("transformers", "train", "adapter_targets")
    with torch.device("meta"):
        model: nn.Module = transformers.AutoModel.from_config(architecture)
    linear = [name for name, module in model.named_modules() if type(module).__name__ in {"Linear", "Conv1D"}]
    return [name for name in linear if not name.startswith("pooler.")]  # which `load_backbone` leaves out


def is_transposed(architecture: Any) -> bool:
    """Whether the linear layers have their weights the other way round."""
    return architecture.model_type in FAMILIES and FAMILIES[architecture.model_type].transposed
