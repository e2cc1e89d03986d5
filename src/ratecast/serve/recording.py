"""What the service hands over to be kept."""

from collections.abc import Sequence
from typing import Protocol

from ratecast.records import Prediction, Review


class Recorder(Protocol):
    """Keeps predictions and feedback."""

    def record(
        self, ids: Sequence[str], reviews: Sequence[Review], found: Sequence[Prediction], model: str, version: str
    ) -> None:
        """Keep predictions; never waits and never raises."""

    def feedback(self, prediction_id: str, rating: float, source: str) -> bool:
        """Keep the right rating of a prediction for good, waiting until it is; False if there is no such prediction.

        Raises:
            RatecastError: if it could not be kept.
        """

    def close(self) -> None:
        """Keep what still waits to be kept."""
