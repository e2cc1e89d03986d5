"""Training a static embedding model on what a teacher says of many texts."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from ratecast.config import FitConfig
from ratecast.model.heads import MixedHead
from ratecast.model.static import StaticModel
from ratecast.records import Reviews
from ratecast.scale import FloatArray, IntArray, RatingScale
from ratecast.text.ngrams import Bags, Ngrams
from ratecast.train.loop import Run, TrainingResult, train
from ratecast.train.objective import divergence
from ratecast.train.optim import grouped_optimizer
from ratecast.train.taught import Taught

WIDTH: Final = 32
HIDDEN: Final = 32
"""Sizes of the vectors and of the layer over them. Vectors of 64 numbers were read at 0.6 times the speed; what width costs in
accuracy has not been measured."""
LEARNING_RATE: Final = 1e-3
DROPPED: Final = 0.5
"""Share of a text's words and pairs that is left out, drawn anew in each step: no single one shall decide alone. On 7,200 Yelp
reviews without a teacher 0.5 had a validation RMSE of 0.740 where 0.3 had 0.751."""
_FEW_TEXTS: Final = 1_000
"""With fewer texts, a word that is in two of them has a vector; else it must be in three."""
_BATCH: Final = 64
_PASSES: Final = 10
_LEAST_STEPS: Final = 130
_MOST_PASSES: Final = 20
"""Few texts are read more often, as `docs/experiments.md` shows."""
_EVALUATIONS: Final = 10
_START: Final = 0.01


class StaticNetwork(nn.Module):
    """The model as it is trained.

    Args:
        rows: words and pairs.
        scale: the rating scale.
        ratings: training ratings, from which the head takes its starting point.
        width: length of a vector.
        hidden: width of the layer over the mean vector.
    """

    def __init__(self, rows: int, scale: RatingScale, ratings: FloatArray, *, width: int = WIDTH, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(rows, width) * _START)
        self.hidden = nn.Linear(width, hidden)
        self.head = MixedHead(width + hidden, scale, ratings)

    def forward(self, rows: Tensor, starts: Tensor, counts: Tensor) -> Tensor:
        """Logits, shape ``(text, level)``.

        Args:
            rows: row numbers of all texts, shape ``(gram,)``.
            starts: where each text's begin, shape ``(text,)``.
            counts: by how many the sum is divided, under a square root, shape ``(text,)``.
        """
        sums = nn.functional.embedding_bag(rows, self.table, starts, mode="sum")
        vectors = sums / counts.clamp(min=1).sqrt().to(sums.dtype)[:, None]
        logits: Tensor = self.head(torch.cat([vectors, self.hidden(vectors).relu()], dim=1))
        return logits


@dataclass(frozen=True, kw_only=True)
class TaughtStatic:
    """A trained static model.

    Attributes:
        model: the model.
        validation: its level probabilities of the validation reviews, shape ``(review, level)``.
        result: how training went.
    """

    model: StaticModel
    validation: FloatArray
    result: TrainingResult


def train_static(taught: Taught, validation: Reviews, scale: RatingScale, run: Run) -> TaughtStatic:
    """Train a static model on what a teacher says.

    Args:
        taught: what it learns from.
        validation: rated reviews that the best weights are chosen by.
        scale: the rating scale.
        run: settings (passes, steps, batch, learning rate where given), places, and the time for it.

    Raises:
        ConfigError, OutputError, ModelFolderError: as `train` does.
    """
    torch.manual_seed(run.config.seed)
    ngrams = Ngrams.fit(taught.texts, least=2 if len(taught) < _FEW_TEXTS else 3)
    network = StaticNetwork(len(ngrams), scale, taught.filled_ratings(scale))
    held_out = ngrams.bags(validation.joined())
    learner = StaticLearner(network, taught, ngrams.bags(taught.texts), held_out, ratings=validation.rated(), config=run.config)
    with _one_thread():
        result = train(learner, run)
    model = static_model(network, ngrams)
    return TaughtStatic(model=model, validation=model.probabilities_of(held_out), result=result)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Operations here are so small that threads gain nothing, and on busy processors wait for each other in every one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@torch.no_grad()
def static_model(network: StaticNetwork, ngrams: Ngrams) -> StaticModel:
    """The trained network for NumPy, its table rounded to half precision."""
    width, head = network.table.shape[1], network.head
    weight = head.linear.weight / head.vector_deviation
    bias = head.linear.bias - weight @ head.vector_mean
    return StaticModel(
        ngrams=ngrams,
        table=network.table.half().float().numpy().copy(),
        hidden_weight=network.hidden.weight.numpy().copy().reshape(-1, width),
        hidden_bias=network.hidden.bias.numpy().copy(),
        output_weight=weight.numpy().copy(),
        output_bias=bias.numpy().copy(),
    )


class StaticLearner:
    """What the training loop needs: the losses of a batch, and the RMSE of the validation reviews.

    Args:
        network: the network.
        taught: what it learns from.
        bags: the rows of these texts.
        held_out: the rows of the validation reviews.
        ratings: their ratings, shape ``(review,)``.
        config: the settings.
    """

    measure: Final = "validation RMSE"
    unit: Final = "reviews"

    def __init__(
        self, network: StaticNetwork, taught: Taught, bags: Bags, held_out: Bags, *, ratings: FloatArray, config: FitConfig
    ) -> None:
        self.network: nn.Module = network
        self.memory: dict[str, Tensor] = {}
        self._static, self._config, self._bags = network, config, bags
        self._held_out, self._held_out_ratings = held_out, ratings
        self._ratings = torch.from_numpy(taught.filled_ratings(network.head.scale))
        self._targets = torch.from_numpy(taught.targets).float()
        self._target_weights = torch.from_numpy(taught.target_weights()).float()
        weights = np.ones(len(taught)) if taught.weights is None else taught.weights
        self._weights = torch.from_numpy(weights / weights.mean()).float()
        self._steps_per_pass = math.ceil(len(taught) / _BATCH)
        self._epoch: int | None = None

    @property
    def units_per_step(self) -> float:
        """Reviews in a batch."""
        return _BATCH

    @property
    def planned_steps(self) -> int:
        """Those of the settings, or of 10 passes, of more where texts are few."""
        if self._config.train.steps or self._config.train.epochs:
            return self._config.train.steps or math.ceil((self._config.train.epochs or 1) * self._steps_per_pass)
        return max(_PASSES * self._steps_per_pass, min(_LEAST_STEPS, _MOST_PASSES * self._steps_per_pass))

    @property
    def evaluate_every(self) -> int:
        """A pass, or more of them where texts are few."""
        return max(self._steps_per_pass, self.planned_steps // _EVALUATIONS)

    def create_optimizer(self) -> torch.optim.Optimizer:
        """AdamW."""
        rate = self._config.train.learning_rate or LEARNING_RATE
        rates = {name: rate for name, _ in self.network.named_parameters()}
        return grouped_optimizer(self.network, rates, self._config.train.weight_decay)

    def before_step(self, progress: float) -> None:
        """Nothing is to be made ready."""

    def losses(self, step: int) -> Iterator[Tensor]:
        """The weighted mean of the divergence from the teacher and of the loss of the ratings."""
        rows = self._batch(step)
        output = self._outputs(self._bags.take(rows), np.random.default_rng([self._config.seed, step]))
        share = self._target_weights[rows]
        soft = divergence(self._targets[rows], self._static.head.probabilities(output))
        hard = self._static.head.loss(output, self._ratings[rows])
        yield (self._weights[rows] * (share * soft + (1 - share) * hard)).mean()

    def after_step(self, step: int) -> None:
        """Nothing is left to do."""

    @torch.no_grad()
    def score(self, step: int) -> float:
        """RMSE of the expected ratings of the validation reviews."""
        head = self._static.head
        expected = head.scale.mean(head.probabilities(self._outputs(self._held_out, None)).double().numpy())
        return float(np.sqrt(((expected - self._held_out_ratings) ** 2).mean()))

    def _outputs(self, bags: Bags, random: np.random.Generator | None) -> Tensor:
        """Logits; in training some of the words and pairs are left out."""
        rows, counts = bags.rows, bags.counts
        if random is not None:
            kept = random.random(len(rows)) >= DROPPED
            owners = np.repeat(np.arange(len(counts)), counts)
            rows, counts = rows[kept], np.bincount(owners[kept], minlength=len(counts))
        starts = np.cumsum(counts) - counts
        found: Tensor = self._static(torch.from_numpy(rows), torch.from_numpy(starts), torch.from_numpy(counts))
        return found

    def _batch(self, step: int) -> IntArray:
        epoch, place = divmod(step, self._steps_per_pass)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, np.random.default_rng([self._config.seed, epoch]).permutation(len(self._bags))
        return self._order[place * _BATCH : (place + 1) * _BATCH]
