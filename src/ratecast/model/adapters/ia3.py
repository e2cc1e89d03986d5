"""(IA)³: a factor for each key, value and hidden unit."""

from dataclasses import dataclass
from typing import Any, ClassVar

from ratecast.errors import require
from ratecast.model.adapters.base import PeftMethod
from ratecast.model.adapters.families import family_of


@dataclass(frozen=True, kw_only=True)
class Ia3(PeftMethod):
    """Keys, values and the feed-forward networks' hidden units are multiplied by learnt vectors (Liu et al. 2022, section 3.3).

    Where one layer makes queries, keys and values together, the queries are too. All factors start at 1.
    """

    name: ClassVar[str] = "ia3"
    learning_rate: ClassVar[float] = 3e-3
    merges: ClassVar[bool] = True

    def peft_config(self, architecture: Any) -> Any:
        """As for `PeftMethod.peft_config`."""
        family = family_of(architecture, self.name)
        return require("peft", "train", "tune=ia3").IA3Config(
            task_type="FEATURE_EXTRACTION",
            target_modules=f"{family.keys_values}|{family.feed_forward}",
            feedforward_modules=family.feed_forward,
            fan_in_fan_out=family.transposed,
        )
