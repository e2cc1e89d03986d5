"""A predictor in a process of the test's own, which can be held up and watched."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ratecast
from ratecast.records import Predictions, Review
from ratecast.serve.models import Served


class Watched:
    """A predictor that keeps the sizes of its batches, can be held up, and fails on a text."""

    def __init__(self, folder: Path) -> None:
        self._inner = ratecast.load(folder)
        self.scale = self._inner.scale
        self.batches: list[list[str]] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def predict(self, reviews: Sequence[Review]) -> Predictions:
        self.batches.append([review.text for review in reviews])
        self.may_go_on.wait(30)
        if any(review.text == "poison" for review in reviews):
            raise ZeroDivisionError("poison")
        return self._inner.predict(list(reviews))


def watched_model(name: str, folder: Path) -> Served:
    """A loaded version whose predictor is watched."""
    served = Served(name, folder)
    served.predictor = Watched(folder)  # type: ignore[assignment] # what batches need of one
    return served


def watched(served: Served) -> Watched:
    """The predictor of such a version."""
    predictor: Any = served.predictor
    assert isinstance(predictor, Watched)
    return predictor
