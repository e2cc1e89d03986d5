"""A model folder without any rated review: the ratings are those that a language model's words say."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ratecast.baseline.constant import ConstantModel
from ratecast.card import write_card
from ratecast.combine.blend import Blend
from ratecast.config import FitConfig
from ratecast.config.few import DEFAULT_PROMPT
from ratecast.data import Source, stream_texts
from ratecast.errors import ConfigError, DataError, ScaleError, require
from ratecast.model.learned import save_learned
from ratecast.model.store import (
    METRICS_FILE,
    Manifest,
    check_target,
    create_component,
    new_folder,
    package_versions,
    write_json,
    write_manifest,
)
from ratecast.predict import NO_RATINGS, Predictor, load
from ratecast.processors import available_processors
from ratecast.progress import ConsoleReporter, Reporter
from ratecast.scale import FloatArray, RatingScale
from ratecast.verdict import GRAPH

if TYPE_CHECKING:
    from ratecast.model.backbone import Backbone
    from ratecast.model.prompting import Prompt
    from ratecast.model.rater import Rater

MOST_TEXTS: Final = 300
"""Reviews that calibration reads, drawn at random."""

CONTENT_FREE: Final = ("N/A", "", "[MASK]")
"""Texts that say nothing, which calibration rests on without reviews (Zhao et al. 2021, section 5)."""

_LEAST_MEAN: Final = 1e-12  # a word that is never told must not become certain without end
_PACKAGES: Final = ("ratecast", "torch", "transformers", "tokenizers", "onnxruntime", "numpy")


def zeroshot(
    source: Source | None = None,
    *,
    out: str | Path,
    prior: str | None = None,
    config: FitConfig | None = None,
    reporter: Reporter | None = None,
    **settings: Any,
) -> Predictor:
    """Write a model folder from what a language model says of texts, without any rating.

    The backbone reads each review in a prompt and tells a word; the probabilities of the words that stand for the levels are
    those of the ratings. A language model prefers some words whatever it reads. That is found from reviews without ratings and
    divided out (batch calibration, Zhou et al. 2024, "Batch Calibration: Rethinking Calibration for In-Context Learning and
    Prompt Engineering"), or without reviews from texts that say nothing (contextual calibration, Zhao et al. 2021, "Calibrate
    Before Use: Improving Few-Shot Performance of Language Models").

    A backbone without an output layer, such as the default one, is taken for a sentence encoder: unless a prompt is given,
    reviews are compared with sentences that say a rating.

    Args:
        source: a table of reviews to calibrate on; its ratings are not read, if it has any.
        out: folder for the model; an older one there is replaced.
        prior: how often each level occurs, from the lowest, separated by commas, such as 0.1,0.1,0.2,0.3,0.3; all the same by
            default.
        config: settings, of which columns, backbone, prompt and verbaliser are read; the defaults otherwise.
        reporter: shows messages and progress; on standard error by default.
        **settings: single settings by their flat names; ``scale`` is needed.

    Raises:
        RatecastError: if a setting, the table, the backbone or the output folder cannot be used; nothing is written then.

    Example:
        ``ratecast.zeroshot("unrated.csv", out="model/", backbone="bert-base-uncased", scale="1..5")``
    """
    given = _read(config or FitConfig())
    settings["prompt"] = settings.get("prompt") or given.few.prompt or DEFAULT_PROMPT
    chosen = given.with_values(**settings)
    told, folder, scale = reporter or ConsoleReporter(), Path(out), _scale(chosen)
    shares = level_shares(prior, scale)
    check_target(folder)
    torch = require("torch", "train", "making a model")
    torch.set_num_threads(chosen.threads or available_processors())
    from ratecast.model.prompting import MASK, check_prompt, load_likeness, load_prompted
    from ratecast.train.network import create_rater
    from ratecast.train.precision import choose_precision

    chosen = chosen.with_values(head="softmax", precision=choose_precision(chosen.train.precision), trained_layers=0)
    check_prompt(chosen, scale)
    texts = [] if source is None else drawn_texts(stream_texts(source, chosen.columns, told.tell), MOST_TEXTS, chosen.seed)
    if source is not None and not texts:
        raise DataError("the table has no review with a text; expected some to calibrate on, or no table")
    backbone, prompt = load_prompted(chosen, scale)
    if prompt is None:
        raise ValueError("a prompt was asked for")
    if prompt.is_new and chosen.few.prompt == DEFAULT_PROMPT and MASK in prompt.template:
        backbone, prompt = load_likeness(chosen, scale)
    for line in prompt.lines():
        told.tell(line)
    rater = create_rater(backbone, scale, np.asarray(scale.levels), chosen, prompt)
    means = calibrate(rater, backbone, texts or CONTENT_FREE, shares, told)
    notes = _notes(prompt, scale, means, len(texts))
    with new_folder(folder) as new:
        _write(new, rater, backbone, chosen, shares=shares, sample=texts or CONTENT_FREE, notes=notes)
    return load(folder, threads=chosen.threads)


def _read(config: FitConfig) -> FitConfig:
    """What is read of the settings; those of training say nothing here, and must not clash with what stands in their place."""
    named = {name: getattr(config.backbone, name) for name in ("backbone", "max_tokens", "head_fraction")}
    return FitConfig(columns=config.columns, answer=config.answer, seed=config.seed, threads=config.threads).with_values(
        **named, prompt=config.few.prompt, verbaliser=config.few.verbaliser, precision=config.train.precision
    )


def level_shares(prior: str | None, scale: RatingScale) -> FloatArray:
    """How often each level occurs, shape ``(level,)``, summing to one; all the same without a prior.

    Raises:
        ConfigError: if the prior is no positive number for each level.
    """
    if prior is None:
        return np.full(len(scale), 1 / len(scale))
    try:
        found = np.array([float(part) for part in prior.split(",")])
    except ValueError:
        found = np.empty(0)
    if found.shape != (len(scale),) or not (np.isfinite(found) & (found > 0)).all():
        raise ConfigError(
            f"prior must have a number above 0 for each of the {len(scale)} levels of {scale.describe()}, separated by commas, "
            f"found {prior!r}"
        )
    shares: FloatArray = found / found.sum()
    return shares


def drawn_texts(pieces: Iterable[Sequence[str]], most: int, seed: int) -> list[str]:
    """Some texts of a stream, each as likely as any other (Vitter 1985, algorithm R), in memory that does not grow with it."""
    rng, found, seen = np.random.default_rng(seed), list[str](), 0
    for piece in pieces:
        for text in piece:
            seen += 1
            if len(found) < most:
                found.append(text)
            elif (place := int(rng.integers(seen))) < most:
                found[place] = text
    return found


def calibrate(rater: "Rater", backbone: "Backbone", texts: Sequence[str], shares: FloatArray, reporter: Reporter) -> FloatArray:
    """Set the bias of a rater's softmax head so that it prefers no level for no reason.

    p(level | text) becomes proportional to p(level | text) · share / mean over the texts of p(level | text).

    Args:
        rater: the network, changed in place.
        backbone: its encoder reads the texts.
        texts: reviews, or texts that say nothing.
        shares: how often each level occurs, shape ``(level,)``.
        reporter: shows the progress.

    Returns:
        The mean probability of each level before, shape ``(level,)``.
    """
    import torch

    from ratecast.train.frozen import encode
    from ratecast.train.network import head_probabilities

    encoder = backbone.encoder
    encoded = encode(
        rater, encoder.encode(texts), encoder.settings, frozen=0, store=None, reporter=reporter, task="calibrating on reviews"
    )
    means: FloatArray = head_probabilities(rater, encoded.vectors).mean(axis=0)
    preference = np.log(np.maximum(means, _LEAST_MEAN))
    bias: torch.Tensor = rater.head.linear.bias
    with torch.no_grad():
        bias.add_(torch.tensor(np.log(shares) - preference, dtype=bias.dtype, device=bias.device))
    return means


def _scale(config: FitConfig) -> RatingScale:
    written = config.columns.scale
    if written is None:
        raise ConfigError("scale is needed where no rating is read: give it, such as --scale 1..5")
    try:
        return RatingScale.parse(written)
    except ScaleError as error:
        raise ScaleError(f"{error}: give steps, such as 0..100/10, or levels") from None


def _notes(prompt: "Prompt", scale: RatingScale, means: FloatArray, texts: int) -> list[str]:
    """What to know of the model, a sentence or two each."""
    on = f"{texts:,} reviews without ratings" if texts else "texts that say nothing (give reviews without ratings to do better)"
    levels = ", ".join(f"{label} {mean:.3f}" for label, mean in zip(scale.labels, means, strict=True))
    warning = prompt.warning()
    unseen = (
        "No rating was seen: nothing tells how good this model is, and its probabilities are those of words. `ratecast "
        "evaluate` measures it on rated reviews; with few of them, `ratecast fit --prompt` goes on from here."
    )
    return [
        unseen,
        f"How the reviews are read: {prompt.describe()}.",
        *([] if warning is None else [f"Warning: {warning}."]),
        f"Calibrated on {on}. Mean probability of each level before: {levels}.",
    ]


def _write(
    new: Path,
    rater: "Rater",
    backbone: "Backbone",
    config: FitConfig,
    *,
    shares: FloatArray,
    sample: Sequence[str],
    notes: list[str],
) -> None:
    from ratecast.model.export import export_rater

    scale = rater.head.scale
    blend = Blend(members=(GRAPH,), weights=np.ones(1), bias=np.zeros(len(scale)))
    constant = ConstantModel(probability=shares)
    manifest = Manifest(
        scale=scale,
        components=(
            create_component(new, "blend", "blend", blend.save(new, "blend")),
            *export_rater(rater, backbone.encoder, new, sample[:8], name=GRAPH),
            create_component(new, "constant", "constant", constant.save(new, "constant")),
            save_learned(new, ()),
        ),
        chain=("blend",),
        baselines=("constant",),
        about={
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "ratings_seen": NO_RATINGS,
            "backbone": backbone.name,
            "backbone_sha256": backbone.sha256,
            "prompt": config.few.prompt,
            "max_tokens": backbone.encoder.settings.max_tokens,
            "versions": package_versions(*_PACKAGES),
        },
    )
    write_manifest(new, manifest)
    write_json(new / "config.json", config.to_mapping())
    write_json(new / METRICS_FILE, {"test": None, "judged_on": None, "notes": notes})
    write_card(new, manifest, None, ["no rated reviews"], notes)
