"""Bringing a database to the newest schema."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from ratecast.errors import StoreError
from ratecast.store.database import Database
from ratecast.store.migrations.env import VERSION_TABLE
from ratecast.store.schema import metadata

_SCRIPTS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x72617465  # any number, the same in all processes


def upgrade(database: Database) -> None:
    """Bring a database to the newest schema, all the way or not at all; one process at a time.

    Raises:
        StoreError: if a newer ratecast wrote it, or something else did.
        StoreUnavailableError: if it does not answer or cannot be written.
    """
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    with database.writing() as connection:  # of SQLite's writers there is one at any time
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        found = _revision(connection)
        if found is None:
            _check_empty(connection, database.name)
        elif found not in known:
            raise StoreError(f"{database.name} was written by a newer ratecast (schema {found}); update ratecast")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def _check_empty(connection: Connection, name: str) -> None:
    taken = sorted(set(metadata.tables) & set(inspect(connection).get_table_names()))
    if taken:
        raise StoreError(f"{name} has a table {taken[0]!r} that is not ratecast's; give ratecast a database of its own")
