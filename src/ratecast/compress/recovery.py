"""Recovery: a network that was cut learns again, from its teacher's probabilities and from the ratings."""

from dataclasses import dataclass

import torch
from accelerate import PartialState

from ratecast.model.backbone import set_trained, transformer_layers
from ratecast.model.rater import Rater
from ratecast.records import Reviews
from ratecast.scale import FloatArray, RatingScale
from ratecast.text import TextEncoder
from ratecast.train.inputs import Network, RatedTexts
from ratecast.train.learner import RatingLearner
from ratecast.train.loop import Run, TrainingResult, train
from ratecast.train.network import distribution
from ratecast.train.optim import with_learning_rate
from ratecast.train.precision import PRECISIONS, choose_precision
from ratecast.train.taught import Taught


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """A network after its recovery.

    Attributes:
        rater: the network, with the best weights.
        validation: its level probabilities of the validation reviews, shape ``(review, level)``.
        result: how training went.
    """

    rater: Rater
    validation: FloatArray
    result: TrainingResult


def taught_texts(taught: Taught, encoder: TextEncoder, scale: RatingScale) -> RatedTexts:
    """What a teacher says, as the training loop takes it."""
    return RatedTexts(
        texts=encoder.encode(taught.texts),
        ratings=taught.filled_ratings(scale),
        weights=taught.weights,
        targets=taught.targets,
        target_weight=taught.target_weights(),
    )


def rated_texts(reviews: Reviews, encoder: TextEncoder) -> RatedTexts:
    """Rated reviews, as the training loop takes them."""
    return RatedTexts(texts=encoder.encode(reviews.joined()), ratings=reviews.rated())


def recover(rater: Rater, encoder: TextEncoder, taught: RatedTexts, validation: RatedTexts, run: Run) -> Recovered:
    """Train a network on what its teacher says; all of it learns but the token embeddings.

    Args:
        rater: the network, changed in place.
        encoder: its tokenizer.
        taught: what it learns from.
        validation: rated reviews that the best weights are chosen by; those before the recovery are among the choices.
        run: settings, places and the time for it.

    Raises:
        ConfigError, OutputError, ModelFolderError: as `train` does.
    """
    torch.manual_seed(run.config.seed)
    run = run.with_config(with_learning_rate(run.config))
    rater = rater.to(PartialState().device).requires_grad_(True)
    rater.precision = PRECISIONS[choose_precision(run.config.train.precision)]
    set_trained(rater.backbone, trained_layers=None, train_embeddings=False)
    network = Network(rater, encoder.settings, frozen=0, layers=len(transformer_layers(rater.backbone)))
    learner = RatingLearner(network, taught, validation, run.config)
    result = train(learner, run)
    return Recovered(rater=rater, validation=distribution(rater, learner.best_outputs(result.best_score)), result=result)
