"""What the training loop trains: a network, the losses of its steps and the score of an evaluation."""

import math
from collections.abc import Iterator
from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ratecast.config import FitConfig
from ratecast.model.adapters import Adapter
from ratecast.text import parts_that_fit, training_batches
from ratecast.train.inputs import Network, RatedTexts
from ratecast.train.objective import Objective
from ratecast.train.optim import create_optimizer
from ratecast.train.plan import wanted_epochs
from ratecast.train.probe import score_outputs
from ratecast.train.unfreezing import Unfreezing
from ratecast.train.weights import weighted_mean


class Learner(Protocol):
    """What the loop needs of what it trains.

    All that is random in a step follows from the settings' seed and the step's number, or is drawn from the state of torch,
    which checkpoints keep; so a run that was interrupted goes on as if it had not been.
    """

    memory: dict[str, Tensor]
    """What it must remember from step to step besides the weights; checkpoints keep it."""

    @property
    def network(self) -> nn.Module:
        """Holds every weight that is trained."""

    @property
    def measure(self) -> str:
        """What an evaluation tells, such as "validation RMSE"; the lower, the better."""

    @property
    def unit(self) -> str:
        """What speed is counted in, such as "reviews"."""

    @property
    def units_per_step(self) -> float:
        """How many of them a step learns from."""

    @property
    def planned_steps(self) -> int:
        """Steps until the training ends, unless the time is over before."""

    @property
    def evaluate_every(self) -> int:
        """Steps between two evaluations."""

    def create_optimizer(self) -> torch.optim.Optimizer:
        """The optimiser of the trained weights, each group with its peak learning rate."""

    def before_step(self, progress: float) -> None:
        """Make ready for a step, at that share of the training, 0 to 1."""

    def losses(self, step: int) -> Iterator[Tensor]:
        """The scalar losses of a step, counted from 0. A backward pass is done over each before the next is asked for."""

    def after_step(self, step: int) -> None:
        """Do what is to be done between a step of the optimiser and the removal of its gradients."""

    def score(self, step: int) -> float:
        """Evaluate the network as it is after so many steps, and leave it so."""


class RatingLearner:
    """Learns ratings: the losses of the head, and the RMSE of the validation reviews.

    Args:
        rated: the network; its head should have been fitted to the untrained backbone.
        training: reviews to learn from.
        validation: reviews to choose the best weights by.
        config: the settings.
        adapter: the weights that are added to the network's backbone; None where its own are trained.
        start: what the network gives for the validation reviews before its first step, shape ``(review, output)``, where that
            is known; the first evaluation then takes no time.
        expected_epochs: passes that the time is reckoned to suffice for, where it is limited.
    """

    measure: Final = "validation RMSE"
    unit: Final = "reviews"

    def __init__(
        self,
        rated: Network,
        training: RatedTexts,
        validation: RatedTexts,
        config: FitConfig,
        *,
        adapter: Adapter | None = None,
        start: Tensor | None = None,
        expected_epochs: float | None = None,
    ) -> None:
        self.network: nn.Module = rated.rater
        self.rated, self.training, self.validation, self.config = rated, training, validation, config
        self.memory: dict[str, Tensor] = {}
        self._adapter, self._start = adapter, start
        self._best: tuple[float, Tensor] | None = None
        self._objective = Objective(rated, config.strengthen)
        share = config.strengthen.gradual_unfreezing
        self._unfreezing = Unfreezing(rated.rater.backbone, share) if share else None
        self._steps_per_epoch = math.ceil(len(training) / config.train.batch_reviews)
        self._epoch: int | None = None
        self._expected_steps = self.planned_steps
        if expected_epochs is not None:
            self._expected_steps = min(self.planned_steps, max(1, math.ceil(expected_epochs * self._steps_per_epoch)))

    @property
    def units_per_step(self) -> float:
        """Reviews in a batch."""
        return self.config.train.batch_reviews

    @property
    def planned_steps(self) -> int:
        """Those of the settings, or of as many passes as the settings or the number of reviews say."""
        epochs = self.config.train.epochs or wanted_epochs(len(self.training))
        return self.config.train.steps or max(1, math.ceil(epochs * self._steps_per_epoch))

    @property
    def evaluate_every(self) -> int:
        """A part of a pass."""
        return max(1, self._steps_per_epoch // self.config.train.evaluations_per_epoch)

    def create_optimizer(self) -> torch.optim.Optimizer:
        """The configured one."""
        return create_optimizer(self.rated.rater, self.config.train, self.config.strengthen.layer_decay)

    def before_step(self, progress: float) -> None:
        """Let the layers join whose turn it is."""
        if self._unfreezing is not None:
            self._unfreezing.advance(progress)

    def losses(self, step: int) -> Iterator[Tensor]:
        """Weighted means over a batch; of one with too many tokens for the memory, its parts' shares of the mean."""
        batch = self._batch(step)
        device = self.rated.rater.head.linear.weight.device
        for rows in parts_that_fit(batch, self._reviews.texts.lengths):
            ratings = torch.as_tensor(self.training.ratings[rows], device=device)
            weights = None if self.training.weights is None else torch.as_tensor(self.training.weights[rows], device=device)
            for losses in self._objective.losses(self._reviews, rows, ratings):
                penalty = None if self._adapter is None else self._adapter.method.penalty(self._adapter.model)
                loss = weighted_mean(losses, weights)
                yield (loss if penalty is None else loss + penalty) * (len(rows) / len(batch))

    def after_step(self, step: int) -> None:
        """What the tuning method does."""
        if self._adapter is not None:
            method = self._adapter.method
            self.memory = method.after_step(self._adapter.model, step, self._expected_steps, self.memory)

    def score(self, step: int) -> float:
        """RMSE of the expected ratings of the validation reviews."""
        known = None if step else self._start
        outputs = self.rated.outputs(self.validation) if known is None else known
        score = score_outputs(self.rated.rater.head, outputs, self.validation.ratings)
        if self._best is None or score < self._best[0]:
            self._best = score, outputs
        return score

    def best_outputs(self, score: float) -> Tensor:
        """What the network with the best weights gives for the validation reviews, shape ``(review, output)``.

        They are those of the evaluation with that score, or computed again if it was held in an earlier session.
        """
        if self._best is not None and self._best[0] == score:
            return self._best[1]
        return self.rated.outputs(self.validation)

    def _batch(self, step: int) -> NDArray[np.int64]:
        epoch, position = divmod(step, self._steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._reviews = epoch, self.training.in_pass(epoch)
            lengths, train = self._reviews.texts.lengths, self.config.train
            self._batches = training_batches(lengths, train.batch_reviews, seed=self.config.seed, epoch=epoch)
        return self._batches[position]
