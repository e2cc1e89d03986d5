"""Old databases come to the newest schema, and others are refused."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from ratecast.errors import StoreError
from ratecast.store import Decision, Store
from ratecast.store.database import Database
from ratecast.store.schema import metadata
from ratecast.store.upgrade import upgrade
from stored import TORN, predicted


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
    assert len(conditions) == 10
    database.close()


def test_an_older_database_keeps_what_it_holds(place: str) -> None:
    database = Database(place)
    upgrade(database, "0001")
    with database.writing() as connection:
        assert "decisions" not in inspect(connection).get_table_names()
        connection.execute(
            text(
                """INSERT INTO predictions (id, time, model, version, shadow, text, rating, variance, probabilities)
                VALUES ('old', 1700000000000000, 'hotels', '1', false, 'from before', 3.0, 4.0, '{"1": 0.5, "5": 0.5}')"""
            )
        )
        connection.execute(
            text("INSERT INTO feedback (prediction_id, rating, time, source) VALUES ('old', 2, 1700000000000001, '')")
        )
    database.close()
    with Store.open(place) as store:
        found = store.history("old")
        assert (found.prediction.text, found.prediction.probabilities) == ("from before", {1.0: 0.5, 5.0: 0.5})
        assert [entry.rating for entry in found.feedback] == [2]
        assert store.queue_sizes()["all"] == 0
        store.add_predictions([predicted("new", probabilities=TORN)])
        store.add_decision(Decision(prediction_id="old", reviewer="Ann", verdict="correct", rating=1))
        assert store.flush()
        assert [entry.id for entry in store.queue().reviews] == ["new"]
    with Store.open(place) as store:  # nothing is left to be done
        assert store.history("old").decisions


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
    upgrade(database, "0001")
    with database.writing() as connection:
        connection.execute(text("CREATE TABLE decisions (words TEXT)"))  # in the way of the next step, after its new columns
    with pytest.raises(Exception, match="decisions"):
        Store.open(place)
    with database.reading() as connection:
        assert "urgency" not in {column["name"] for column in inspect(connection).get_columns("predictions")}
        assert connection.execute(text("SELECT version_num FROM ratecast_version")).scalar_one() == "0001"
    database.close()


@pytest.mark.slow
def test_many_processes_open_a_new_database_at_once(place: str, tmp_path: Path) -> None:
    code = "import sys; from ratecast.store import Store; Store.open(sys.argv[1]).close()"
    processes = [subprocess.Popen([sys.executable, "-c", code, place], stderr=subprocess.PIPE, text=True) for _ in range(6)]
    assert [(process.communicate(timeout=60)[1], process.returncode) for process in processes] == [("", 0)] * 6
