"""All that is known of one prediction."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, select

from ratecast.errors import UnknownPredictionError
from ratecast.store.entries import Decision, Feedback, StoredPrediction
from ratecast.store.queue import interval_of, probabilities_of
from ratecast.store.schema import decisions, feedback, predictions


@dataclass(frozen=True, kw_only=True)
class History:
    """A prediction and what came after it, the oldest first."""

    prediction: StoredPrediction
    feedback: tuple[Feedback, ...]
    decisions: tuple[Decision, ...]


def read_history(connection: Connection, prediction_id: str) -> History:
    """A prediction with its feedback and decisions.

    Raises:
        UnknownPredictionError: if there is no such prediction.
    """
    row = connection.execute(select(predictions).where(predictions.c.id == prediction_id)).one_or_none()
    if row is None:
        raise UnknownPredictionError(f"there is no prediction {prediction_id!r}; it was not kept, or was deleted")
    names = "id model version rating text title item user stars flag shadow time".split()
    return History(
        prediction=StoredPrediction(
            **{name: getattr(row, name) for name in names}, probabilities=probabilities_of(row), interval=interval_of(row)
        ),
        feedback=tuple(Feedback(**row) for row in _rows(connection, feedback, prediction_id)),
        decisions=tuple(Decision(**row) for row in _rows(connection, decisions, prediction_id)),
    )


def _rows(connection: Connection, table: Table, prediction_id: str) -> list[dict[str, Any]]:
    query = select(*(column for column in table.c if column.name != "id")).where(table.c.prediction_id == prediction_id)
    return [dict(row) for row in connection.execute(query.order_by(table.c.time, table.c.id)).mappings()]
