"""A database gets the schema whole, and others are refused."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from ratecast.errors import StoreError
from ratecast.store import Store
from ratecast.store.database import Database
from ratecast.store.schema import NEWEST, metadata
from ratecast.store.upgrade import upgrade
from stored import predicted


def test_the_migrations_make_the_schema(place: str) -> None:
    database = Database(place)
    upgrade(database)
    with database.reading() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": "ratecast_version", "compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []
        indexes = {index["name"]: index for table in metadata.tables for index in inspect(connection).get_indexes(table)}
    assert set(indexes) == {index.name for table in metadata.tables.values() for index in table.indexes}
    conditions = {name for name, index in indexes.items() if any(key.endswith("_where") for key in index["dialect_options"])}
    assert conditions == {"predictions_waiting", "predictions_of_user", "predictions_of_item"}
    database.close()


def test_a_database_of_the_first_schema_is_brought_to_the_newest(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(place)

    def insert(name: str, moment: int) -> None:
        columns = "id, time, model, version, shadow, rating, variance, probabilities, uncertain, surprising"
        values = f"'{name}', {moment}, 'm', '1', false, 4, 0, '{{}}', false, false"
        with database.writing() as connection:
            connection.execute(text(f"INSERT INTO predictions ({columns}) VALUES ({values})"))

    with monkeypatch.context() as older:
        older.setattr("ratecast.store.upgrade.NEWEST", "0001")
        upgrade(database)
        insert("old", 1)
    with Store.open(place) as store:
        found = store.history("old").prediction
        assert found.kept == found.time
        store.add_predictions([predicted("new")])
        assert store.flush()
        insert("late", time.time_ns() // 1000)  # by a process that was started before
        insert("latest but old", 1)
        assert store.delete_older_than(1).predictions == 2
        assert store.has("new")
        assert store.has("late")
        late = store.history("late").prediction
        assert late.kept == late.time
    database.close()


def test_it_is_told_once_and_costs_nothing_when_nothing_is_to_be_done(place: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "ratecast")
    Store.open(place).close()
    (told,) = [record.message for record in caplog.records]
    assert told.endswith(f"was made with the schema {NEWEST}")
    caplog.clear()
    Store.open(place).close()
    assert caplog.records == []
    code = "import sys; from ratecast.store import Store; Store.open(sys.argv[1]).close(); print('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, place], check=True, capture_output=True, text=True).stdout == "False\n"


def test_a_newer_database_is_refused_and_left_alone(place: str) -> None:
    with Store.open(place) as store:
        store.add_predictions([predicted("a")])
    database = Database(place)
    with database.writing() as connection:
        connection.execute(text("UPDATE ratecast_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"was written by a newer ratecast .schema 9999.; update ratecast"):
        Store.open(place)
    with database.reading() as connection:
        assert connection.execute(text("SELECT version_num FROM ratecast_version")).scalar_one() == "9999"
    database.close()


def test_tables_of_somebody_else_are_left_alone(place: str) -> None:
    database = Database(place)
    with database.writing() as connection:
        connection.execute(text("CREATE TABLE feedback (words TEXT)"))
        connection.execute(text("CREATE TABLE alembic_version (version_num TEXT)"))
    with pytest.raises(StoreError, match="has a table 'feedback' that is not ratecast's"):
        Store.open(place)
    with database.reading() as connection:
        assert sorted(inspect(connection).get_table_names()) == ["alembic_version", "feedback"]
    database.close()


def test_an_upgrade_that_fails_changes_nothing(place: str) -> None:
    database = Database(place)
    with database.writing() as connection:  # in the way of the last index
        connection.execute(text("CREATE TABLE orders (number INTEGER)"))
        connection.execute(text("CREATE INDEX decisions_of_prediction ON orders (number)"))
    with pytest.raises(Exception, match="decisions_of_prediction"):
        Store.open(place)
    with database.reading() as connection:
        assert inspect(connection).get_table_names() == ["orders"]
    database.close()


@pytest.mark.slow
def test_many_processes_open_a_new_database_at_once(place: str, tmp_path: Path) -> None:
    code = "import sys; from ratecast.store import Store; Store.open(sys.argv[1]).close()"
    processes = [subprocess.Popen([sys.executable, "-c", code, place], stderr=subprocess.PIPE, text=True) for _ in range(6)]
    assert [(process.communicate(timeout=60)[1], process.returncode) for process in processes] == [("", 0)] * 6
