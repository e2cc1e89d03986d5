"""What is searched over, and what stays as given."""

from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from ratecast.config import FitConfig
from ratecast.errors import ConfigError
from ratecast.model.adapters import METHODS
from ratecast.model.heads import HEADS
from ratecast.train.optim import RULES, with_learning_rate
from ratecast.tuning.space import fixed_settings, flat, search_space

EVERY = {
    *("learning_rate", "head_learning_rate", "head", "dropout", "weight_decay"),
    *("max_tokens", "trained_layers", "batch_reviews", "warmup_fraction"),
}


def space_of(*given: str, layers: int = 6, longest: int = 256, **settings: Any) -> dict[str, Any]:
    return search_space(FitConfig().with_values(**settings), given, layers=layers, longest=longest)


def test_defaults_are_searched_around() -> None:
    space, defaults = space_of(), flat(with_learning_rate(FitConfig()))
    assert set(space) == EVERY
    for name, where in space.items():
        assert where._contains(where.to_internal_repr(defaults[name])), name
    assert set(space["head"].choices) == set(HEADS)
    assert space["trained_layers"].choices == (None, 3)
    assert space["max_tokens"].choices == (None, 96, 128, 192)


@pytest.mark.parametrize("tune", METHODS)
def test_added_weights_have_learning_rates_of_their_own(tune: str) -> None:
    space, config = space_of(tune=tune), with_learning_rate(FitConfig().with_values(tune=tune))
    assert "trained_layers" not in space
    where = space["learning_rate"]
    assert where.low < config.train.learning_rate < where.high
    assert where.high > space_of()["learning_rate"].high


@pytest.mark.parametrize("optimizer", RULES)
@pytest.mark.parametrize("tune", ["full", "lora"])
def test_each_optimizer_is_searched_around_its_own_rates(optimizer: str, tune: str) -> None:
    space, config = space_of(optimizer=optimizer, tune=tune), FitConfig().with_values(optimizer=optimizer, tune=tune)
    for name in ("learning_rate", "head_learning_rate"):
        assert space[name].low < flat(with_learning_rate(config))[name] < space[name].high


def test_every_corner_is_a_valid_configuration() -> None:
    for name, where in space_of().items():
        ends = where.choices if isinstance(where, CategoricalDistribution) else (where.low, where.high)
        for value in ends:
            FitConfig().with_values(**{name: value})


def test_learning_rates_and_decay_are_drawn_by_magnitude() -> None:
    space = space_of()
    by_magnitude = {name for name, where in space.items() if isinstance(where, FloatDistribution) and where.log}
    assert by_magnitude == {"learning_rate", "head_learning_rate", "weight_decay"}


def test_what_differs_from_the_default_or_was_given_stays() -> None:
    space = space_of("dropout", head="corn", batch_reviews=32)
    assert set(space) == EVERY - {"dropout", "head", "batch_reviews"}
    config = FitConfig().with_values(head="corn", batch_reviews=32)
    assert fixed_settings(config, space) == {"head": "corn", "batch_reviews": 32, "dropout": 0.1}


@pytest.mark.parametrize(
    ("settings", "without"),
    [
        ({"word_deletion": 0.1}, {"trained_layers"}),  # such texts cannot be computed once
        ({"reinitialised_layers": 4}, {"trained_layers"}),  # more than half
        ({"trained_layers": 0}, {"trained_layers", "learning_rate"}),
        ({"longest": 90}, {"max_tokens"}),
        ({"layers": 1}, {"trained_layers"}),
    ],
)
def test_what_would_contradict_is_left_out(settings: dict[str, Any], without: set[str]) -> None:
    assert set(space_of(**settings)) == EVERY - without


def test_smoothed_labels_need_a_softmax() -> None:
    assert set(space_of(label_smoothing=0.1)["head"].choices) == {"softmax", "soft", "mixed", "ordinal-log"}


def test_nothing_left_is_told() -> None:
    with pytest.raises(ConfigError, match="nothing is left to search over"):
        space_of(*EVERY)
