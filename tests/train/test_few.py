"""What the settings leave open where reviews are few."""

import math
from pathlib import Path
from typing import Any

import pytest

from finetuned import SCALE, Parts, RunOf, tune
from ratecast.config import FitConfig
from ratecast.train import planning
from ratecast.train.few import ANEW_REVIEWS, PAIR_PASSES, PAIRED_REVIEWS, with_usual
from ratecast.train.plan import Speed

LAYERS = 6


def found(reviews: int = 100, *, layers: int = LAYERS, has_time: bool = True, is_taught: bool = False, **given: Any) -> Any:
    """Layers that start anew, and passes over pairs."""
    config = FitConfig().with_values(**{"pooling": "mean"} | given)
    resolved = with_usual(config, layers=layers, reviews=reviews, has_time=has_time, is_taught=is_taught)
    return resolved.strengthen.reinitialised_layers, resolved.few.contrastive_passes


def test_few_reviews_begin_with_pairs_and_a_new_topmost_layer() -> None:
    assert found() == (1, PAIR_PASSES)
    assert found(max(ANEW_REVIEWS, PAIRED_REVIEWS)) == (0, 0)
    assert found(has_time=False) == (1, 0)


@pytest.mark.parametrize(
    "given",
    [{"layers": 3}, {"is_taught": True}, {"tune": "lora"}, {"trained_layers": 0}, {"prompt": "default"}, {"pooling": "last"}],
    ids=str,
)
def test_nothing_is_added_to_what_it_was_not_measured_with(given: dict[str, Any]) -> None:
    assert found(**given) == (0, 0)


def test_frozen_layers_learn_no_pairs() -> None:
    assert found(trained_layers=3) == (1, 0)


def test_what_is_given_stays() -> None:
    assert found(reinitialised_layers=0, contrastive_passes=0.0) == (0, 0)
    assert found(10**6, reinitialised_layers=2, contrastive_passes=3.0, has_time=False) == (2, 3)


def test_a_fit_begins_so_by_itself(parts: Parts, run_of: RunOf, deep_backbone: Path) -> None:
    tuned = tune(parts, run_of(backbone=str(deep_backbone), patience=1, learning_rate=1e-5))
    assert tuned.config.strengthen.reinitialised_layers == 1
    assert tuned.pairs is not None
    short = tune(parts, run_of(backbone=str(deep_backbone), steps=1))  # as long as was asked for
    assert (short.pairs, short.config.strengthen.reinitialised_layers) == (None, 1)


def test_the_time_for_pairs_is_reckoned_with(
    parts: Parts, run_of: RunOf, deep_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "measure_speed", lambda *_: Speed(encoding=1e6, training=1e5))
    plain, paired = (
        planning.estimated_seconds(parts, SCALE, run_of(backbone=str(deep_backbone), contrastive_passes=passes))
        for passes in (0.0, 10.0)
    )
    assert math.isclose(paired, 2 * plain)
