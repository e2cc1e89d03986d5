"""Bringing a database to the newest schema."""

import logging
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from ratecast.errors import StoreError, require
from ratecast.store.database import Database
from ratecast.store.schema import NEWEST, VERSION_TABLE, metadata

_LOG: Final = logging.getLogger(__name__)
_SCRIPTS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x72617465  # any number, the same in all processes


def upgrade(database: Database) -> None:
    """Bring a database to the newest schema, all the way or not at all; one process at a time.

    Raises:
        StoreError: if a newer ratecast wrote it, or something else did.
        StoreUnavailableError: if it does not answer or cannot be written.
    """
    with database.writing() as connection:  # of SQLite's writers there is one at any time
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        found = _revision(connection)
        if found == NEWEST:
            return
        if found is None:
            _check_empty(connection, database.name)
        _migrate(connection, database.name, found)
    was = "was made with" if found is None else f"was brought from the schema {found} to"
    _LOG.info("the store %s %s the schema %s", database.name, was, NEWEST)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    revision: str | None = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - a name of ours
    return revision


def _migrate(connection: Connection, name: str, found: str | None) -> None:
    require("alembic", "store", "keeping predictions")  # takes a fifth of a second, and is seldom needed
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise StoreError(f"{name} was written by a newer ratecast (schema {found}); update ratecast")
    config.attributes["connection"] = connection
    command.upgrade(config, NEWEST)


def _check_empty(connection: Connection, name: str) -> None:
    taken = sorted(set(metadata.tables) & set(inspect(connection).get_table_names()))
    if taken:
        raise StoreError(f"{name} has a table {taken[0]!r} that is not ratecast's; give ratecast a database of its own")
