"""Prefix tuning: learnt keys and values before the text, in every layer."""

from dataclasses import dataclass
from typing import Any, ClassVar, Final

from ratecast.errors import ConfigError, require
from ratecast.model.adapters.virtual import VirtualTokens

_WITHOUT_CACHE: Final = ("deberta-v2", "modernbert", "distilbert")
"""Architectures of transformers whose attention takes no keys and values from outside."""


@dataclass(frozen=True, kw_only=True)
class Prefix(VirtualTokens):
    """Every layer attends to learnt keys and values besides the text's (Li & Liang 2021, section 4.2, without the MLP)."""

    name: ClassVar[str] = "prefix"
    learning_rate: ClassVar[float] = 1e-2

    def check(self, architecture: Any) -> None:
        """As for `Method.check`."""
        super().check(architecture)
        if architecture.model_type in _WITHOUT_CACHE:
            raise ConfigError(
                f"tune=prefix does not work with {architecture.model_type}, whose attention takes no keys and values from "
                "outside: take lora, ia3 or bottleneck"
            )

    def peft_config(self, architecture: Any) -> Any:
        """As for `PeftMethod.peft_config`."""
        return require("peft", "train", "tune=prefix").PrefixTuningConfig(
            task_type="FEATURE_EXTRACTION", num_virtual_tokens=self.virtual_tokens
        )
