"""Learning from pairs of reviews before the head is fitted: reviews that are rated alike get vectors that are alike.

Few rated reviews make many pairs (Tunstall et al. 2022, "Efficient Few-Shot Learning Without Prompts", SetFit, section 3).
There two reviews are alike or not; here ratings are ordered, so that the likeness falls with the distance of the ratings. And a
batch gives all of its pairs at the cost of its reviews, where SetFit encodes both sides of each pair.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ratecast.config import FitConfig
from ratecast.model.rater import Rater, batch_tensors
from ratecast.scale import RatingScale
from ratecast.text import TextSettings, inference_batches, pad_texts, parts_that_fit, training_batches
from ratecast.train.inputs import RatedTexts
from ratecast.train.loop import Run, TrainingResult, train
from ratecast.train.optim import create_optimizer

PAIRS: Final = "pairs"
"""Folder of their checkpoints in that of the run."""
_EVALUATIONS: Final = 4
_TIME_SHARE: Final = 1 / 3
"""Share of the time that is left which pairs may take."""


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """What was learnt from pairs of reviews.

    Attributes:
        steps: steps done, in each of which all pairs of a batch were compared.
        best_step: the step whose weights were kept.
        before: mean squared error of the validation pairs' likeness before.
        after: that of the weights that were kept.
        seconds: time spent.
    """

    steps: int
    best_step: int
    before: float
    after: float
    seconds: float

    def describe(self) -> str:
        """What came of it, in a sentence."""
        return (
            f"Before the head was fitted, the backbone learnt from pairs of reviews for {self.steps} "
            f"steps ({self.seconds:.0f} s): mean squared error of validation pairs' likeness {self.before:.3f} before, "
            f"{self.after:.3f} after."
        )


def learn_pairs(
    rater: Rater,
    reviews: Mapping[str, RatedTexts],
    settings: TextSettings,
    run: Run,
    time_left: float | None,
) -> Pairs:
    """Train the weights of a rater's backbone that are to be trained on pairs of reviews.

    Args:
        rater: the network, changed in place.
        reviews: those under "train" and "validation".
        settings: how to pad them.
        run: settings and places of the training that follows.
        time_left: seconds for this and for all that follows; None without a limit.

    Raises:
        ConfigError, OutputError: as `train` does.
    """
    run.reporter.tell(f"learning from pairs of reviews: up to {run.config.few.contrastive_passes or 0:g} passes")
    learner = PairLearner(rater, reviews, settings, run.config)
    own = replace(run, folder=run.folder / PAIRS, log_folder=run.log_folder / PAIRS, on_evaluation=None)
    result: TrainingResult = train(learner, own.within(None if time_left is None else max(0.0, time_left * _TIME_SHARE)))
    return Pairs(
        steps=result.steps,
        best_step=result.best_step,
        before=result.curve[0]["validation_pair_error"],
        after=result.best_score,
        seconds=result.seconds,
    )


class PairLearner:
    """Learns the likeness of pairs; arguments as for `learn_pairs`."""

    measure: Final = "validation pair error"
    unit: Final = "reviews"

    def __init__(self, rater: Rater, reviews: Mapping[str, RatedTexts], settings: TextSettings, config: FitConfig) -> None:
        self.network: nn.Module = rater
        self.memory: dict[str, Tensor] = {}
        self._rater, self._reviews, self._settings, self._config = rater, reviews, settings, config
        self._steps_per_pass = math.ceil(len(reviews["train"]) / config.train.batch_reviews)

    @property
    def units_per_step(self) -> float:
        """Reviews in a batch."""
        return self._config.train.batch_reviews

    @property
    def planned_steps(self) -> int:
        """Those of the passes that are asked for."""
        return max(1, math.ceil((self._config.few.contrastive_passes or 0) * self._steps_per_pass))

    @property
    def evaluate_every(self) -> int:
        """A quarter of the plan."""
        return max(1, self.planned_steps // _EVALUATIONS)

    def create_optimizer(self) -> torch.optim.Optimizer:
        """That of fine-tuning; the head has no gradients, and stays."""
        return create_optimizer(self._rater, self._config.train, self._config.strengthen.layer_decay)

    def before_step(self, progress: float) -> None:
        """Nothing is to be made ready."""

    def losses(self, step: int) -> Iterator[Tensor]:
        """The mean over all pairs of a batch; of one too large for the memory, over those within each of its parts."""
        number, position = divmod(step, self._steps_per_pass)
        train = self._config.train
        lengths = self._reviews["train"].texts.lengths
        rows = training_batches(lengths, train.batch_reviews, seed=self._config.seed, epoch=number)[position]
        for part in parts_that_fit(rows, lengths):  # a part by itself is a smaller batch
            yield pair_loss(*self._batch("train", part), self._rater.head.scale) * (len(part) / len(rows))

    def after_step(self, step: int) -> None:
        """Nothing is left to do."""

    @torch.no_grad()
    def score(self, step: int) -> float:
        """The mean over all pairs of the validation reviews."""
        was_training = self._rater.training
        self._rater.eval()
        parts = [self._batch("validation", rows) for rows in inference_batches(self._reviews["validation"].texts.lengths)]
        self._rater.train(was_training)
        vectors, ratings = (torch.cat(column) for column in zip(*parts, strict=True))
        return float(pair_loss(vectors, ratings, self._rater.head.scale))

    def _batch(self, name: str, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Vectors and ratings of some rows of a set."""
        part, device = self._reviews[name], self._rater.head.linear.weight.device
        batch = batch_tensors(pad_texts(part.texts, rows, self._settings), device)
        ratings = torch.as_tensor(part.ratings[rows], dtype=torch.float32, device=device)
        return self._rater.vectors(*batch), ratings


def pair_loss(vectors: Tensor, ratings: Tensor, scale: RatingScale) -> Tensor:
    """Mean over all pairs of (cos(u, v) − (1 − |y − z| / (high − low)))², as Reimers & Gurevych 2019, section 3.

    Args:
        vectors: shape ``(review, width)``.
        ratings: shape ``(review,)``.
        scale: the ratings' scale: reviews at its two ends shall be at right angles.

    Returns:
        A scalar, 0 of fewer than two reviews.
    """
    unit = nn.functional.normalize(vectors, dim=1)
    ratings = ratings.to(unit)
    wanted = 1 - (ratings[:, None] - ratings[None, :]).abs() / (scale.high - scale.low)
    errors = (unit @ unit.T - wanted).square()
    pairs = torch.triu(torch.ones_like(errors), diagonal=1)
    return (errors * pairs).sum() / pairs.sum().clamp(min=1)
