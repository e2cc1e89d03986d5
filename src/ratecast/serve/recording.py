"""What the service hands over to be kept."""

from typing import Protocol

from ratecast.serve.answered import Answered
from ratecast.store import Feedback, Store, StoredPrediction


class Recorder(Protocol):
    """Keeps predictions and feedback."""

    def record(self, answered: Answered, *, shadow: bool = False) -> None:
        """Keep predictions, of a shadow or answered ones; never waits and never raises."""

    def feedback(self, prediction_id: str, rating: float, source: str) -> bool:
        """Keep the right rating of a prediction for good, waiting until it is; False if there is no such prediction.

        Raises:
            RatecastError: if it could not be kept.
        """

    def has(self, prediction_id: str) -> bool:
        """Whether a prediction is kept already.

        Raises:
            RatecastError: if that cannot be found out now.
        """

    def close(self) -> None:
        """Keep what still waits to be kept."""


class StoreRecorder:
    """Keeps predictions and feedback in a store.

    Args:
        store: the store, which is closed with this.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def record(self, answered: Answered, *, shadow: bool = False) -> None:
        """Keep predictions, of a shadow or answered ones; never waits."""
        served = answered.served
        self._store.add_predictions(
            [
                StoredPrediction.of(prediction, review, id=name, model=served.name, version=served.version, shadow=shadow)
                for name, review, prediction in zip(answered.ids, answered.reviews, answered.found, strict=True)
            ]
        )

    def feedback(self, prediction_id: str, rating: float, source: str) -> bool:
        """Keep the right rating of a prediction; on the disk when this returns. False if there is no such prediction.

        Raises:
            StoreUnavailableError: if it could not be kept.
        """
        return self._store.add_feedback(Feedback(prediction_id=prediction_id, rating=rating, source=source))

    def has(self, prediction_id: str) -> bool:
        """Whether a prediction is written, by this process or by another.

        Raises:
            StoreUnavailableError: if the database does not answer.
        """
        return self._store.has(prediction_id)

    def close(self) -> None:
        """Write what waits, and close the store."""
        self._store.close()
