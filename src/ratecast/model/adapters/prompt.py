"""Prompt tuning: learnt token vectors before the text."""

from dataclasses import dataclass
from typing import Any, ClassVar

from ratecast.errors import require
from ratecast.model.adapters.virtual import VirtualTokens, token_sizes


@dataclass(frozen=True, kw_only=True)
class Prompt(VirtualTokens):
    """Learnt vectors stand before those of the text (Lester et al. 2021, section 2); they start as those of random tokens."""

    name: ClassVar[str] = "prompt"
    learning_rate: ClassVar[float] = 1e-2

    def peft_config(self, architecture: Any) -> Any:
        """As for `PeftMethod.peft_config`."""
        return require("peft", "train", "tune=prompt").PromptTuningConfig(
            task_type="FEATURE_EXTRACTION",
            num_virtual_tokens=self.virtual_tokens,
            prompt_tuning_init="SAMPLE_VOCAB",
            **token_sizes(architecture),
        )
