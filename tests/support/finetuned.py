"""Fine-tuning as most tests do it: on five levels, to the end."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from interruption import InterruptingReporter, StoppedError
from ratecast.model.rater import Rater
from ratecast.records import Reviews
from ratecast.scale import RatingScale
from ratecast.text import TextSettings
from ratecast.train.finetune import finetune
from ratecast.train.finetuned import FineTuned
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


def assert_resumes_exactly(parts: Parts, run_of: RunOf, stops: Sequence[int], **settings: Any) -> FineTuned:
    """Train at once, then in sessions that are killed after some steps each: weights and evaluations must be the same.

    Returns:
        What was trained at once.
    """
    whole = tune(parts, run_of(folder="whole", **settings))
    for stop in stops:
        with pytest.raises(StoppedError):
            tune(parts, replace(run_of(resume=True, **settings), reporter=InterruptingReporter(stop)))
    resumed = tune(parts, run_of(resume=True, **settings))
    assert resumed.result.steps == whole.result.steps
    for name, value in weights_of(whole).items():
        torch.testing.assert_close(weights_of(resumed)[name], value, rtol=0, atol=0, msg=name)
    curves = [[point["validation_rmse"] for point in tuned.result.curve] for tuned in (whole, resumed)]
    assert curves[0] == curves[1]
    return whole


class ComputingNetwork(Network):
    """Computes the frozen layers in every step."""

    def __init__(self, rater: Rater, settings: TextSettings, *, layers: int, **_: int) -> None:
        super().__init__(rater, settings, frozen=0, layers=layers)
