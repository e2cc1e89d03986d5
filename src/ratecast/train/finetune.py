"""Fine-tuning a pretrained backbone on rated reviews, from its untrained vectors to the best weights."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from ratecast.model.backbone import Backbone, load_backbone, set_trained, transformer_layers
from ratecast.model.heads import Head, create_head
from ratecast.model.rater import Rater
from ratecast.records import Reviews
from ratecast.scale import FloatArray, RatingScale
from ratecast.text import Augmentation, AugmentedTexts, TokenisedTexts
from ratecast.train.frozen import Encoded, encode
from ratecast.train.inputs import Network, RatedTexts
from ratecast.train.loop import Run, TrainingResult, train
from ratecast.train.probe import fit_probe
from ratecast.train.reinitialise import reinitialise, top_layers

STOPPING_REVIEWS: Final = 1000
"""Validation reviews that training is stopped by, at most: scoring more would take the time from training."""

_PROBE_REVIEWS: Final = 10_000
_PROBE_SHARE: Final = 0.1


@dataclass(frozen=True, kw_only=True)
class FineTuned:
    """A fine-tuned network, and what the same backbone was worth before.

    Attributes:
        rater: the network with the best weights.
        backbone: what it was made from.
        result: how training went.
        before: level probabilities of the test reviews by a linear head on the untrained backbone, ``(review, level)``.
        before_seconds: time that this head and its vectors took.
        shortened: training reviews that were too long to be read whole.
    """

    rater: Rater
    backbone: Backbone
    result: TrainingResult
    before: FloatArray
    before_seconds: float
    shortened: int


def finetune(
    parts: dict[str, Reviews],
    scale: RatingScale,
    run: Run,
    *,
    time_left: Callable[[], float] | None,
    reviews_after: int,
) -> FineTuned:
    """Fine-tune the configured backbone.

    Args:
        parts: the reviews under "train", "validation" and "test".
        scale: their rating scale.
        run: settings and places; its ``allowed_seconds`` are set here from the time that is left.
        time_left: seconds that are left for training and scoring; None without a limit.
        reviews_after: how many reviews must be scored after training, within the time that is left.

    Raises:
        BackboneError, ConfigError, OutputError: as `load_backbone` and `train` do.
    """
    config, strengthen = run.config.backbone, run.config.strengthen
    augmentation = Augmentation.create(strengthen, run.config.seed)
    torch.manual_seed(run.config.seed)
    backbone = load_backbone(config)
    tokenised = {name: backbone.encoder.encode(part.joined()) for name, part in parts.items()}
    ratings = {name: part.rated() for name, part in parts.items()}
    head = create_head(config.head, backbone.width, scale, ratings["train"], config.dropout)
    rater = Rater(backbone.model, head, pooling=config.pooling)
    frozen = set_trained(backbone.model, trained_layers=config.trained_layers, train_embeddings=config.train_embeddings)
    layers = len(transformer_layers(backbone.model))
    restarted = top_layers(backbone.model, strengthen.reinitialised_layers)
    started = time.monotonic()
    speed = _encoding_speed(rater, backbone, tokenised["validation"], run)
    stopping = np.arange(len(ratings["validation"]))[:STOPPING_REVIEWS]
    rows = {
        "train": _probe_rows(len(ratings["train"]), speed, time_left, run.config.seed, whole=frozen > 0),
        "validation": stopping,
        "test": np.arange(len(ratings["test"])),
    }
    chosen = {name: tokenised[name].take(rows[name]) for name in rows}
    encoded = _encode_parts(rater, chosen, backbone, run, frozen=frozen, stored=0 < frozen < layers)
    known = {name: ratings[name][rows[name]] for name in ("train", "validation")}
    _fit_head(head, encoded, known)
    before = _probabilities(rater, encoded["test"])
    before_seconds = time.monotonic() - started
    if restarted:  # only now, so that what the backbone was worth before is told of the pretrained one
        reinitialise(backbone.model, restarted, run.config.seed)
        seen = {name: chosen[name] for name in known}
        _fit_head(head, _encode_parts(rater, seen, backbone, run, frozen=0, stored=False), known)
    training = RatedTexts(
        texts=tokenised["train"],
        ratings=ratings["train"],
        encoded=encoded["train"] if frozen else None,
        augmented=_augmented(parts["train"], backbone, augmentation),
    )
    validation = RatedTexts(
        texts=chosen["validation"], ratings=known["validation"], encoded=encoded["validation"] if frozen else None
    )
    hidden = encoded["train"].hidden
    tuple_length = hidden.tuple_length if hidden else 0
    network = Network(rater, backbone.encoder.settings, frozen=frozen, layers=layers, tuple_length=tuple_length)
    allowed = None if time_left is None else max(0.0, time_left() - reviews_after / speed)
    with network.skipping():
        result = train(network, training, validation, run.within(allowed))
    shortened = int(tokenised["train"].shortened.sum())
    return FineTuned(
        rater=rater, backbone=backbone, result=result, before=before, before_seconds=before_seconds, shortened=shortened
    )


def _encode_parts(
    rater: Rater, texts: dict[str, TokenisedTexts], backbone: Backbone, run: Run, *, frozen: int, stored: bool
) -> dict[str, Encoded]:
    """One pass of the untrained network over each part; the frozen layers' outputs are stored for what training reads."""
    return {
        name: encode(
            rater,
            part,
            backbone.encoder.settings,
            frozen=frozen,
            store=run.folder / f"{name}.npy" if stored and name != "test" else None,
            reporter=run.reporter,
            task=f"untrained vectors of the {name} reviews",
        )
        for name, part in texts.items()
    }


def _fit_head(head: Head, encoded: dict[str, Encoded], ratings: dict[str, FloatArray]) -> None:
    fit_probe(head, *((encoded[part].vectors, ratings[part]) for part in ("train", "validation")))


def _augmented(reviews: Reviews, backbone: Backbone, augmentation: Augmentation | None) -> AugmentedTexts | None:
    if augmentation is None:
        return None
    return AugmentedTexts(texts=reviews.joined(), encoder=backbone.encoder, augmentation=augmentation)


def _encoding_speed(rater: Rater, backbone: Backbone, texts: TokenisedTexts, run: Run) -> float:
    """Reviews a second that the untrained network encodes, measured on a few."""
    few = texts.take(np.arange(min(len(texts), 64)))
    seconds = []
    for _ in range(2):  # the first run warms up
        started = time.monotonic()
        encode(rater, few, backbone.encoder.settings, frozen=0, store=None, reporter=run.reporter, task="measuring the speed")
        seconds.append(time.monotonic() - started)
    return len(few) / max(seconds[-1], 1e-6)


def _probe_rows(
    count: int, speed: float, time_left: Callable[[], float] | None, seed: int, *, whole: bool
) -> NDArray[np.int64]:
    """Training rows that the linear head on untrained vectors learns from: all, or as many as a tenth of the time encodes."""
    if whole:
        return np.arange(count)
    most = _PROBE_REVIEWS if time_left is None else min(_PROBE_REVIEWS, max(64, int(_PROBE_SHARE * time_left() * speed)))
    return np.sort(np.random.default_rng(seed).permutation(count)[:most])


@torch.no_grad()
def _probabilities(rater: Rater, encoded: Encoded) -> FloatArray:
    found = rater.head.probabilities(rater.head(encoded.vectors)).double()
    probabilities: FloatArray = (found / found.sum(1, keepdim=True)).numpy()
    return probabilities
