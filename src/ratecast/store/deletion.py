"""Deleting what was kept too long, or what a user wants to have deleted."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Select, delete, select

from ratecast.store.database import Database
from ratecast.store.entries import storable
from ratecast.store.schema import decisions, feedback, predictions

_BATCH_ROWS: Final = 5_000
"""Predictions deleted in one transaction; other writers of SQLite wait for it."""


@dataclass(frozen=True, kw_only=True)
class Deleted:
    """How many rows were deleted."""

    predictions: int = 0
    feedback: int = 0
    decisions: int = 0

    def __add__(self, other: "Deleted") -> "Deleted":
        return Deleted(
            predictions=self.predictions + other.predictions,
            feedback=self.feedback + other.feedback,
            decisions=self.decisions + other.decisions,
        )


def delete_before(database: Database, moment: datetime) -> Deleted:
    """Delete predictions made before a moment with all that belongs to them, and older feedback that has no prediction.

    Works in small transactions, so that nobody else has to wait for long. The oldest go first.
    """
    old = (predictions.c.kept < moment) | (predictions.c.kept.is_(None) & (predictions.c.time < moment))
    chosen = select(predictions.c.id).where(old).order_by(predictions.c.kept).limit(_BATCH_ROWS)
    deleted = Deleted()
    while True:
        with database.writing() as connection:
            part = _delete(connection, chosen)
        deleted += part
        if part.predictions < _BATCH_ROWS:
            break
    orphans = delete(feedback).where(
        feedback.c.time < moment, ~select(predictions.c.id).where(predictions.c.id == feedback.c.prediction_id).exists()
    )
    with database.writing() as connection:
        return deleted + Deleted(feedback=connection.execute(orphans).rowcount)


def delete_of_user(database: Database, user: str) -> Deleted:
    """Delete a user's predictions, with texts and all that belongs to them, at once."""
    chosen = select(predictions.c.id).where(predictions.c.user.is_not(None), predictions.c.user == storable(user))
    with database.writing() as connection:
        deleted = _delete(connection, chosen)
    database.truncate_log()
    return deleted


def _delete(connection: Connection, chosen: Select[tuple[str]]) -> Deleted:
    ids = list(connection.execute(chosen).scalars())
    counts = dict.fromkeys(("feedback", "decisions", "predictions"), 0)
    for start in range(0, len(ids), 500):  # SQLite takes so many values in a statement, and more
        some = ids[start : start + 500]
        counts["feedback"] += connection.execute(delete(feedback).where(feedback.c.prediction_id.in_(some))).rowcount
        counts["decisions"] += connection.execute(delete(decisions).where(decisions.c.prediction_id.in_(some))).rowcount
        counts["predictions"] += connection.execute(delete(predictions).where(predictions.c.id.in_(some))).rowcount
    return Deleted(**counts)
