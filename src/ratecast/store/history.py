"""All that is known of one prediction."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Table, select

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


@dataclass(frozen=True, kw_only=True)
class Decided:
    """A decision with the prediction that it is about."""

    decision: Decision
    prediction: StoredPrediction


def read_decided(connection: Connection, *, limit: int) -> tuple[Decided, ...]:
    """The latest decisions, the newest first."""
    query = select(decisions).order_by(decisions.c.time.desc(), decisions.c.id.desc()).limit(limit)
    found = [Decision(**{name: row[name] for name in row if name != "id"}) for row in connection.execute(query).mappings()]
    ids = {decision.prediction_id for decision in found}
    rows = connection.execute(select(predictions).where(predictions.c.id.in_(ids)))
    by_id = {row.id: _prediction(row) for row in rows}
    # One that is being deleted just now may be gone.
    return tuple(
        Decided(decision=decision, prediction=by_id[decision.prediction_id])
        for decision in found
        if decision.prediction_id in by_id
    )


def read_history(connection: Connection, prediction_id: str) -> History:
    """A prediction with its feedback and decisions.

    Raises:
        UnknownPredictionError: if there is no such prediction.
    """
    row = connection.execute(select(predictions).where(predictions.c.id == prediction_id)).one_or_none()
    if row is None:
        raise UnknownPredictionError(f"there is no prediction {prediction_id!r}; it was not kept, or was deleted")
    return History(
        prediction=_prediction(row),
        feedback=tuple(Feedback(**row) for row in _rows(connection, feedback, prediction_id)),
        decisions=tuple(Decision(**row) for row in _rows(connection, decisions, prediction_id)),
    )


def _prediction(row: Row[Any]) -> StoredPrediction:
    names = "id model version rating text title item user stars flag shadow time".split()
    return StoredPrediction(
        **{name: getattr(row, name) for name in names},
        kept=row.kept or row.time,
        probabilities=probabilities_of(row),
        interval=interval_of(row),
    )


def _rows(connection: Connection, table: Table, prediction_id: str) -> list[dict[str, Any]]:
    query = select(*(column for column in table.c if column.name != "id")).where(table.c.prediction_id == prediction_id)
    return [dict(row) for row in connection.execute(query.order_by(table.c.time, table.c.id)).mappings()]
