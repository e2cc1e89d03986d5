"""The model that `make demo` fitted to the embedded movie reviews, beside every baseline on the same test reviews."""

import argparse
import json
from pathlib import Path

from setting import show

import ratecast
from ratecast.model.store import METRICS_FILE


def main() -> None:
    """Read what the demo measured, and write it with the machine's facts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("demo/model"), help="folder that `make demo` wrote")
    arguments = parser.parse_args()
    model = ratecast.load(arguments.model)
    contest = model.contest()
    metrics = json.loads((arguments.model / METRICS_FILE).read_text())
    config = json.loads((arguments.model / "config.json").read_text())
    show(
        f"Embedded movie reviews, {config['time_budget']} of fit",
        contest.header(),
        contest.rows(mark=""),
        "embedded",
        reviews=model.manifest.about["reviews"],
        training=metrics["notes"][0],
        verdict=contest.verdict(),
    )


if __name__ == "__main__":
    main()
