"""SQLite databases."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ratecast.data.read import read_table
from ratecast.errors import DataError


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "shop 100% #1.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE reviews (text TEXT, stars INTEGER, price REAL, raw BLOB)")
        rows = [("fine", 4, 1.5, b"a\xff"), ("ok 🎉", 3, None, None), (None, None, 2.0, b"")]
        connection.executemany("INSERT INTO reviews VALUES (?, ?, ?, ?)", rows)
        connection.commit()
    return path


def add_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute('CREATE TABLE "other table" (a)')
        connection.commit()


def test_a_single_table_needs_no_query(database: Path) -> None:
    read = read_table(database)
    assert read.table["text"].to_pylist() == ["fine", "ok 🎉", None]
    assert read.table["stars"].to_pylist() == [4, 3, None]
    assert read.table["price"].to_pylist() == [1.5, None, 2.0]
    assert read.table["raw"].to_pylist() == ["a\ufffd", None, ""]
    assert read.notes == ("read the table 'reviews'",)


def test_several_tables_are_listed(database: Path) -> None:
    add_table(database)
    with pytest.raises(DataError, match=r"2 tables: other table, reviews; choose with --query"):
        read_table(database)


def test_a_query_chooses(database: Path) -> None:
    add_table(database)
    read = read_table(str(database), query="SELECT text AS body, stars, stars FROM reviews WHERE stars > 3")
    assert read.table.column_names == ["body", "stars", "stars_2"]
    assert read.table["body"].to_pylist() == ["fine"]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELEC text", "syntax error; tables: reviews"),
        ("SELECT text FROM nowhere", "no such table: nowhere; tables: reviews"),
        ("DELETE FROM reviews", "readonly"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("", "gives no table"),
        ("SELECT * FROM reviews WHERE stars > 9", "no rows"),
    ],
)
def test_bad_queries_are_told(database: Path, query: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_table(database, query=query)
    assert read_table(database).table.num_rows == 3


def test_what_is_no_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "reviews.db"
    with pytest.raises(DataError, match="there is no file"):
        read_table(path)
    assert not path.exists()
    path.write_bytes(b"text,stars\n" * 200)
    for query in (None, "SELECT 1 FROM a"):
        with pytest.raises(DataError, match="not a database"):
            read_table(path, query=query)


def test_a_damaged_database_is_told(database: Path) -> None:
    content = bytearray(database.read_bytes())
    content[100:600] = b"\xff" * 500  # the page that names the tables
    database.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as an SQLite database"):
        read_table(database)
    with pytest.raises(DataError, match=r"the query on .* failed: .*; tables: not readable"):
        read_table(database, query="SELECT text FROM reviews")


def test_a_database_without_tables_is_told(tmp_path: Path) -> None:
    path = tmp_path / "empty.sqlite"
    path.write_bytes(b"")
    with pytest.raises(DataError, match="has no tables"):
        read_table(path)


def test_a_query_on_anything_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text("text\na\n")
    with pytest.raises(DataError, match="a query needs a database"):
        read_table(tmp_path / "reviews.csv", query="SELECT 1")
