"""A language model as the training loop takes it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor, nn

from ratecast.config import FitConfig, PretrainConfig
from ratecast.pretraining.corpus import Corpus
from ratecast.pretraining.objectives import PretrainingObjective
from ratecast.train.optim import grouped_optimizer
from ratecast.train.speed import least_seconds

_HELD_OUT, _TRAINING = 0, 1  # so that the random choices of both never coincide
_NEW_RATE: Final = 5.0
"""Learning rate of an output layer that starts at random, in those of pretrained weights."""
_EVALUATIONS: Final = 8
_EVALUATION_SHARE: Final = 0.04
"""Share of the time that one of them may take."""
_LARGEST_EXPONENT: Final = 700.0
_NEVER: Final = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class PretrainingPlan:
    """What a run will do.

    Attributes:
        steps: steps, unless the time is over before.
        evaluate_every: steps between two evaluations.
        held_out_batches: batches of held-out reviews in each.
    """

    steps: int
    evaluate_every: int
    held_out_batches: int

    def to_json(self) -> dict[str, Any]:
        """The plan as values that JSON can hold; `from_json` reads them."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "PretrainingPlan":
        """The plan that `to_json` described."""
        return cls(**value)


class PretrainingLearner:
    """Learns text: the loss of an objective, and its perplexity or loss on the held-out reviews.

    Args:
        objective: the objective, with its model.
        corpus: the reviews.
        config: the settings.

    Attributes:
        plan: what the run will do; without a time limit by default.
    """

    unit: Final = "tokens"

    def __init__(self, objective: PretrainingObjective, corpus: Corpus, config: PretrainConfig) -> None:
        self.network: nn.Module = objective.language
        self.memory: dict[str, Tensor] = {}
        self.measure = f"held-out {objective.measure}"
        self._objective, self._config = objective, config
        self._training = self._of_pass = objective.examples(corpus, corpus.training)
        self._held_out = objective.examples(corpus, corpus.held_out)
        self._epoch: int | None = None
        steps = config.steps or max(1, math.ceil(config.epochs * len(self._training)))
        every = max(1, steps // _EVALUATIONS)
        self.plan = PretrainingPlan(steps=steps, evaluate_every=every, held_out_batches=len(self._held_out))

    @property
    def planned_steps(self) -> int:
        """Those of the plan."""
        return self.plan.steps

    @property
    def evaluate_every(self) -> int:
        """As the plan says."""
        return self.plan.evaluate_every

    @property
    def units_per_step(self) -> float:
        """Tokens in a batch, on average."""
        return self._training.tokens / len(self._training)

    def measure_speed(self) -> tuple[float, float]:
        """Seconds that a step takes, and the scoring of a batch of held-out reviews. The network is left as it was."""
        batch, held_out = self._training.batch(0), self._held_out.batch(0)

        def step() -> None:
            self._objective.loss(batch, (0,)).mean.backward()  # type: ignore[no-untyped-call] # torch does not annotate it
            self.network.zero_grad()

        def score() -> None:
            with torch.inference_mode():
                self._objective.loss(held_out, (0,)).mean.item()

        return least_seconds(step, rounds=2), least_seconds(score, rounds=2)

    def plan_for(self, seconds: float, speed: tuple[float, float]) -> None:
        """Limit evaluations so that each takes a small part of the time and several of them fit into it."""
        step, scored = speed
        held_out = min(len(self._held_out), max(1, int(_EVALUATION_SHARE * seconds / scored)))
        reached = (seconds - _EVALUATIONS * held_out * scored) / step
        every = max(1, int(min(self.plan.steps, reached)) // _EVALUATIONS)
        self.plan = replace(self.plan, evaluate_every=every, held_out_batches=held_out)

    def create_optimizer(self) -> torch.optim.Optimizer:
        """AdamW over all weights; an output layer that starts at random learns faster."""
        rate, new = self._config.learning_rate or self._objective.learning_rate, self._objective.language.new
        trained = [name for name, weight in self.network.named_parameters() if weight.requires_grad]
        rates = {name: rate * (_NEW_RATE if name in new else 1.0) for name in trained}
        return grouped_optimizer(self.network, rates, self._config.weight_decay)

    def before_step(self, progress: float) -> None:
        """Nothing is to be made ready."""

    def losses(self, step: int) -> Iterator[Tensor]:
        """The mean loss of a batch."""
        epoch, position = divmod(step, len(self._training))
        if epoch != self._epoch:
            self._epoch, self._of_pass = epoch, self._training.in_pass(self._config.seed, epoch)
        yield self._objective.loss(self._of_pass.batch(position), (self._config.seed, _TRAINING, step)).mean

    def after_step(self, step: int) -> None:
        """Nothing is left to do."""

    @torch.no_grad()
    def score(self, step: int) -> float:
        """Perplexity or loss of the held-out reviews, with the same masks every time."""
        was_training = self.network.training
        self.network.eval()
        total, count = 0.0, 0
        for number in range(self.plan.held_out_batches):
            loss = self._objective.loss(self._held_out.batch(number), (self._config.seed, _HELD_OUT, number))
            total += loss.mean.item() * loss.count
            count += loss.count
        self.network.train(was_training)
        mean = total / count
        if self._objective.measure == "loss":
            return mean
        return math.exp(mean) if mean < _LARGEST_EXPONENT else math.inf


def loop_settings(config: PretrainConfig, objective: PretrainingObjective) -> FitConfig:
    """The settings of the training loop."""
    settings = FitConfig().with_values(
        learning_rate=config.learning_rate or objective.learning_rate,
        warmup_fraction=config.warmup_fraction,
        weight_decay=config.weight_decay,
        checkpoint_seconds=config.checkpoint_seconds,
        patience=_NEVER,
        seed=config.seed,
    )
    return replace(settings, track=config.track)
