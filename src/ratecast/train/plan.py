"""The plan of a fine-tuning run: how much of the text, of the backbone and of the reviews the time is spent on."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ratecast.config import FewLabelsConfig, FitConfig, StrengthenConfig
from ratecast.train.speed import Speed
from ratecast.train.unfreezing import waiting_share

LEAST_REVIEWS: Final = 100
"""Fine-tuning on fewer reviews, where there are more and the time is too short for them, is not worth starting."""

PROBE_SHARE: Final = 0.1
"""Share of the time that the head's fit to the untrained backbone may take where layers are trained."""

LEAST_TRAINED: Final = 3_000
"""Reviews, or all where there are fewer, that training layers is worth starting for. In less time the head alone learns more,
from what the pretrained layers make of more reviews."""

HEAD_LAYERS: Final = 4
"""Top layers that such a head reads: the lower ones know what the topmost has dropped (docs/experiments.md)."""

_SHARE_OF_TRAINING: Final = 0.9  # the rest goes to scoring the validation reviews
_LEAST_STEP: Final = 5.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run will do.

    Attributes:
        max_tokens: longest input, or window where there are several.
        trained_layers: top layers that are trained; the lower ones are computed once.
        layers: layers of the backbone.
        epochs: passes over the training reviews that the time is reckoned to suffice for.
        most_epochs: passes that converging takes; as many are done where the machine turns out faster than it was measured.
        reviews: training reviews used: fewer than there are where the time is too short, 0 where it is not worth a start.
        precision: what the backbone computes in, "float32" or "bfloat16".
        seconds: estimated time of training and of computing frozen layers.
        windows: most windows that a review is read in.
        layers_anew: top layers that start from random weights without being asked for.
        pair_passes: passes over pairs of reviews that come first without being asked for.
    """

    max_tokens: int
    trained_layers: int
    layers: int
    epochs: float
    most_epochs: float
    reviews: int
    precision: str
    seconds: float
    windows: int = 1
    layers_anew: int = 0
    pair_passes: float = 0.0

    def resolve(self, config: FitConfig) -> FitConfig:
        """The settings with everything filled in that was left to the plan."""
        every = self.trained_layers == self.layers
        pooled = config.backbone.pooled_layers
        anew, passes = config.strengthen.reinitialised_layers, config.few.contrastive_passes
        if not every and config.backbone.trained_layers is None:
            if self.trained_layers == 0:
                pooled = max(pooled, min(HEAD_LAYERS, self.layers))
            else:  # below the topmost frozen layer no outputs are stored
                pooled = min(pooled, self.trained_layers + 1)
        return config.with_values(
            max_tokens=self.max_tokens,
            trained_layers=None if every else self.trained_layers,
            pooled_layers=pooled,
            epochs=self.most_epochs,  # the time ends the training before, where it is short, with the learning rate at nothing
            precision=self.precision,
            reinitialised_layers=self.layers_anew if anew is None else anew,
            contrastive_passes=self.pair_passes if passes is None else passes,
        )

    def describe(self, networks: int = 1) -> str:
        """The plan in a line for people, where so many networks are trained by it."""
        layers = (
            "all layers" if self.trained_layers == self.layers else f"the top {self.trained_layers} of {self.layers} layers"
        )
        if self.trained_layers == 0:
            layers = "the head alone"
        layers += " (the topmost anew)" if self.layers_anew else ""
        most = f"{self.max_tokens} tokens" if self.windows == 1 else f"{self.windows} windows of {self.max_tokens} tokens"
        return (
            f"plan: {layers}, {self.epochs:.1f} passes over {self.reviews:,} reviews of up to {most}, "
            f"{self.precision}: about {rounded(self.seconds)}" + (f", for each of {networks} networks" if networks > 1 else "")
        )

    def to_json(self) -> dict[str, Any]:
        """The plan as values that JSON can hold; `from_json` reads them."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Plan":
        """The plan that `to_json` described."""
        return cls(**value)


def wanted_epochs(reviews: int) -> float:
    """Passes that fine-tuning takes to converge: three over many reviews, up to ten over few."""
    return min(10.0, max(3.0, 15_000 / reviews))


