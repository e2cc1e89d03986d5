"""Fine-tuning as most tests do it: on five levels, to the end."""

from collections.abc import Callable

import torch

from ratecast.model.rater import Rater
from ratecast.records import Reviews
from ratecast.scale import RatingScale
from ratecast.text import TextSettings
from ratecast.train.finetune import FineTuned, finetune
from ratecast.train.inputs import Network
from ratecast.train.loop import Run

SCALE = RatingScale.parse("1..5")
RunOf = Callable[..., Run]
Parts = dict[str, Reviews]


def tune(parts: Parts, run: Run, time_left: Callable[[], float] | None = None) -> FineTuned:
    """Fine-tune where there is time for it."""
    tuned = finetune(parts, SCALE, run, time_left=time_left, reviews_after=0)
    assert tuned is not None
    return tuned


def weights_of(tuned: FineTuned) -> dict[str, torch.Tensor]:
    """Copies of everything that the network holds, by name."""
    return {name: value.clone() for name, value in tuned.rater.state_dict().items()}


class ComputingNetwork(Network):
    """Computes the frozen layers in every step."""

    def __init__(self, rater: Rater, settings: TextSettings, *, layers: int, **_: int) -> None:
        super().__init__(rater, settings, frozen=0, layers=layers)
