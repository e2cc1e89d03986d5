"""A connection to the database, and what goes wrong with it."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url
from sqlalchemy.pool import QueuePool

from ratecast.errors import StoreError, StoreUnavailableError, require

FILE_NAME: Final = "ratecast.db"
_BUSY_SECONDS: Final = 5.0
"""How long a transaction waits for that of another process, or for a connection, before it is given up."""


class Database:
    """Connections to one database. They come back by themselves after the database was away.

    Args:
        place: an SQLite file, a folder for one, or a URL: ``sqlite:///ratecast.db``, ``postgresql://user@host/name``.
        create: whether an SQLite file that is not there is made.

    Raises:
        StoreError: if the place names no such database.
        MissingExtraError: for PostgreSQL without its extra.
    """

    def __init__(self, place: str | Path, *, create: bool = True) -> None:
        url = _url(place)
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.name = url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)
        self._engine = _sqlite(url, create=create) if self.is_sqlite else _postgresql(url)
        self._writing = self._engine.execution_options(writes=True)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for queries, all of which see the same state.

        Raises:
            StoreUnavailableError: if the database does not answer.
        """
        with self._told(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction, which is on the disk when the context ends without an error, and undone otherwise.

        Raises:
            StoreUnavailableError: if the database does not answer or cannot be written.
        """
        with self._told(), self._writing.begin() as connection:
            yield connection

    def truncate_log(self) -> None:
        """Take what was deleted out of SQLite's log of changes as well, if nobody is reading there now."""
        if self.is_sqlite:
            with self._told(), self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except exc.SQLAlchemyError as error:
            if _is_unavailable(error):
                raise StoreUnavailableError(f"the database {self.name} cannot be used now: {_reason(error)}") from error
            if (
                isinstance(error, exc.DatabaseError)
                and isinstance(error.orig, sqlite3.DatabaseError)
                and _is_damaged(error.orig)
            ):
                raise StoreError(
                    f"{self.name} cannot be used: {_reason(error)}; name another file, or bring back a copy of this one"
                ) from error
            raise


def _url(place: str | Path) -> URL:
    text = str(place)
    if "://" not in text:
        path = Path(text)
        return URL.create("sqlite", database=str(path / FILE_NAME if path.is_dir() else path))
    try:
        url = make_url(text)
    except (exc.ArgumentError, ValueError):
        raise StoreError("the URL of the database cannot be read; expected postgresql://user@host/name") from None
    if url.get_backend_name() not in {"sqlite", "postgresql"}:
        raise StoreError(f"expected a database of sqlite or postgresql, found {url.drivername}")
    if url.get_backend_name() == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if url.database in {None, "", ":memory:"}:
        raise StoreError("a database in memory would be lost; name a file: sqlite:///ratecast.db")
    return url.set(drivername="sqlite")


# -- SQLite -----------------------------------------------------------------------------------------------------------


def _sqlite(url: URL, *, create: bool) -> Engine:
    path = Path(url.database or "").absolute()
    if create:
        _create_file(path)
    elif not path.is_file():
        raise StoreError(f"there is no database {path}; check the path")

    def connect() -> sqlite3.Connection:
        # mode=rw: a file that went away is not made anew, for then nobody would miss what it held.
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=rw", uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # each commit is on the disk before it returns
            connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    engine = create_engine(url, creator=connect, poolclass=QueuePool, pool_timeout=_BUSY_SECONDS)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # Python's own sqlite3 would begin late and leave out changes of the schema. A transaction that begins by reading and
        # then writes fails at once, without waiting, if another one wrote between.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    @event.listens_for(engine, "connect")
    def remember(_: Any, record: Any) -> None:
        record.info["file"] = _identity(path)

    @event.listens_for(engine, "checkout")
    def check(_: Any, record: Any, __: Any) -> None:
        # A connection to a file that was deleted would go on writing, to nowhere.
        if record.info["file"] != _identity(path):
            raise exc.DisconnectionError

    return engine


def _create_file(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # reviews are nobody else's business
    except OSError as error:
        raise StoreError(f"cannot write the database {path}: {error.strerror}; name a file in a folder that is there") from None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


# -- PostgreSQL -------------------------------------------------------------------------------------------------------


def _postgresql(url: URL) -> Engine:
    require("psycopg", "postgresql", "a PostgreSQL database")
    # A server that vanished without a word is noticed within some seconds.
    patience = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
    patience |= {"tcp_user_timeout": 15_000}
    engine = create_engine(
        url,
        connect_args={name: value for name, value in patience.items() if name not in url.query},
        pool_pre_ping=True,
        pool_timeout=_BUSY_SECONDS,
    )

    @event.listens_for(engine, "connect")
    def insist(connection: Any, _: Any) -> None:
        # With "off" a commit would be acknowledged before it is on the disk.
        connection.autocommit = True
        connection.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
        connection.autocommit = False

    return engine


# -- errors -----------------------------------------------------------------------------------------------------------


def _is_unavailable(error: exc.SQLAlchemyError) -> bool:
    # InternalError: a PostgreSQL server that has become read-only, as after a failover.
    kinds = (exc.OperationalError, exc.InterfaceError, exc.InternalError, exc.TimeoutError, exc.DisconnectionError)
    # After three checkouts of a file that is not there the pool gives up with InvalidRequestError.
    gave_up = isinstance(error, exc.InvalidRequestError) and "connection" in str(error) and "invalid" in str(error)
    return isinstance(error, kinds) or gave_up or (isinstance(error, exc.DBAPIError) and error.connection_invalidated)


def _is_damaged(error: sqlite3.DatabaseError) -> bool:
    return error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}


def _reason(error: exc.SQLAlchemyError) -> str:
    original = error.orig if isinstance(error, exc.DBAPIError) else error
    return " ".join(str(original).split())
