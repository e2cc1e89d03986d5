"""Does each answer of one model win the metric that it is meant for?

    python benchmarks/answers.py --data-dir ../shared/data --model model/

``--optimise`` takes from one distribution over levels its mean, median, most probable level, or levels cut at thresholds that
validation reviews have set. Each is judged by all four metrics, on reviews that the model has not seen: Yelp's test reviews,
for a model that was fitted to its training reviews.
"""

import argparse
from pathlib import Path
from typing import Any, Final

from setting import show, yelp, yelp_parser

from ratecast import load
from ratecast.config import Optimise
from ratecast.evaluate.metrics import accuracy, mean_absolute_error, quadratic_weighted_kappa, root_mean_squared_error

ANSWERS: Final[dict[Optimise, str]] = {
    "rmse": "mean",
    "mae": "median",
    "accuracy": "most probable level",
    "qwk": "levels cut at thresholds",
}
SMALLER: Final = ("RMSE", "MAE")
METRICS: Final = (*SMALLER, "accuracy", "QWK")


def main() -> None:
    """Measure and write."""
    parser = yelp_parser(__doc__ or "")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--model", type=Path, required=True, help="model folder, fitted to Yelp's training reviews")
    arguments = parser.parse_args()
    model, reviews = load(arguments.model), yelp(arguments.data_dir, "test")
    ratings, scale = reviews.rated(), model.scale
    found = {}
    for name in ANSWERS:
        rating = model.predict(reviews, optimise=name).rating
        errors = root_mean_squared_error(ratings, rating), mean_absolute_error(ratings, rating)
        found[name] = [*errors, accuracy(ratings, rating, scale), quadratic_weighted_kappa(ratings, rating, scale)]
    rows: list[list[Any]] = [[f"{name} ({ANSWERS[name]})"] for name in found]
    for place, metric in enumerate(METRICS):
        best = (min if metric in SMALLER else max)(values[place] for values in found.values())
        for row, values in zip(rows, found.values(), strict=True):
            row.append(f"**{values[place]:.3f}**" if values[place] == best else f"{values[place]:.3f}")
    show(
        "One model, four answers",
        ["--optimise", *METRICS],
        rows,
        "answers",
        reviews=f"{len(reviews):,} of Yelp's test reviews; the thresholds are set on the model's own validation reviews",
        model=", ".join(f"{name} {model.manifest.about.get(name)}" for name in ("reviews", "max_tokens", "seed", "made")),
    )


if __name__ == "__main__":
    main()
