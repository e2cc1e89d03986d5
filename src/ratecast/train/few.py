"""How few reviews are learnt where the settings leave it open; docs/experiments.md has what each is worth."""

from typing import Final

from ratecast.config import FitConfig

ANEW_REVIEWS: Final = 2_000
"""Training reviews below which the topmost layer starts anew."""
PAIRED_REVIEWS: Final = 2_000
"""Training reviews below which pairs of them are learnt first."""
PAIR_PASSES: Final = 10.0
"""Passes over the reviews in which pairs are learnt."""
_LEAST_LAYERS: Final = 4
"""Layers of a backbone below which one is too large a part of it to be forgotten."""


def with_usual(config: FitConfig, *, layers: int, reviews: int, has_time: bool, is_taught: bool) -> FitConfig:
    """The settings, with what they leave open of the topmost layers and of pairs.

    Args:
        config: the settings, with the pooling and the trained layers of the plan.
        layers: of the backbone.
        reviews: training reviews that are read.
        has_time: whether there is time for pairs besides.
        is_taught: whether a teacher's probabilities are learnt, which say more of each review than its rating.
    """
    trained = config.backbone.trained_layers
    is_own = config.adapter.tune == "full" and trained != 0 and not is_taught  # its own layers are what learns
    is_encoder = config.backbone.pooling != "last" and config.few.prompt is None
    suits = is_own and is_encoder and layers >= _LEAST_LAYERS  # others have not been measured
    anew = suits and reviews < ANEW_REVIEWS
    paired = suits and trained is None and has_time and reviews < PAIRED_REVIEWS
    found = {"reinitialised_layers": int(anew), "contrastive_passes": PAIR_PASSES * paired}
    given = {
        "reinitialised_layers": config.strengthen.reinitialised_layers,
        "contrastive_passes": config.few.contrastive_passes,
    }
    return config.with_values(**found | {name: value for name, value in given.items() if value is not None})
