"""What every method of parameter-efficient tuning does."""

import hashlib
import warnings
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ratecast.errors import ConfigError, require
from ratecast.model.adapters.families import family_of


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """A way of tuning a backbone with weights that are added to it; its fields are settings of `AdapterConfig` by name.

    Attributes:
        name: what the settings call it.
        learning_rate: peak learning rate of the added weights where the settings give none.
        starts_as_identity: whether the backbone gives the same before any training.
        merges: whether the added weights can be taken into those of the backbone.
    """

    name: ClassVar[str]
    learning_rate: ClassVar[float] = 1e-3
    starts_as_identity: ClassVar[bool] = True
    merges: ClassVar[bool] = False

    @property
    def added_tokens(self) -> int:
        """Positions that it takes up besides those of the text."""
        return 0

    def check(self, architecture: Any) -> None:
        """Refuse a backbone that the method does not work with.

        Args:
            architecture: the configuration of the backbone in transformers.

        Raises:
            ConfigError: naming both.
        """
        family_of(architecture, self.name)

    @abstractmethod
    def attach(self, model: nn.Module) -> nn.Module:
        """Add the weights to a backbone, which is changed in place; in what is returned only they are trained.

        Raises:
            ConfigError: if there is nothing that they can be added to.
            MissingExtraError: if the extra ``train`` is not installed.
        """

    @abstractmethod
    def disabled(self, model: nn.Module) -> AbstractContextManager[None]:
        """While the context is open, what `attach` gave computes what the backbone alone does."""

    def merged(self, model: nn.Module) -> nn.Module:
        """The backbone with the added weights taken into its own, which changes them; what was given if `merges` is false."""
        return model

    def penalty(self, model: nn.Module) -> Tensor | None:
        """What is added to the loss of a step, a scalar."""
        return None

    def after_step(self, model: nn.Module, step: int, steps: int, memory: dict[str, Tensor]) -> dict[str, Tensor]:
        """Do what is to be done between a step of the optimiser and the removal of its gradients.

        Args:
            model: what `attach` gave.
            step: the step, counted from 0.
            steps: how many the training has.
            memory: what the step before returned, over interruptions of the training too; nothing at first.

        Returns:
            What the next step needs.
        """
        return memory


class PeftMethod(Method):
    """A method that the library peft has."""

    def peft_config(self, architecture: Any) -> Any:
        """The configuration in peft."""
        raise NotImplementedError

    def attach(self, model: nn.Module) -> nn.Module:
        """Add the weights; as for `Method.attach`."""
        peft = require("peft", "train", f"tune={self.name}")
        self.check(model.config)
        with warnings.catch_warnings():
            # peft 0.21 asks transformers 5.23 for a property that this is about to rename.
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing")
            try:
                adapted: nn.Module = peft.get_peft_model(model, self.peft_config(model.config))
            except ValueError as error:
                raise ConfigError(f"tune={self.name} cannot be added to the backbone: {_first_line(error)}") from None
        return adapted

    def disabled(self, model: nn.Module) -> AbstractContextManager[None]:
        """As for `Method.disabled`."""
        peft_model: Any = model
        context: AbstractContextManager[None] = peft_model.disable_adapter()
        return context

    def merged(self, model: nn.Module) -> nn.Module:
        """As for `Method.merged`."""
        peft_model: Any = model
        backbone: nn.Module = peft_model.merge_and_unload() if self.merges else model
        return backbone


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """A method with the backbone that it was attached to.

    Attributes:
        method: the method with its settings.
        model: the backbone with the added weights.
        base: the name or folder that the backbone was asked for by.
        base_sha256: hash of its own weights, as `weights_sha256` gives it.
    """

    method: Method
    model: nn.Module
    base: str
    base_sha256: str


@torch.no_grad()
def weights_sha256(model: nn.Module) -> str:
    """SHA-256 over the names and values of a model's weights, however they were divided into files."""
    digest = hashlib.sha256()
    for name, weight in sorted(model.state_dict().items()):
        digest.update(f"{name}\0{weight.dtype}\0{tuple(weight.shape)}\0".encode())
        digest.update(memoryview(weight.detach().cpu().contiguous().numpy()).cast("B"))
    return digest.hexdigest()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]
