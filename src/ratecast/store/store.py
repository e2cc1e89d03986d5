"""The store: what the service and the command line use of this subpackage."""

import hashlib
import logging
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from sqlalchemy import Connection, Insert, Table, insert, select, text
from sqlalchemy.dialects import postgresql, sqlite

from ratecast.config import StoreConfig
from ratecast.errors import ConfigError, StoreUnavailableError
from ratecast.store.concern import concern
from ratecast.store.database import Database
from ratecast.store.deletion import Deleted, delete_before, delete_of_user
from ratecast.store.entries import Decision, Feedback, StoredPrediction, now, storable
from ratecast.store.export import read_ratings
from ratecast.store.history import Decided, History, read_decided, read_history
from ratecast.store.products import Order, Period, ProductPage, TrendPoint, read_products, read_trend
from ratecast.store.queue import QueuePage, Reason, put_flag, queue_sizes, read_queue, record_decision
from ratecast.store.schema import feedback as feedback_table
from ratecast.store.schema import predictions
from ratecast.store.upgrade import upgrade
from ratecast.store.writer import BackgroundWriter, Row, WriteCounts

if TYPE_CHECKING:
    from arro3.core import Table as ArrowTable


_LOG: Final = logging.getLogger(__name__)
_RETENTION_SECONDS: Final = 3600.0
"""How often what was kept long enough is deleted."""


