"""Where the architectures of transformers have the layers that tuning methods change."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ratecast.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Family:
    """The linear layers of an architecture, as expressions that match a module's whole name.

    Attributes:
        queries_values: those that make queries and values, or queries, keys and values together.
        keys_values: those that make keys and values.
        feed_forward: the second one of each feed-forward network, whose output goes into the residual stream.
        transposed: whether they are GPT-2's ``Conv1D``, which has its weight the other way round.
    """

    queries_values: str
    keys_values: str
    feed_forward: str
    transposed: bool = False


_BERT: Final = Family(
    queries_values=r".*\.self\.(query|value)",
    keys_values=r".*\.self\.(key|value)",
    feed_forward=r".*\.layer\.\d+\.output\.dense",
)
_LLAMA: Final = Family(queries_values=r".*\.(q|v)_proj", keys_values=r".*\.(k|v)_proj", feed_forward=r".*\.mlp\.down_proj")
FAMILIES: Final[Mapping[str, Family]] = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "deberta-v2": Family(
        queries_values=r".*\.self\.(query|value)_proj",
        keys_values=r".*\.self\.(key|value)_proj",
        feed_forward=_BERT.feed_forward,
    ),
    "modernbert": Family(queries_values=r".*\.attn\.Wqkv", keys_values=r".*\.attn\.Wqkv", feed_forward=r".*\.mlp\.Wo"),
    "distilbert": Family(
        queries_values=r".*\.attention\.(q|v)_lin", keys_values=r".*\.attention\.(k|v)_lin", feed_forward=r".*\.ffn\.lin2"
    ),
    "gpt2": Family(
        queries_values=r".*\.attn\.c_attn", keys_values=r".*\.attn\.c_attn", feed_forward=r".*\.mlp\.c_proj", transposed=True
    ),
    "llama": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "smollm3": _LLAMA,
}
"""Every architecture that can be tuned with added weights, by its ``model_type``."""


def family_of(architecture: Any, method: str) -> Family:
    """The family of a backbone's configuration.

    Raises:
        ConfigError: if it is none of those that are known.
    """
    if architecture.model_type not in FAMILIES:
        raise ConfigError(
            f"tune={method} does not know where a {architecture.model_type} has its layers; known are "
            f"{', '.join(FAMILIES)}: take one of these, name its layers with adapter_targets (tune=lora), or take tune=full"
        )
    return FAMILIES[architecture.model_type]
