"""What a search may change: a range or some choices for each setting."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from ratecast.config import FitConfig, setting_names
from ratecast.errors import ConfigError
from ratecast.model.heads import HEADS, SoftmaxHead
from ratecast.train.optim import RULES

RANGES: Final[Mapping[str, FloatDistribution]] = {
    "learning_rate": FloatDistribution(2e-5, 3e-4, log=True),
    "head_learning_rate": FloatDistribution(3e-4, 5e-3, log=True),
    "dropout": FloatDistribution(0.0, 0.3),
    "weight_decay": FloatDistribution(1e-3, 0.1, log=True),
    "warmup_fraction": FloatDistribution(0.0, 0.2),
}
"""Settings that are numbers, with the least and the greatest value; learning rates and decay are drawn evenly by magnitude."""

_ADAPTER_RATES: Final = FloatDistribution(2e-4, 2e-2, log=True)
"""Learning rates of weights that are added to the backbone."""

_SEARCHED: Final = {*RANGES, "head", "max_tokens", "trained_layers", "batch_reviews"}
_TOKENS: Final = (96, 128, 192, 256)
_BATCHES: Final = (8, 16, 32)


def search_space(config: FitConfig, given: Collection[str], *, layers: int, longest: int) -> dict[str, BaseDistribution]:
    """Every setting that is searched over, with what it may be. Settings that the user chose are not among them.

    Args:
        config: the settings.
        given: names of settings that were given, even if they were given as their default. Those with another value than
            the default count as given too.
        layers: layers of the backbone.
        longest: longest input that is read by default.

    Raises:
        ConfigError: if nothing is left to search over.
    """
    values, defaults = flat(config), flat(FitConfig())
    found: dict[str, BaseDistribution] = dict(RANGES)
    for name, choices in _choices(config, layers, longest).items():
        allowed = [choice for choice in choices if _is_possible(config, name, choice)]
        if len(allowed) > 1:
            found[name] = CategoricalDistribution(allowed)
    if config.adapter.tune != "full":
        found["learning_rate"] = _ADAPTER_RATES
    found |= _of_rule(config.train.optimizer, found)
    if config.backbone.trained_layers == 0:  # the backbone does not learn
        del found["learning_rate"]
    space = {name: where for name, where in found.items() if name not in given and values[name] == defaults[name]}
    if not space:
        raise ConfigError(f"nothing is left to search over: all of {', '.join(found)} were given; leave some of them out")
    return space


def _of_rule(optimizer: str, found: Mapping[str, BaseDistribution]) -> dict[str, BaseDistribution]:
    """The ranges of learning rates, which are AdamW's, as far above or below them as the optimiser's own defaults are."""
    own, adamw = RULES[optimizer], RULES["adamw"]
    scaled: dict[str, BaseDistribution] = {}
    for name in ("learning_rate", "head_learning_rate"):
        where, factor = found[name], getattr(own, name) / getattr(adamw, name)
        if isinstance(where, FloatDistribution):
            scaled[name] = FloatDistribution(factor * where.low, factor * where.high, log=True)
    return scaled


def fixed_settings(config: FitConfig, space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """Settings that could be searched over but were given, with their values."""
    return {name: value for name, value in flat(config).items() if name in _SEARCHED and name not in space}


def flat(config: FitConfig) -> dict[str, Any]:
    """Every setting by its flat name."""
    return {name: getattr(getattr(config, stage) if stage else config, name) for stage, name in setting_names(FitConfig)}


def _choices(config: FitConfig, layers: int, longest: int) -> dict[str, list[Any]]:
    """Settings with a few values, the default among them. None leaves the choice to the plan, as the time allows."""
    smoothed = config.train.label_smoothing > 0 or config.few.prompt is not None
    return {
        "head": sorted(name for name, kind in HEADS.items() if not smoothed or issubclass(kind, SoftmaxHead)),
        "max_tokens": [None, *(tokens for tokens in _TOKENS if tokens < longest)],
        "trained_layers": [None, *([(layers + 1) // 2] if layers > 1 else [])],
        "batch_reviews": list(_BATCHES),
    }


def _is_possible(config: FitConfig, name: str, choice: Any) -> bool:
    """Whether the choice does not contradict the settings that were given."""
    try:
        config.with_values(**{name: choice})
    except ConfigError:
        return False
    return True
