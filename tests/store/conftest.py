"""Stores in both kinds of databases."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from postgresql import PostgresServer
from ratecast.config import StoreConfig
from ratecast.store import Store


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty database is, of each kind."""
    if request.param == "sqlite":
        return str(tmp_path / "ratecast.db")
    server: PostgresServer = request.getfixturevalue("postgresql")
    return server.empty()


@pytest.fixture
def open_store(place: str) -> Iterator[Callable[..., Store]]:
    """Opens the same database with any settings, and closes it in the end."""
    opened: list[Store] = []

    def open_one(**settings: Any) -> Store:
        opened.append(Store.open(place, StoreConfig(**settings)))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close(1.0)


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    return open_store()
