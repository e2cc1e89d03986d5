"""Stores in both kinds of databases."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ratecast.config import StoreConfig
from ratecast.store import Store


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