def make_plan(
    lengths: NDArray[np.int64],
    speed: Speed,
    config: FitConfig,
    *,
    layers: int,
    longest: int,
    precision: str,
    seconds: Callable[[float, int], float] | None,
    is_readable: bool = True,
    shortest: int = 0,
) -> Plan:
    """Choose tokens, layers, reviews and passes; what the settings give is left as it is.

    Without a time limit, everything is trained on the longest input until it converges. With one, the first of these that
    fits is taken, in the order of what they were worth on validation reviews: all layers on long input for two thirds of the
    passes that converging takes, all layers on shorter input for one pass, the top half of the layers (the lower ones computed
    once) on as many reviews as fit, and where these are few (`LEAST_TRAINED`) the head alone.

    Args:
        lengths: tokens of each training review when read up to the longest input, shape ``(review,)``.
        speed: of this machine.
        config: the settings.
        layers: layers of the backbone.
        longest: longest input that the lengths were taken with.
        precision: what `speed` was measured in.
        seconds: time for the head's fit, for computing frozen layers and for training, where a review has so many tokens on
            average and so many layers are trained: the longer reviews are, the more of the time goes to scoring. None without a
            limit.
        is_readable: whether the backbone knows the words of the reviews; if not, few reviews and a head alone teach it little.
        shortest: input that what stands around each review leaves room for it in.
    """
    epochs = config.train.epochs or wanted_epochs(len(lengths))
    options = [
        option
        for option in _options(config, len(lengths), layers, longest, epochs, is_readable=is_readable)
        if option[0] >= min(shortest, longest)
    ]
    for tokens, trained, least in options:
        sizes = np.minimum(lengths, tokens * config.backbone.windows)
        once = 0.0 if trained == layers else float(sizes.sum()) / speed.encoding * (layers - trained) / layers
        a_pass = float(sizes.sum()) * trained / layers * _seconds_per_token(speed, config, trained)
        usable = math.inf
        if seconds is not None and config.train.steps is None:
            usable = _SHARE_OF_TRAINING * seconds(float(sizes.mean()), trained)
        usable *= 1 - PROBE_SHARE if trained else 1
        reviews, affordable = len(lengths), (usable - once) / max(a_pass, 1e-9)
        if affordable < 1 and trained < layers:
            reviews = max(0, int(len(lengths) * usable / (once + a_pass)))
            affordable, once, a_pass = 1.0, once * reviews / len(lengths), a_pass * reviews / len(lengths)
        if affordable * reviews < min(least, epochs) * len(lengths) and (tokens, trained, least) != options[-1]:
            continue
        if config.train.steps is not None:
            epochs = config.train.steps * config.train.batch_reviews / len(lengths)
        fewest = min(LEAST_REVIEWS if is_readable else LEAST_TRAINED, len(lengths))
        if reviews < fewest or affordable * reviews < fewest:
            reviews = 0
        passes = min(epochs, max(affordable, 0.0))
        return Plan(
            max_tokens=tokens,
            trained_layers=trained,
            layers=layers,
            epochs=passes,
            most_epochs=epochs if config.train.epochs or config.train.steps else wanted_epochs(max(reviews, 1)),
            reviews=reviews,
            precision=precision,
            seconds=once + passes * a_pass,
            windows=config.backbone.windows,
        )
    raise AssertionError("the last option is always taken")


def lacking_seconds(planned: Callable[[float], Plan], reviews: int, *, layers: int) -> float:
    """How much more time a plan would take that reads all reviews at least once, to a quarter.

    Args:
        planned: the plan with so many more seconds.
        reviews: how many there are.
        layers: how many are to be trained at least.
    """
    more = _LEAST_STEP
    while not _is_whole(planned(more), reviews, layers):
        more *= 1.25
    return more


def _is_whole(plan: Plan, reviews: int, layers: int) -> bool:
    return plan.reviews >= reviews and plan.epochs >= min(1.0, plan.most_epochs) and plan.trained_layers >= layers


def _seconds_per_token(speed: Speed, config: FitConfig, trained: int) -> float:
    """Mean time of a token in training, were all layers trained; those that still wait for their turn only pass it on."""
    waiting = waiting_share(config.strengthen.gradual_unfreezing, trained)
    return (1 - waiting) / speed.training + waiting / speed.encoding


def _options(
    config: FitConfig, reviews: int, layers: int, longest: int, epochs: float, *, is_readable: bool
) -> list[tuple[int, int, float]]:
    """Tokens, trained layers and the least passes that each choice is worth taking for, the best first."""
    trained = config.backbone.trained_layers
    tokens = [longest] if config.backbone.max_tokens else sorted({longest, min(longest, 192), min(longest, 128)}, reverse=True)
    found = [(count, trained if trained is not None else layers, 2 / 3 * epochs if count > 128 else 1.0) for count in tokens]
    changing = config.strengthen.changes_texts  # such texts have to be computed anew in each pass
    recurs = config.backbone.windows > 1 and config.backbone.window_pooling == "recurrent"
    if config.adapter.tune != "full" or config.backbone.train_embeddings or recurs:  # their gradients pass through all layers
        return found
    if trained is None and layers > 1 and not changing and (config.strengthen.reinitialised_layers or 0) <= (layers + 1) // 2:
        found.append((tokens[-1], (layers + 1) // 2, min(1.0, LEAST_TRAINED / reviews)))
        if is_readable and config.few == FewLabelsConfig() and config.strengthen == StrengthenConfig():  # for layers that learn
            found.append((tokens[-1], 0, 0.0))
    return found


def rounded(seconds: float) -> str:
    """A duration for people."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
