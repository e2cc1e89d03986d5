"""The network that is trained, and what it says of reviews."""

import torch
from accelerate import PartialState
from torch import Tensor

from ratecast.config import FitConfig
from ratecast.model.backbone import Backbone
from ratecast.model.heads import create_head
from ratecast.model.prompting import Prompt
from ratecast.model.rater import Rater
from ratecast.model.windows import create_window_pooling
from ratecast.scale import FloatArray, RatingScale
from ratecast.train.precision import PRECISIONS


def create_rater(
    backbone: Backbone, scale: RatingScale, ratings: FloatArray, config: FitConfig, prompt: Prompt | None = None
) -> Rater:
    """A network with a new head on a backbone; with a prompt, it tells what the language model says of the words.

    Args:
        backbone: the backbone, with the prompt's frame in its encoder.
        scale: the rating scale.
        ratings: training ratings, shape ``(review,)``.
        config: the settings.
        prompt: where the word is told, and the head's weights.
    """
    settings = config.backbone
    width = settings.pooled_layers * backbone.width if prompt is None else prompt.width
    head = create_head(settings.head, width, scale, ratings, settings.dropout, label_smoothing=config.train.label_smoothing)
    if prompt is not None:
        prompt.start(head)
        if prompt.transform is not None:  # with added weights, or a head alone, the backbone stays as it is
            prompt.transform.requires_grad_(config.adapter.tune == "full" and settings.trained_layers != 0)
    rater = Rater(
        backbone.model,
        head,
        pooling=settings.pooling or backbone.pooling if prompt is None else prompt.pooling,
        pooled_layers=settings.pooled_layers,
        precision=PRECISIONS[config.train.precision],
        transform=None if prompt is None else prompt.transform,
        windows=create_window_pooling(settings, width, backbone.model),
    )
    return rater.to(PartialState().device)  # where training will be, so that speed is measured and texts are encoded there


def head_probabilities(rater: Rater, vectors: Tensor) -> FloatArray:
    """Level probabilities of reviews' vectors, shape ``(review, level)``."""
    with torch.no_grad():
        return distribution(rater, rater.head(vectors.to(rater.head.linear.weight.device)))


@torch.no_grad()
def distribution(rater: Rater, outputs: Tensor) -> FloatArray:
    """Level probabilities of the head's raw outputs, shape ``(review, level)``."""
    found = rater.head.probabilities(outputs).cpu().double()  # not every device has double precision
    probabilities: FloatArray = (found / found.sum(1, keepdim=True)).numpy()
    return probabilities
