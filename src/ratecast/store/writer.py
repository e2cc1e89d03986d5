"""Predictions are written in the background, so that no answer waits for the database."""

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from ratecast.errors import StoreError

_LOG: Final = logging.getLogger(__name__)
_BATCH_ROWS: Final = 500
_INTERVAL_SECONDS: Final = 0.5
_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 5.0

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class WriteCounts:
    """How writing goes, since the store was opened.

    Attributes:
        waiting: predictions that wait to be written.
        written: predictions that were.
        dropped: predictions that were not, because too many waited or the store was closed before the database came back.
        refused: predictions that the database would never take.
        failures: batches that could not be written; each is tried again.
        failing: whether the last batch could not be written.
    """

    waiting: int
    written: int
    dropped: int
    refused: int
    failures: int
    failing: bool


class BackgroundWriter:
    """One thread that writes rows in batches. What it could not write it tries again, after a pause that grows to 5 s.

    Args:
        write: writes rows in a transaction; those that are there already it leaves as they are.
        limit: rows that may wait; further ones are dropped.
    """

    def __init__(self, write: Callable[[Sequence[Row]], None], *, limit: int) -> None:
        self._write = write
        self._limit = limit
        self._rows: dict[str, Row] = {}  # those that wait, by id, also while they are being written
        self._changed = threading.Condition()
        self._batch = threading.Lock()  # held while a batch is written
        self._hurry = self._stopping = False
        self._written = self._dropped = self._refused = self._failures = self._failed_in_a_row = 0
        self._thread = threading.Thread(target=self._run, name="ratecast-store", daemon=True)
        self._thread.start()

    def put(self, rows: Sequence[Row]) -> None:
        """Take rows to be written later. Never waits, and drops what is too much."""
        with self._changed:
            room = 0 if self._stopping else max(self._limit - len(self._rows), 0)
            self._rows.update((row["id"], row) for row in rows[:room])
            self._dropped += max(len(rows) - room, 0)
            if len(self._rows) >= _BATCH_ROWS:
                self._changed.notify_all()

    def find(self, row_id: str) -> Row | None:
        """A row that still waits, or None."""
        with self._changed:
            return self._rows.get(row_id)

    def settle(self, row_id: str) -> None:
        """Forget a row that waits, because somebody else has written it."""
        with self._changed:
            self._written += self._rows.pop(row_id, None) is not None
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Write at once, and wait for it; whether all that waited was written within that time."""
        with self._changed:
            ids = list(self._rows)
            self._hurry = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._rows.keys().isdisjoint(ids) or self._stopping, seconds)

    @contextmanager
    def without(self, chosen: Callable[[Row], bool]) -> Iterator[int]:
        """Forget the chosen rows that wait, and write none until the context ends; gives how many there were."""
        with self._batch:
            with self._changed:
                ids = [row_id for row_id, row in self._rows.items() if chosen(row)]
                for row_id in ids:
                    del self._rows[row_id]
                self._changed.notify_all()
            yield len(ids)

    def counts(self) -> WriteCounts:
        """How writing goes."""
        with self._changed:
            return WriteCounts(
                waiting=len(self._rows),
                written=self._written,
                dropped=self._dropped,
                refused=self._refused,
                failures=self._failures,
                failing=self._failed_in_a_row > 0,
            )

    def close(self, seconds: float) -> None:
        """Write what waits, as far as the time allows, and end the thread; the rest counts as dropped."""
        self.flush(seconds)
        with self._changed:
            self._stopping = True
            self._dropped += len(self._rows)
            self._rows.clear()
            self._changed.notify_all()
        self._thread.join(_LONGEST_PAUSE_SECONDS)

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while self._wait():
            with self._batch:
                with self._changed:
                    rows = list(islice(self._rows.values(), _BATCH_ROWS))
                if rows:
                    self._write_batch(rows)

    def _wait(self) -> bool:
        """Wait for a full batch, a flush, the interval or the end of a pause; False when it is time to stop."""
        with self._changed:
            if self._failed_in_a_row:  # nobody can hurry a database that is away
                pause = min(_FIRST_PAUSE_SECONDS * 2.0 ** min(self._failed_in_a_row - 1, 10), _LONGEST_PAUSE_SECONDS)
                self._changed.wait_for(lambda: self._stopping, pause)
            else:
                is_due = lambda: self._stopping or self._hurry or len(self._rows) >= _BATCH_ROWS  # noqa: E731 - used once
                self._changed.wait_for(is_due, _INTERVAL_SECONDS)
            self._hurry = self._hurry and len(self._rows) > _BATCH_ROWS
            return not self._stopping

    def _write_batch(self, rows: Sequence[Row]) -> None:
        try:
            self._write(rows)
        except StoreError as error:
            self._fail(error)
        except SQLAlchemyError as error:
            # The database answers but does not take the batch: find the row, so that it cannot hold up the others.
            if len(rows) > 1:
                for row in rows:
                    self._write_batch([row])
                return
            _LOG.error("the prediction %s is refused by the database: %s", rows[0]["id"], error)
            self._done(rows, refused=1)
        else:
            self._done(rows)

    def _done(self, rows: Collection[Row], *, refused: int = 0) -> None:
        with self._changed:
            if self._failed_in_a_row:
                _LOG.warning("predictions are written again after %d failures", self._failed_in_a_row)
            self._failed_in_a_row = 0
            gone = sum(self._rows.pop(row["id"], None) is not None for row in rows)
            self._refused += refused
            self._written += gone - refused
            self._changed.notify_all()

    def _fail(self, error: StoreError) -> None:
        with self._changed:
            if not self._failed_in_a_row:
                _LOG.warning("predictions wait to be written: %s", error)
            self._failures += 1
            self._failed_in_a_row += 1