class Store:
    """Predictions, feedback and decisions in a database. Safe to use from several threads; every process opens its own.

    Predictions are written in the background: `add_predictions` never waits. Feedback, decisions and flags are on the disk when
    their methods return, so call them outside an event loop's thread.

    Every method that reads or writes raises `StoreUnavailableError` while the database does not answer or cannot be written.
    It works again by itself when the database is back.

    Example:
        >>> import tempfile
        >>> seen = StoredPrediction(id="a", model="m", version="1", rating=4.2, probabilities={1: 0.2, 5: 0.8})
        >>> with Store.open(tempfile.mkdtemp()) as store:
        ...     store.add_predictions([seen])
        ...     store.add_feedback(Feedback(prediction_id="a", rating=5))
        True
    """

    def __init__(self, database: Database, config: StoreConfig) -> None:
        self.config: Final = config
        self._database: Final = database
        self._writer: Final = BackgroundWriter(self._write, limit=config.waiting_limit)
        self._closing = threading.Event()
        self._retention = threading.Thread(
            target=self._retain, args=(config.retention_days,), name="ratecast-retention", daemon=True
        )
        if config.retention_days is not None:
            self._retention.start()

    @classmethod
    def open(cls, place: str | Path, config: StoreConfig | None = None, *, create: bool = True) -> Self:
        """Open a database, making it or bringing it to the newest schema first.

        Args:
            place: an SQLite file, a folder in which ``ratecast.db`` is or will be, or a URL such as
                ``postgresql://user@host/name``.
            config: what is kept, and which reviews a person should read.
            create: whether an SQLite file that is not there is made.

        Raises:
            StoreError: if the place names no database that can be used, or a newer ratecast wrote it.
            StoreUnavailableError: if it does not answer or cannot be written now.
            MissingExtraError: for PostgreSQL without the extra ``postgresql``.
        """
        database = Database(place, create=create)
        try:
            upgrade(database)
        except BaseException:
            database.close()
            raise
        return cls(database, config or StoreConfig())

    def close(self, seconds: float = 10.0) -> None:
        """Write the predictions that wait, as far as the time allows, and close the connections."""
        self._closing.set()
        if self._retention.is_alive():
            self._retention.join(seconds)
        self._writer.close(seconds)
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        """The database's URL, without its password."""
        return self._database.name

    # -- writing ------------------------------------------------------------------------------------------------------

    def keeps(self, prediction_id: str) -> bool:
        """Whether a prediction with this id belongs to the share that is kept; the same in every process."""
        key = self.config.sample_seed.to_bytes(8, "big", signed=True)
        digest = hashlib.blake2b(storable(prediction_id).encode(), digest_size=7, key=key).digest()
        return int.from_bytes(digest, "big") < self.config.keep_fraction * 2**56

    def add_predictions(self, entries: Sequence[StoredPrediction]) -> None:
        """Keep predictions, or the share of them that the settings say; they are written in the background.

        Those of shadows are kept beside the answered ones that are. Never waits. More than `StoreConfig.waiting_limit` waiting
        ones are dropped and counted.
        """
        self._writer.put([self._row(entry) for entry in entries if self.keeps(entry.answered_id)])

    def add_feedback(self, entry: Feedback) -> bool:
        """Keep the rating that turned out to be right; it is on the disk when this returns.

        A prediction that still waits in this process is written with it. Feedback is also kept if its prediction is not there:
        another process may be about to write it.

        Returns:
            Whether the prediction is there, so that the rating can be exported with its text.
        """
        values = {name: getattr(entry, name) for name in ("prediction_id", "rating", "time", "source")}
        with self._database.writing() as connection:
            is_there = self._write_waiting(connection, entry.prediction_id)
            is_there = is_there or _has(connection, entry.prediction_id)
            connection.execute(insert(feedback_table), values)
        self._writer.settle(entry.prediction_id)
        return is_there

    def add_decision(self, entry: Decision) -> None:
        """Keep what a person decided and take the review out of the queue; both are on the disk when this returns.

        Raises:
            UnknownPredictionError: if the prediction is not there.
        """
        with self._database.writing() as connection:
            self._write_waiting(connection, entry.prediction_id)
            record_decision(connection, entry)
        self._writer.settle(entry.prediction_id)

    def flag(self, prediction_id: str, why: str) -> None:
        """Put a review into the queue, whatever the model says of it.

        Raises:
            UnknownPredictionError: if the prediction is not there.
        """
        prediction_id = storable(prediction_id)
        with self._database.writing() as connection:
            self._write_waiting(connection, prediction_id)
            put_flag(connection, prediction_id, why)
        self._writer.settle(prediction_id)

    def flush(self, seconds: float = 10.0) -> bool:
        """Write the predictions that wait, at once; whether all were written within the time."""
        return self._writer.flush(seconds)

    # -- reading ------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Ask the database for an answer."""
        with self._database.reading() as connection:
            connection.execute(text("SELECT 1"))

    def counts(self) -> WriteCounts:
        """How writing in the background goes; needs no database."""
        return self._writer.counts()

    def queue(
        self,
        *,
        reason: Reason | None = None,
        model: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> QueuePage:
        """Reviews that a person should read, the most urgent first; ``after`` is `QueuePage.next` of the page before.

        Raises:
            DataError: if there is no such reason, or ``after`` is not from a page.
        """
        with self._database.reading() as connection:
            return read_queue(connection, reason=reason, model=model, after=after, limit=limit)

    def queue_sizes(self, *, model: str | None = None) -> dict[str, int]:
        """How many reviews wait: "all" of them, and those with each reason."""
        with self._database.reading() as connection:
            return queue_sizes(connection, model=model)

    def products(
        self,
        *,
        model: str | None = None,
        since: datetime | None = None,
        order: Order = "reviews",
        offset: int = 0,
        limit: int = 50,
    ) -> ProductPage:
        """Products with their scores; models of different scales should be asked for one by one.

        Raises:
            DataError: if there is no such order.
        """
        with self._database.reading() as connection:
            return read_products(connection, model=model, since=since, order=order, offset=offset, limit=limit)

    def trend(
        self,
        *,
        item: str | None = None,
        model: str | None = None,
        by: Period = "day",
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> tuple[TrendPoint, ...]:
        """Mean predicted rating of a product, or of all, for each day or week that has reviews; days are those of UTC.

        Raises:
            DataError: if there is no such period.
        """
        with self._database.reading() as connection:
            return read_trend(connection, item=item, model=model, by=by, since=since, until=until)

    def has(self, prediction_id: str) -> bool:
        """Whether a prediction is written."""
        with self._database.reading() as connection:
            return _has(connection, storable(prediction_id))

    def history(self, prediction_id: str) -> History:
        """A prediction with its feedback and decisions.

        Raises:
            UnknownPredictionError: if the prediction is not there.
        """
        prediction_id = storable(prediction_id)
        if self._writer.find(prediction_id) is not None:
            self._writer.flush(5.0)
        with self._database.reading() as connection:
            return read_history(connection, prediction_id)

    def decided(self, *, limit: int = 50) -> tuple[Decided, ...]:
        """The latest decisions of people with their predictions, the newest first."""
        with self._database.reading() as connection:
            return read_decided(connection, limit=limit)

    def ratings(self, *, model: str | None = None) -> "ArrowTable":
        """Feedback and corrections as a table of rated reviews, which `ratecast.fit` takes.

        Columns: text, title, item, user, rating, time, source, model. The latest rating of a review counts. Models of different
        scales should be asked for one by one.
        """
        with self._database.reading() as connection:
            return read_ratings(connection, model=None if model is None else storable(model))

    # -- deleting -----------------------------------------------------------------------------------------------------

    def delete_older_than(self, days: float) -> Deleted:
        """Delete predictions of more than so many days ago, with their feedback and decisions.

        Raises:
            ConfigError: if the days are not from 0 to 36,500.
        """
        if not 0 <= days <= 36_500:
            raise ConfigError(f"expected from 0 to 36,500 days, found {days}")
        return delete_before(self._database, now() - timedelta(days=days))

    def delete_user(self, user: str) -> Deleted:
        """Delete everything that belongs to a user's reviews: predictions, texts, feedback and decisions.

        Predictions that wait in this process are forgotten. Those of the last second in another one are not found.
        """
        with self._writer.without(lambda row: row["user"] == storable(user)) as waiting:
            return Deleted(predictions=waiting) + delete_of_user(self._database, user)

    def _retain(self, days: float) -> None:
        pause = 0.0
        while not self._closing.wait(pause):
            pause = _RETENTION_SECONDS
            try:
                deleted = self.delete_older_than(days)
            except StoreUnavailableError as error:
                _LOG.warning("old predictions are deleted later: %s", error)
            else:
                _LOG.info("%d predictions were kept long enough and are deleted", deleted.predictions)

    # -- rows ---------------------------------------------------------------------------------------------------------

    def _row(self, entry: StoredPrediction) -> Row:
        found = concern(entry, self.config)
        low, high = entry.interval or (None, None)
        row: dict[str, Any] = {
            name: getattr(entry, name)
            for name in "id time kept model version shadow item user text title stars rating flag".split()
        }
        if not self.config.keep_text:
            row |= {"text": None, "title": None}
        return row | {
            "variance": found.variance,
            "low": low,
            "high": high,
            "probabilities": {f"{level:.12g}": round(chance, 6) for level, chance in entry.probabilities.items()},
            "uncertain": found.uncertain,
            "surprising": found.surprising,
            "urgency": found.urgency,
        }

    def _write(self, rows: Sequence[Row]) -> None:
        with self._database.writing() as connection:
            connection.execute(self._insert_new(predictions), list(rows))

    def _write_waiting(self, connection: Connection, prediction_id: str) -> bool:
        """Write a prediction that still waits; whether there was one."""
        row = self._writer.find(prediction_id)
        if row is not None:
            connection.execute(self._insert_new(predictions), row)
        return row is not None

    def _insert_new(self, table: Table) -> Insert:
        """Inserts rows whose id is not there yet, and leaves the others."""
        if self._database.is_sqlite:
            return sqlite.insert(table).on_conflict_do_nothing()
        return postgresql.insert(table).on_conflict_do_nothing()


def _has(connection: Connection, prediction_id: str) -> bool:
    found = select(predictions.c.id).where(predictions.c.id == prediction_id)
    return connection.execute(found).first() is not None
