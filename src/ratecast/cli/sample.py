"""``ratecast sample``."""

import sys
from pathlib import Path


def sample(out: Path, /) -> None:
    """Write the embedded movie reviews to a table, to try ratecast on.

    The ratings, 1 to 10, are those that the reviewers state in their own words;
    they are masked out of the text.

    For example:

        ratecast sample reviews.csv

    Args:
        out: File to write: .csv, .tsv, .jsonl, .parquet or .arrow.
    """
    from ratecast.data import load_sample
    from ratecast.data.table import build_table
    from ratecast.data.write import check_writable, write_table

    check_writable(out)
    reviews = load_sample()
    columns = {"id": reviews.id.tolist(), "text": reviews.text.tolist(), "rating": reviews.rated().tolist()}
    write_table(build_table(columns), out)
    print(f"{len(reviews)} reviews written to {out}", file=sys.stderr)
