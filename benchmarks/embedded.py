"""The main job on the reviews that come with ratecast: the fine-tuned model beside every baseline, as `make demo` runs it."""

import argparse
import tempfile
import time
from pathlib import Path

from setting import show

from ratecast.data import load_sample
from ratecast.fitting import fit


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time-budget", default="7m")
    arguments = parser.parse_args()
    reviews = load_sample()
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        out = Path(folder) / "model"
        model = fit(texts=list(reviews.text), ratings=reviews.rated(), out=out, time_budget=arguments.time_budget)
        seconds = time.monotonic() - started
        contest = model.contest()
    show(
        f"Embedded movie reviews, {arguments.time_budget} of fit",
        contest.header(),
        contest.rows(mark=""),
        "embedded",
        reviews=len(reviews),
        seconds_from_start_to_folder=round(seconds, 1),
        verdict=contest.verdict(),
    )


if __name__ == "__main__":
    main()
