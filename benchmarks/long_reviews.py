"""Reviews of more than 512 tokens whose verdict stands at the beginning, in the middle or at the end: who reads it?

Made of the embedded movie reviews: the verdict is the end of a review that states a rating, the rest are sentences of other
reviews in which a linear model finds no opinion. The last sentences of further reviews, by themselves, are short reviews to
learn from besides, as every shop has them. Cutting at the end is what pipelines and trainers do by default. All models are
fine-tuned in the same way and judged through the exported graph.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from setting import show

from ratecast.baseline.linear import RegressionTask, fit_ridge
from ratecast.config import FitConfig
from ratecast.data.sample import load_sample, load_sample_unlabelled
from ratecast.evaluate.bootstrap import bootstrap
from ratecast.model.export import export_rater
from ratecast.model.graph import OnnxGraph
from ratecast.progress import ConsoleReporter
from ratecast.records import Reviews, strings
from ratecast.scale import FloatArray, RatingScale
from ratecast.text.sentences import pieces
from ratecast.train.finetune import finetune
from ratecast.train.loop import Run

VERDICT_WORDS, FILLER_WORDS = 80, 400
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


def neutral_sentences(verdicts: Reviews, scale: RatingScale, seed: int) -> list[str]:
    """Sentences of unrated reviews for which a linear model of the verdicts expects the most usual: a third of them."""
    order = np.random.default_rng(seed).permutation(len(verdicts))
    model = fit_ridge(RegressionTask(verdicts.take(order[200:]), verdicts.take(order[:200]), scale))
    texts = load_sample_unlabelled()
    chosen = np.random.default_rng(seed).permutation(len(texts))[:1000]
    sentences = [part for row in chosen for part, _ in pieces(texts[row], lambda text: len(text) < 400)]
    sentences = [sentence for sentence in sentences if 6 <= len(sentence.split()) <= 40]
    expected = scale.mean(model.probabilities(sentences))
    return [sentences[row] for row in np.argsort(np.abs(expected - np.median(expected)))[: len(sentences) // 3]]


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


def joined(first: Reviews, second: Reviews) -> Reviews:
    """All of both."""
    return Reviews(text=strings([*first.text, *second.text]), rating=np.concatenate([first.rated(), second.rated()]))


def fitted(parts: dict[str, Reviews], scale: RatingScale, folder: Path, **settings: Any) -> tuple[OnnxGraph, str, float]:
    """A model's graph, what it read of the training reviews, and the seconds of its training."""
    config = FitConfig().with_values(**settings)
    run = Run(config=config, folder=folder, fingerprint="", resume=False, reporter=ConsoleReporter(), log_folder=folder)
    tuned = finetune(parts, scale, run, time_left=None, reviews_after=0, judged="validation")
    if tuned is None:
        raise RuntimeError("there is no time limit, so that there is a model")
    graph, _ = export_rater(tuned.rater, tuned.backbone.encoder, folder, list(parts["validation"].text[:4]))
    read = f"{tuned.windowed} in windows, {tuned.shortened} shortened"
    return OnnxGraph.load(folder, graph, len(scale)), read, tuned.result.seconds


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", type=int, default=180, help="long training reviews")
    parser.add_argument("--short", type=int, default=700, help="short training reviews")
    parser.add_argument("--test", type=int, default=300, help="long test reviews")
    parser.add_argument("--epochs", type=float, default=2.0, help="passes over the training reviews")
    parser.add_argument("--readings", help="only those whose names hold one of these words, separated by commas")
    arguments = parser.parse_args()
    scale = RatingScale.parse("1..10")
    sample = load_sample()
    whole = np.flatnonzero(np.isin(sample.rated(), scale.levels))
    rows = np.random.default_rng(0).permutation(whole)
    ends = strings(" ".join(str(sample.text[row]).split()[-VERDICT_WORDS:]) for row in rows)
    verdicts = Reviews(text=ends, rating=sample.rated()[rows])
    bounds = np.cumsum([arguments.test, 120, arguments.long, arguments.short])
    test_rows, validation_rows, long_rows, short_rows = np.split(np.arange(bounds[-1]), bounds[:-1])
    filler = neutral_sentences(verdicts.take(np.concatenate([long_rows, short_rows])), scale, 0)
    third = len(filler) // 3  # no sentence stands in two parts
    test = built(verdicts.take(test_rows), filler[:third], 1)
    parts = {
        "train": joined(built(verdicts.take(long_rows), filler[2 * third :], 3).reviews, verdicts.take(short_rows)),
        "validation": built(verdicts.take(validation_rows), filler[third : 2 * third], 2).reviews,
    }
    wanted = [part.strip() for part in (arguments.readings or "").split(",")]
    probabilities: dict[str, FloatArray] = {}
    facts: dict[str, list[Any]] = {}
    alone: FloatArray | None = None
    for name, settings in READINGS.items():
        if not any(word in name for word in wanted):
            continue
        with tempfile.TemporaryDirectory() as folder:
            graph, read, seconds = fitted(parts, scale, Path(folder), epochs=arguments.epochs, **settings)
            started = time.perf_counter()
            probabilities[name] = graph.probabilities(list(test.reviews.text))
            speed = len(test.reviews) / (time.perf_counter() - started)
            tokens = graph.encoder.encode(list(test.reviews.text))
            facts[name] = [f"{tokens.lengths.mean():.0f}", f"{tokens.shortened.mean():.0%}", read, seconds, speed]
            if alone is None or name.startswith("beginning and end"):
                alone = graph.probabilities(test.verdicts)
    if alone is not None:
        probabilities["the verdict alone, as a short review"] = alone
        facts["the verdict alone, as a short review"] = ["–", "–", "–", "–", "–"]
    ratings = test.reviews.rated()
    drawn = bootstrap(ratings, probabilities, scale, metrics=("rmse", "mae"))
    rows_ = []
    for name, found in probabilities.items():
        low, high = drawn.intervals(name)["rmse"]
        errors = (scale.mean(found) - ratings) ** 2
        by_place = [f"{np.sqrt(errors[test.places == place].mean()):.2f}" for place in range(len(PLACES))]
        whole_rmse, mae = drawn.whole[name]["rmse"], drawn.whole[name]["mae"]
        rows_.append([name, f"{whole_rmse:.3f} ({low:.3f}–{high:.3f})", f"{mae:.3f}", *by_place, *facts[name]])
    constant = float(np.sqrt(((parts["train"].rated().mean() - ratings) ** 2).mean()))
    header = ["What is read", "RMSE", "MAE", *(f"RMSE, verdict at the {place}" for place in PLACES)]
    header += ["tokens read of a review", "shortened", "training reviews", "seconds of training", "reviews a second"]
    differences = {
        f"{a} against {b}": drawn.difference(a, b).summary(scale)
        for a in probabilities
        for b in probabilities
        if a.startswith("windows") and b.endswith("(default)")
    }
    show(
        "Long reviews",
        header,
        rows_,
        "long_reviews",
        reviews=f"{arguments.long} long and {arguments.short} short for training, 120 long for validation, {len(ratings)} long "
        f"for the test; {arguments.epochs:g} passes, one seed",
        constant=f"the mean rating has RMSE {constant:.3f}",
        differences=differences,
        time="the machine was shared: compare errors, not seconds",
    )


if __name__ == "__main__":
    main()
