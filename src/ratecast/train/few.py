"""How few reviews are learnt where the settings leave it open; docs/experiments.md has what each is worth."""

from dataclasses import replace
from typing import Final

from ratecast.config import FitConfig
from ratecast.train.plan import Plan

FEW_REVIEWS: Final = 2_000
"""Training reviews below which the topmost layer starts anew, and pairs of reviews are learnt first."""
PAIR_PASSES: Final = 10.0
"""Passes over the reviews in which pairs are learnt."""
_LEAST_LAYERS: Final = 4
"""Layers of a backbone below which one is too large a part of it to be forgotten."""
_TIME_FOR_PAIRS: Final = 2.0
"""Times the time of the plan that must be left for pairs, which take as long as the rest."""


def planned_for_few(plan: Plan, config: FitConfig, *, seconds: float | None, is_taught: bool) -> Plan:
    """The plan, with a new topmost layer and pairs where the reviews are few and the settings leave it open.

    Args:
        plan: what is done otherwise.
        config: the settings, with the backbone's own pooling where they leave it open.
        seconds: time that is left for a network; None without a limit.
        is_taught: whether a teacher's probabilities are learnt, which say more of each review than its rating.
    """
    is_own = config.adapter.tune == "full" and plan.trained_layers > 0 and not is_taught  # its own layers are what learns
    is_encoder = config.backbone.pooling != "last" and config.few.prompt is None
    if not (is_own and is_encoder and plan.layers >= _LEAST_LAYERS and plan.reviews < FEW_REVIEWS):
        return plan  # else as nothing has been measured
    is_open = config.train.epochs is None and config.train.steps is None  # how long to train
    has_time = is_open and (seconds is None or seconds > _TIME_FOR_PAIRS * plan.seconds)
    is_whole = plan.trained_layers == plan.layers  # pairs change what frozen layers would be computed once for
    return replace(
        plan,
        layers_anew=1 if config.strengthen.reinitialised_layers is None else 0,
        pair_passes=PAIR_PASSES if has_time and is_whole and config.few.contrastive_passes is None else 0.0,
    )
