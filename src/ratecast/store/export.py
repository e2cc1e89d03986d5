"""Feedback and corrections as a table of rated reviews, which `ratecast fit` takes."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from arro3.core import Array, ChunkedArray, DataType, Table
from sqlalchemy import Connection, func, literal, select, union_all

from ratecast.data.table import MICROSECONDS, PIECE_ROWS, TEXT, build_array, text_array
from ratecast.store.schema import decisions, feedback, predictions

_TYPES: Final = {
    "text": TEXT,
    "title": TEXT,
    "item": TEXT,
    "user": TEXT,
    "rating": DataType.float64(),
    "time": MICROSECONDS,
    "source": TEXT,
    "model": TEXT,
}


def read_ratings(connection: Connection, *, model: str | None = None) -> Table:
    """A row for each prediction whose rating people told, the oldest first; the latest of several ratings counts.

    Columns: text, title, item and user of the review; the rating; when it was given (UTC); its source, which is that of the
    feedback or, for a correction, "review by" and the name of who made it; the model that predicted. Predictions kept without
    their text are left out, and those of other models where one is named.
    """
    given = union_all(
        select(
            feedback.c.prediction_id,
            feedback.c.rating,
            feedback.c.time,
            feedback.c.source,
            feedback.c.id,
            literal(0).label("kind"),
        ),
        select(
            decisions.c.prediction_id,
            decisions.c.rating,
            decisions.c.time,
            (literal("review by ") + decisions.c.reviewer).label("source"),
            decisions.c.id,
            literal(1).label("kind"),
        ).where(decisions.c.verdict == "correct"),
    ).subquery("given")
    place = func.row_number().over(
        partition_by=given.c.prediction_id, order_by=(given.c.time.desc(), given.c.kind.desc(), given.c.id.desc())
    )
    latest = select(given, place.label("place")).subquery("latest")
    review = predictions.c
    query = (
        select(
            *(review.text, review.title, review.item, review.user),
            *(latest.c.rating, latest.c.time, latest.c.source),
            review.model,
        )
        .join_from(latest, predictions, review.id == latest.c.prediction_id)
        .where(latest.c.place == 1, review.text.is_not(None), literal(model is None) | (review.model == model))
        .order_by(latest.c.time, review.id)
        .execution_options(yield_per=PIECE_ROWS)
    )
    columns: dict[str, list[Array]] = {name: [] for name in _TYPES}
    for rows in connection.execute(query).partitions():
        for name, array in _arrays(rows):
            columns[name].append(array)
    return Table.from_arrays([ChunkedArray(columns[name], _TYPES[name]) for name in _TYPES], names=list(_TYPES))


def _arrays(rows: Sequence[Sequence[Any]]) -> Iterator[tuple[str, Array]]:
    for name, values in zip(_TYPES, zip(*rows, strict=True), strict=True):
        yield name, text_array(values) if _TYPES[name] == TEXT else build_array(values)
