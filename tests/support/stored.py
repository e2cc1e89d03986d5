"""Predictions to put into a store."""

from typing import Any

from ratecast.store import StoredPrediction

SURE = {1.0: 0.0, 2.0: 0.0, 3.0: 0.1, 4.0: 0.8, 5.0: 0.1}
TORN = {1.0: 0.45, 2.0: 0.03, 3.0: 0.04, 4.0: 0.03, 5.0: 0.45}


def predicted(name: str, **values: Any) -> StoredPrediction:
    """A prediction of a review, sure of four stars unless told otherwise."""
    probabilities = values.pop("probabilities", SURE)
    rating = values.pop("rating", sum(level * chance for level, chance in probabilities.items()))
    defaults = {"model": "hotels", "version": "1", "text": f"text of {name}"}
    return StoredPrediction(id=name, rating=rating, probabilities=probabilities, **{**defaults, **values})
