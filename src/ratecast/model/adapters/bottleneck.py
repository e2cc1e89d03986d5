"""Bottleneck adapters: a narrow network after each feed-forward network."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional

from ratecast.errors import ConfigError
from ratecast.model.adapters.base import Method
from ratecast.model.adapters.families import family_of


@dataclass(frozen=True, kw_only=True)
class Bottleneck(Method):
    """h + U · gelu(D · h) for what a feed-forward network adds to the residual (Houlsby et al. 2019, section 2).

    Only after the feed-forward network, not after the attention too: half of the cost for nearly the same worth (Pfeiffer et
    al. 2021, "AdapterFusion"). U starts at zero.

    Attributes:
        bottleneck_width: rows of D.
    """

    name: ClassVar[str] = "bottleneck"

    bottleneck_width: int = 32

    def attach(self, model: nn.Module) -> nn.Module:
        """As for `Method.attach`; the model itself is returned."""
        settings: Any = model.config
        self.check(settings)
        pattern = re.compile(family_of(settings, self.name).feed_forward)
        names = [name for name, _ in model.named_modules() if pattern.fullmatch(name)]
        if not names:
            raise ConfigError(f"tune=bottleneck found no feed-forward layer in {type(model).__name__}; take another backbone")
        model.requires_grad_(False)
        for name in names:
            wrapped = WithBottleneck(model.get_submodule(name), int(settings.hidden_size), self.bottleneck_width)
            model.set_submodule(name, wrapped)
        return model

    @contextmanager
    def disabled(self, model: nn.Module) -> Iterator[None]:
        """As for `Method.disabled`."""
        wrapped = [module for module in model.modules() if isinstance(module, WithBottleneck)]
        for module in wrapped:
            module.is_on = False
        try:
            yield
        finally:
            for module in wrapped:
                module.is_on = True


class WithBottleneck(nn.Module):
    """A layer with a bottleneck after it.

    Args:
        layer: the layer, whose output has the shape ``(..., width)``.
        width: length of its output vectors.
        narrow: width of the bottleneck.
    """

    def __init__(self, layer: nn.Module, width: int, narrow: int) -> None:
        super().__init__()
        self.layer = layer
        self.down = nn.Linear(width, narrow)
        self.up = nn.Linear(narrow, width)
        self.is_on = True
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, states: Tensor) -> Tensor:
        """Shape ``(..., width)``."""
        output: Tensor = self.layer(states)
        if not self.is_on:
            return output
        added: Tensor = self.up(functional.gelu(self.down(output)))
        return output + added
