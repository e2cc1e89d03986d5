"""What the methods that put virtual tokens before the text have in common."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from ratecast.model.adapters.base import PeftMethod


@dataclass(frozen=True, kw_only=True)
class VirtualTokens(PeftMethod):
    """Something learnt stands before the text, and is attended to like tokens.

    Attributes:
        virtual_tokens: how many of them there are; those of the text are numbered after them.
    """

    starts_as_identity: ClassVar[bool] = False

    virtual_tokens: int = 10

    @property
    def added_tokens(self) -> int:
        """The virtual tokens."""
        return self.virtual_tokens

    @contextmanager
    def disabled(self, model: nn.Module) -> Iterator[None]:
        """As for `Method.disabled`; peft 0.21 can do it for models that generate text alone."""
        peft_model: Any = model
        peft_model.forward = peft_model.base_model.forward
        try:
            yield
        finally:
            del peft_model.forward


def token_sizes(architecture: Any) -> dict[str, int]:
    """What peft wants to know of an architecture, some of which it does not know by its own names (DistilBERT's ``dim``)."""
    return {
        "token_dim": architecture.hidden_size,
        "num_layers": architecture.num_hidden_layers,
        "num_attention_heads": architecture.num_attention_heads,
    }
