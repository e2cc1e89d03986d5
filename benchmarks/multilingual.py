"""Chinese reviews: a multilingual backbone with a pruned vocabulary beside the English default, in the same time.

    python benchmarks/e5.py packages --out multilingual-e5-small/
    python benchmarks/multilingual.py --data-dir ../shared/data --backbone multilingual-e5-small/ --minutes 5

Both are fitted by `ratecast.fit` with its defaults to the training reviews of Douban, one after the other, and all that a fit
chooses it chooses on reviews of the training part. The test reviews are predicted once, at the end.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from setting import dataset, show
from tokenizers import Tokenizer

import ratecast
from ratecast.compress import prune_vocabulary
from ratecast.evaluate import compute_metrics, paired_difference
from ratecast.model.source import DEFAULT_BACKBONE
from ratecast.predict import Predictor
from ratecast.scale import FloatArray
from ratecast.text.unknown import unknown_fractions
from ratecast.verdict import GRAPH

ENGLISH, MULTILINGUAL = f"{DEFAULT_BACKBONE} (English)", "multilingual-e5-small, pruned"
METRICS = ("rmse", "mae", "accuracy", "qwk", "nll")


def row(name: str, model: Predictor, ratings: FloatArray, probabilities: FloatArray) -> list[Any]:
    """A line of the table."""
    found = compute_metrics(ratings, probabilities, model.scale)
    return [name, *(f"{getattr(found, metric):.3f}" for metric in METRICS)]


def training(model: Predictor) -> str:
    """What a fit came to in its time."""
    return next((note for note in model.notes() if note.startswith("Training ended")), "not fine-tuned")


def unknown(folder: Path, texts: Sequence[str]) -> float:
    """Share of unknown tokens as a fitted model reads texts."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return float(np.mean(unknown_fractions(tokenizer, texts)))


def main() -> None:
    """Prune, fit both, predict and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder that holds douban_movie_zh.parquet")
    parser.add_argument("--backbone", type=Path, required=True, help="folder that e5.py wrote")
    parser.add_argument("--minutes", type=float, default=5.0, help="time budget of each fit")
    parser.add_argument(
        "--reviews", type=int, help="two passes over so many training reviews in place of the time: a busy machine"
    )
    parser.add_argument("--test-reviews", type=int, default=3000, help="test reviews, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    train, test = (dataset(arguments.data_dir, "douban_movie_zh", part) for part in ("train", "test"))
    work: dict[str, Any] = {"time_budget": f"{arguments.minutes:g}m"}
    allowed = f"{arguments.minutes:g} minutes of fit"
    if arguments.reviews is not None:
        train = train.take(np.sort(np.random.default_rng(arguments.seed).permutation(len(train))[: arguments.reviews]))
        work, allowed = {"epochs": 2.0, "max_tokens": 128}, "two passes of fit"
    test = test.take(np.sort(np.random.default_rng(0).permutation(len(test))[: arguments.test_reviews]))
    texts, ratings, fitted = test.joined(), test.rated(), {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pruning = prune_vocabulary(
            pl.DataFrame({"text": train.text.tolist()}), backbone=str(arguments.backbone), out=folder / "pruned"
        )
        print(pruning.describe())
        for label, backbone in ((ENGLISH, DEFAULT_BACKBONE), (MULTILINGUAL, str(folder / "pruned"))):
            fitted[label] = ratecast.fit(
                texts=train.text.tolist(),
                ratings=train.rated(),
                out=folder / label.split(",")[0].split(" ")[0],
                backbone=backbone,
                **work,
                seed=arguments.seed,
            )
        found = {label: model.chain.members(texts) for label, model in fitted.items()}
        blends = {label: model.chain.combined(found[label], test) for label, model in fitted.items()}
        baselines = fitted[MULTILINGUAL].baselines()
        rows = [row(label, fitted[MULTILINGUAL], ratings, model.probabilities(texts)) for label, model in baselines.items()]
        for label, model in fitted.items():
            if GRAPH in found[label]:
                rows.append(row(f"{label}: backbone alone", model, ratings, found[label][GRAPH]))
            rows.append(row(f"{label}: blend", model, ratings, blends[label]))
        shares = {label: unknown(model.folder, texts) for label, model in fitted.items() if GRAPH in found[label]}
        trained = {label: training(model) for label, model in fitted.items()}
        scale = fitted[MULTILINGUAL].scale
    difference = paired_difference(ratings, blends[MULTILINGUAL], blends[ENGLISH], scale, metric="rmse")
    show(
        f"Chinese film reviews (Douban), {allowed}",
        ["model", "RMSE", "MAE", "accuracy", "QWK", "NLL"],
        rows,
        "multilingual",
        training_reviews=len(train),
        test_reviews=len(test),
        vocabulary=pruning.describe(),
        unknown_tokens=", ".join(f"{label} {share:.1%}" for label, share in shares.items()),
        **{f"fit of {label}": note for label, note in trained.items()},
        RMSE_of_the_blends=f"multilingual less English: {difference.difference:+.3f} "
        f"(95 % interval {difference.low:+.3f} to {difference.high:+.3f})",
    )


if __name__ == "__main__":
    main()
