"""Ratings mined from reviews: what their writers say in numbers, taken as labels."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ratecast.data.statements import find_statements, mask_ratings
from ratecast.errors import DataError
from ratecast.scale import FloatArray, IntArray, RatingScale

TEN_POINTS: Final = RatingScale.parse("1..10")


@dataclass(frozen=True, kw_only=True)
class Harvest:
    """What was harvested from a list of texts.

    Attributes:
        rows: where each harvested review is in the list, ascending, shape ``(review,)``.
        texts: its text without the rating, or anything else that looks like one.
        ratings: its rating in units of the scale, shape ``(review,)``.
        dropped: how many texts were left and why.
    """

    rows: IntArray
    texts: list[str]
    ratings: FloatArray
    dropped: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.rows)


def harvest_ratings(texts: Sequence[str], *, scale: RatingScale = TEN_POINTS, polarity: Sequence[int] | None = None) -> Harvest:
    """Take the rating that each text states in its own words: "7/10", "three out of five stars", "***1/2 out of ****".

    A statement N out of D becomes N/D of the way from zero to the top of the scale, high · N/D (from the scale's lowest rating
    if that is negative), and is snapped to the nearest level, the lower of two that are equally near. So on the scale 1..10,
    7/10 and 3.5/5 are 7, 0/10 is 1, and 7.5/10 is 7. A continuous scale keeps the value.

    A text is dropped if it states no rating, or different ones, or one that cannot be read surely ("7 or 8 out of 10",
    "-3/10"), one outside its own scale ("11/10"), nothing besides the rating, or one that contradicts its polarity. Where the
    context says that the rating is somebody else's, denied or no rating ("9 out of 10 people"), it is not counted, but masked
    too.

    Args:
        texts: reviews, shape ``(text,)``.
        scale: the scale of the ratings wanted.
        polarity: 1 for each review known to be positive, 0 for a negative one. A rating contradicts it when it is not on the
            same side of the scale's middle.

    Raises:
        DataError: if there are not as many polarities as texts.

    Example:
        >>> found = harvest_ratings(["Great fun. 8/10", "Open 24/7", "7/10 at first, now 4/10"])
        >>> found.texts, found.ratings.tolist(), dict(found.dropped)
        (['Great fun.'], [8.0], {'states no rating': 1, 'states different ratings': 1})
    """
    if polarity is not None and len(polarity) != len(texts):
        raise DataError(f"expected a polarity for each of the {len(texts)} texts, found {len(polarity)}")
    dropped: Counter[str] = Counter()
    rows: list[int] = []
    masked: list[str] = []
    ratings: list[float] = []
    for row, text in enumerate(texts):
        share = _stated_share(text)
        if isinstance(share, str):
            dropped[share] += 1
            continue
        rating, rest = _rescaled(share, scale), mask_ratings(text)
        if polarity is not None and np.sign(rating - (scale.low + scale.high) / 2) != (1 if polarity[row] else -1):
            dropped["contradicts its polarity"] += 1
        elif not any(character.isalpha() for character in rest):
            dropped["has no text besides the rating"] += 1
        else:
            rows.append(row)
            masked.append(rest)
            ratings.append(rating)
    return Harvest(rows=np.array(rows, np.int64), texts=masked, ratings=np.array(ratings, np.float64), dropped=dropped)


def _stated_share(text: str) -> float | str:
    """The one share of its whole that a text states, or why there is none."""
    statements = list(find_statements(text))
    shares = {round(statement.share, 6) for statement in statements if statement.reading == "stated"}
    if any(statement.reading == "unclear" for statement in statements):
        return "states a rating unclearly"
    if not shares:
        return "states no rating"
    if len(shares) > 1:
        return "states different ratings"
    share = shares.pop()
    return share if 0 <= share <= 1 else "states a rating outside its own scale"


def _rescaled(share: float, scale: RatingScale) -> float:
    zero = min(scale.low, 0.0)
    rating = float(np.clip(zero + share * (scale.high - zero), scale.low, scale.high))
    return rating if scale.is_continuous else float(scale.snap(round(rating, 6)))
