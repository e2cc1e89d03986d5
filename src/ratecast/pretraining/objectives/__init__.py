"""What pretraining learns from text alone, by the name used in the configuration."""

from collections.abc import Mapping
from typing import Final

from ratecast.config import PretrainConfig
from ratecast.errors import ConfigError
from ratecast.pretraining.language import DECODER, ENCODER, LanguageModel
from ratecast.pretraining.objectives.base import PretrainingObjective
from ratecast.pretraining.objectives.causal import CausalObjective
from ratecast.pretraining.objectives.contrastive import ContrastiveObjective
from ratecast.pretraining.objectives.masked import MaskedObjective

__all__ = ["OBJECTIVES", "PretrainingObjective", "create_objective"]

OBJECTIVES: Final[Mapping[str, type[PretrainingObjective]]] = {
    "masked": MaskedObjective,
    "causal": CausalObjective,
    "contrastive": ContrastiveObjective,
}
_DEFAULTS: Final = {ENCODER: "masked", DECODER: "causal"}


def create_objective(language: LanguageModel, config: PretrainConfig) -> PretrainingObjective:
    """The configured objective for a model, by default that of its kind.

    Raises:
        ConfigError: if the objective does not fit the model.
    """
    name = config.objective or _DEFAULTS[language.kind]
    objective = OBJECTIVES[name]
    if language.kind not in objective.kinds:
        kind = "an encoder" if language.kind == ENCODER else "a decoder"
        fitting = ", ".join(other for other, made in OBJECTIVES.items() if language.kind in made.kinds)
        raise ConfigError(
            f"the objective {name!r} does not fit the backbone {config.backbone!r}, which is {kind}; "
            f"choose {fitting.replace(', ', ' or ')}"
        )
    return objective(language, config)
