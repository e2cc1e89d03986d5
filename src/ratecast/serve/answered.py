"""What a request was answered."""

from collections.abc import Sequence
from dataclasses import dataclass

from ratecast.records import Prediction, Review
from ratecast.serve.models import Served


@dataclass(frozen=True, kw_only=True)
class Answered:
    """Reviews, what a version of a model said of each, and the ids of these predictions, in the same order."""

    served: Served
    reviews: Sequence[Review]
    ids: Sequence[str]
    found: Sequence[Prediction]
