"""The queue of reviews that a person should read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, get_args

from sqlalchemy import ColumnElement, Connection, Row, bindparam, func, insert, literal, select, tuple_, update

from ratecast.errors import DataError, UnknownPredictionError
from ratecast.store.entries import Decision, storable
from ratecast.store.schema import decisions, predictions, waiting

Reason = Literal["uncertain", "surprising", "flagged"]

_columns: Final = predictions.c
REASONS: Final[Mapping[Reason, ColumnElement[bool]]] = {
    "uncertain": _columns.uncertain,
    "surprising": _columns.surprising,
    "flagged": _columns.flag.is_not(None),
}
"""Why a review is in the queue."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A review that waits for a person.

    Attributes:
        reasons: why it waits.
        urgency: its place in the queue; the highest come first.
        probabilities: probability of each level by the level's value.
    """

    id: str
    time: datetime
    model: str
    version: str
    item: str | None
    user: str | None
    text: str | None
    title: str | None
    stars: float | None
    rating: float
    interval: tuple[float, float] | None
    probabilities: Mapping[float, float]
    reasons: tuple[Reason, ...]
    flag: str | None
    urgency: float


@dataclass(frozen=True, kw_only=True)
class QueuePage:
    """Some reviews that wait, and what to pass as ``after`` for the next ones; None after the last."""

    reviews: tuple[Waiting, ...]
    next: str | None


def read_queue(connection: Connection, *, reason: Reason | None, model: str | None, after: str | None, limit: int) -> QueuePage:
    """The most urgent reviews that wait, after those of the page before.

    Raises:
        DataError: if there is no such reason, or ``after`` is not from a page.
    """
    query = select(predictions).where(waiting, *_filters(reason, model))
    if after is not None:
        query = query.where(tuple_(_columns.urgency, _columns.id) < tuple_(*map(literal, _place(after))))
    query = query.order_by(_columns.urgency.desc(), _columns.id.desc()).limit(limit + 1)
    rows = connection.execute(query).all()
    last = rows[limit - 1] if len(rows) > limit else None
    following = None if last is None else f"{last.urgency!r}~{last.id}"
    return QueuePage(reviews=tuple(map(_waiting, rows[:limit])), next=following)


def queue_sizes(connection: Connection, *, model: str | None) -> dict[str, int]:
    """How many reviews wait, in all ("all") and for each reason; one may have several reasons."""
    counts = [func.count().filter(condition).label(name) for name, condition in REASONS.items()]
    query = select(func.count().label("all"), *counts).where(waiting, *_filters(None, model))
    return dict(connection.execute(query).mappings().one())


def record_decision(connection: Connection, decision: Decision) -> None:
    """Keep a decision and take the review out of the queue.

    Raises:
        UnknownPredictionError: if there is no such prediction.
    """
    found = connection.execute(update(predictions).where(_columns.id == decision.prediction_id).values(urgency=None))
    _check_found(found.rowcount, decision.prediction_id)
    values = {name: getattr(decision, name) for name in ("prediction_id", "reviewer", "verdict", "rating", "time", "note")}
    connection.execute(insert(decisions), values)


def put_flag(connection: Connection, prediction_id: str, flag: str) -> None:
    """Put a review into the queue, before those that have no flag.

    Raises:
        UnknownPredictionError: if there is no such prediction.
    """
    urgency = func.coalesce(_columns.urgency, 0.0) + 1.0
    query = update(predictions).where(_columns.id == bindparam("flagged_id"))
    unflagged = query.where(_columns.flag.is_(None) | ~waiting).values(flag=storable(flag), urgency=urgency)
    found = connection.execute(unflagged, {"flagged_id": prediction_id}).rowcount
    if not found:  # it waits with a flag already, which the new one replaces
        found = connection.execute(query.values(flag=storable(flag)), {"flagged_id": prediction_id}).rowcount
    _check_found(found, prediction_id)


def _check_found(count: int, prediction_id: str) -> None:
    if not count:
        raise UnknownPredictionError(f"there is no prediction {prediction_id!r}; it was not kept, or was deleted")


def _filters(reason: Reason | None, model: str | None) -> list[ColumnElement[bool]]:
    if reason is not None and reason not in REASONS:
        raise DataError(f"unknown reason {reason!r}; known are {', '.join(get_args(Reason))}")
    filters = [] if reason is None else [REASONS[reason]]
    return filters if model is None else [*filters, _columns.model == storable(model)]


def _place(after: str) -> tuple[float, str]:
    urgency, mark, prediction_id = after.partition("~")
    try:
        found = float(urgency)
    except ValueError:
        mark = ""
    if not mark:
        raise DataError(f"{after!r} is no place in the queue; pass what the page before gave as the next one")
    return found, storable(prediction_id)


def _waiting(row: Row[Any]) -> Waiting:
    reasons: dict[Reason, bool] = {"uncertain": row.uncertain, "surprising": row.surprising, "flagged": row.flag is not None}
    return Waiting(
        **{name: getattr(row, name) for name in "id time model version item user text title stars rating flag urgency".split()},
        interval=interval_of(row),
        probabilities=probabilities_of(row),
        reasons=tuple(reason for reason, holds in reasons.items() if holds),
    )


def interval_of(row: Row[Any]) -> tuple[float, float] | None:
    """The interval of a prediction's row."""
    return None if row.low is None or row.high is None else (row.low, row.high)


def probabilities_of(row: Row[Any]) -> dict[float, float]:
    """Probability of each level by the level's value, of a prediction's row."""
    return {float(level): probability for level, probability in row.probabilities.items()}
