"""SQLite databases, opened read-only."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from ratecast.data.table import TableRead, build_table, distinct_names
from ratecast.errors import DataError


def read_database(path: Path, query: str | None) -> TableRead:
    """Read a table of an SQLite database, or what a query gives.

    Args:
        path: the database file; it is never written to.
        query: SQL that gives the table; needed where the database has more than one.

    Raises:
        DataError: if the file is no readable database, the query fails, or there are several tables and no query.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}; check the path")
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)) as connection:
            connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
            return _read(connection, path, query)
    except sqlite3.Error as error:
        if query is None or "not a database" in str(error):
            raise DataError(f"{path} cannot be read as an SQLite database: {error}") from None
        raise DataError(f"the query on {path} failed: {error}; tables: {_tables_hint(path)}") from None


def _read(connection: sqlite3.Connection, path: Path, query: str | None) -> TableRead:
    notes: tuple[str, ...] = ()
    if query is None:
        tables = _tables(connection)
        if not tables:
            raise DataError(f"{path} has no tables; expected a table of reviews")
        if len(tables) > 1:
            raise DataError(f"{path} has {len(tables)} tables: {', '.join(tables)}; choose with --query 'SELECT …'")
        escaped = tables[0].replace('"', '""')
        query = f'SELECT * FROM "{escaped}"'  # noqa: S608 - a quoted name out of the database itself
        notes = (f"read the table {tables[0]!r}",)
    cursor = connection.execute(query)
    if cursor.description is None:
        raise DataError(f"the query on {path} gives no table; expected a SELECT")
    names = distinct_names([column[0] for column in cursor.description])
    rows = cursor.fetchall()
    columns = list(zip(*rows, strict=True)) or [() for _ in names]
    return TableRead(table=build_table(dict(zip(names, columns, strict=True))), source=str(path), notes=notes)


def _tables(connection: sqlite3.Connection) -> list[str]:
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
    return [name for (name,) in found]


def _tables_hint(path: Path) -> str:
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)) as connection:
            return ", ".join(_tables(connection)) or "none"
    except sqlite3.Error:  # the same damage that the query met
        return "not readable"
