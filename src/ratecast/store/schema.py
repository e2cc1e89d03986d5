"""The tables. `migrations` makes them step by step; a test holds that both agree.

Nothing refers to predictions by a foreign key: feedback may come to one process while its prediction still waits to be written
in another one.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import JSON, BigInteger, Boolean, Column, Dialect, Double, Index, Integer, MetaData, Table, Text
from sqlalchemy.types import TypeDecorator

NEWEST: Final = "0002"
"""The revision of `migrations` that makes what is here."""
VERSION_TABLE: Final = "ratecast_version"
"""Where a database says which revision it is of. Not Alembic's own name, which another program in the same PostgreSQL database
may use."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(TypeDecorator[datetime]):
    """A time, kept as microseconds since 1970 in UTC: the same number, exact and quick to compare, in every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Microseconds of a time; one without a zone is UTC."""
        if value is None:
            return None
        return ((value if value.tzinfo else value.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Time of microseconds."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)


metadata: Final = MetaData()

predictions: Final = Table(
    "predictions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("time", Moment, nullable=False),
    Column("kept", Moment),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("shadow", Boolean, nullable=False),
    Column("item", Text),
    Column("user", Text),
    Column("text", Text),
    Column("title", Text),
    Column("stars", Double),
    Column("rating", Double, nullable=False),
    Column("variance", Double, nullable=False),
    Column("low", Double),
    Column("high", Double),
    Column("probabilities", JSON, nullable=False),
    Column("uncertain", Boolean, nullable=False),
    Column("surprising", Boolean, nullable=False),
    Column("flag", Text),
    Column("urgency", Double),
)
"""A row for each prediction.

`time` is that of the review, where it came with one; `kept` is when the prediction was made, by which it is deleted some day;
null where a process of an older ratecast wrote the row.
`urgency` is null for those that nobody needs to read, or that somebody has decided on; the higher, the earlier in the queue.
`shadow` predictions were made beside the one that was answered: they count in no score and are in no queue.
"""

feedback: Final = Table(
    "feedback",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("prediction_id", Text, nullable=False),
    Column("rating", Double, nullable=False),
    Column("time", Moment, nullable=False),
    Column("source", Text, nullable=False),
)
"""A row for each rating that came after its prediction."""

decisions: Final = Table(
    "decisions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("prediction_id", Text, nullable=False),
    Column("reviewer", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("rating", Double),
    Column("time", Moment, nullable=False),
    Column("note", Text, nullable=False),
)
"""A row for each time that a person accepted or corrected a prediction."""

_columns: Final = predictions.c
waiting: Final = _columns.urgency.is_not(None)
"""Whether a review waits for a person to read it. Indexes of such rows alone stay small."""


def _partial(name: str, columns: tuple[Column[Any], ...], condition: Any) -> Index:
    return Index(name, *columns, sqlite_where=condition, postgresql_where=condition)


_partial("predictions_waiting", (_columns.urgency, _columns.id), waiting)
_partial("predictions_of_user", (_columns.user,), _columns.user.is_not(None))
# What scores and trends read stands in the indexes themselves, so that the rows with their texts are not touched.
_scored: Final = (_columns.shadow, _columns.model, _columns.rating, _columns.variance)
_partial("predictions_of_item", (_columns.item, _columns.time, *_scored), _columns.item.is_not(None))
Index("predictions_by_time", _columns.time, *_scored)
Index("predictions_by_kept", _columns.kept)
Index("feedback_of_prediction", feedback.c.prediction_id, feedback.c.time)
Index("feedback_by_time", feedback.c.time)
Index("decisions_by_time", decisions.c.time)
Index("decisions_of_prediction", decisions.c.prediction_id, decisions.c.time)
