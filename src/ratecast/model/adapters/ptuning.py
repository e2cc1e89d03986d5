"""P-tuning: learnt token vectors before the text, which a small network makes."""

from dataclasses import dataclass
from typing import Any, ClassVar

from ratecast.errors import require
from ratecast.model.adapters.virtual import VirtualTokens, token_sizes


@dataclass(frozen=True, kw_only=True)
class PTuning(VirtualTokens):
    """Prompt tuning with vectors that a network of three layers makes.

    Such vectors are easier to train than free ones (Liu et al. 2021, "GPT understands, too"); the paper's LSTM is left out.
    """

    name: ClassVar[str] = "p-tuning"

    def peft_config(self, architecture: Any) -> Any:
        """As for `PeftMethod.peft_config`."""
        return require("peft", "train", "tune=p-tuning").PromptEncoderConfig(
            task_type="FEATURE_EXTRACTION",
            num_virtual_tokens=self.virtual_tokens,
            encoder_hidden_size=architecture.hidden_size,
            **token_sizes(architecture),
        )
