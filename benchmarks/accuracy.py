"""What `ratecast fit` with its defaults buys on Yelp reviews in a given time, beside its baselines, on the test reviews.

The model is fitted on the train part alone, whose own splits choose everything; the test part is used once, at the end.
"""

import tempfile
import time
from pathlib import Path

import arro3.core as arrow
from setting import show, yelp, yelp_parser

from ratecast.assess import MODEL_NAME
from ratecast.evaluate.contest import run_contest
from ratecast.fitting import fit


def main() -> None:
    """Measure and write."""
    parser = yelp_parser(__doc__ or "")
    parser.add_argument("--time-budget", default="10m")
    parser.add_argument("--keep", type=Path, help="where to keep the model")
    parser.add_argument("--setting", action="append", default=[], metavar="NAME=VALUE", help="a whole-number setting to change")
    arguments = parser.parse_args()
    settings = {name: int(value) for name, value in (pair.split("=") for pair in arguments.setting)}
    training, test = yelp(arguments.data_dir, "train"), yelp(arguments.data_dir, "test")
    table = arrow.Table.from_pydict(
        {"text": arrow.Array(list(training.text), arrow.DataType.utf8()), "rating": arrow.Array(training.rated())}
    )
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        model = fit(table, out=arguments.keep or Path(folder) / "model", time_budget=arguments.time_budget, **settings)
        seconds = time.monotonic() - started
        entries = {name: baseline.probabilities(test.joined()) for name, baseline in model.baselines().items()}
        entries[MODEL_NAME] = model.predict(test).probabilities
        contest = run_contest(test.rated(), entries, model.scale, model=MODEL_NAME)
    show(
        f"Yelp reviews, {arguments.time_budget} of fit",
        contest.header(),
        contest.rows(mark=""),
        "accuracy",
        reviews=f"{len(training)} for fitting (its own validation and test parts included), {len(test)} for the table",
        seconds_from_start_to_folder=round(seconds, 1),
        verdict=contest.verdict(),
        settings=settings or "defaults",
    )


if __name__ == "__main__":
    main()
