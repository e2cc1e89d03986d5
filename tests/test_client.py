"""The client, against a real service."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import ratecast
from ratecast.client import AsyncClient, Client, ServiceError
from ratecast.errors import ConfigError, DataError
from ratecast.records import Review
from ratecast.serve.keys import add_key
from served import Running, serving, write_linear_model


@pytest.fixture(scope="module")
def model(tiny_reviews: tuple[list[str], list[float]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_linear_model(tmp_path_factory.mktemp("client") / "tiny", *tiny_reviews)


@pytest.fixture(scope="module")
def service(model: Path) -> Iterator[Running]:
    with serving(model) as running:
        yield running


def test_both_clients_answer_as_the_library_does(service: Running, model: Path) -> None:
    reviews: list[str | Review] = ["the movie was great", Review(text="awful", title="Bad", columns={"a": 1.0})]
    expected = ratecast.load(model).predict([Review(text="the movie was great"), Review(text="awful", title="Bad")])

    async def ask() -> list[float]:
        async with AsyncClient(service.url) as client:
            assert (await client.models())[0]["name"] == "tiny"
            return [one.rating for one in await client.predict(reviews)]

    with Client(service.url) as client:
        answer = client.predict(reviews, model="tiny", deadline_ms=9000)
        assert client.models()[0]["version"] == answer.version
    assert [one.rating for one in answer] == pytest.approx(expected.rating.tolist())
    assert answer[0].probabilities == pytest.approx(expected[0].probabilities)
    assert asyncio.run(ask()) == pytest.approx(expected.rating.tolist())


def test_what_another_try_cannot_mend_is_raised_at_once(service: Running) -> None:
    with Client(service.url, retries=50) as client:
        with pytest.raises(ServiceError, match="there is no model 'other'") as found:
            client.predict(["good"], model="other")
        assert (found.value.status, found.value.code) == (404, "unknown_model")
        with pytest.raises(ServiceError, match="--store"):
            client.feedback("a", 4)


def test_what_cannot_be_sent_is_told_before_it_is(service: Running) -> None:
    with Client(service.url) as client:
        with pytest.raises(DataError, match="expected a list of texts, found one string"):
            client.predict("good")
        with pytest.raises(DataError, match="expected texts or reviews, found NoneType at 1"):
            client.predict(["good", None])  # type: ignore[list-item] # as somebody without a type checker would
        with pytest.raises(DataError, match="cannot be sent as JSON"):
            client.feedback("a", float("nan"))
        with pytest.raises(ServiceError, match="surrogate"):
            client.predict(["\ud800"])
    with pytest.raises(ConfigError, match="expected an address such as"):
        Client("127.0.0.1:8000")


def test_it_waits_for_a_service_that_is_being_started(model: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with Client(url, retries=1) as client, pytest.raises(ServiceError, match="cannot reach"):
        client.predict(["good"])
    found = []

    def ask() -> None:
        with Client(url, retries=12) as client:
            found.append(client.predict(["good"]))

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.3)
    with serving(model, "--port", url.rpartition(":")[2]):
        thread.join(60)
    assert len(found) == 1


def test_both_clients_wait_as_long_as_a_busy_service_asks(model: Path, tmp_path: Path) -> None:
    keys = {name: add_key(tmp_path / "keys.toml", name, ("predict",)) for name in ("waits", "asks", "hurries")}
    with serving(model, "--keys", tmp_path / "keys.toml", "--reviews-per-minute", "20") as running:

        def ask() -> float:
            with Client(running.url, key=keys["waits"], retries=2) as client:
                client.predict(["good"] * 20)  # all of a minute at once
                started = time.monotonic()
                client.predict(["good"])
                return time.monotonic() - started

        async def ask_too() -> float:
            async with AsyncClient(running.url, key=keys["asks"], retries=2) as client:
                await client.predict(["good"] * 20)
                started = time.monotonic()
                await client.predict(["good"])
                return time.monotonic() - started

        assert 1.0 <= ask() < 20  # Retry-After: 3, or less on a slow machine, where the pause of its own is 0.2 s at most
        assert 1.0 <= asyncio.run(ask_too()) < 20
        with Client(running.url, key=keys["hurries"], retries=0) as client:
            client.predict(["good"] * 20)
            with pytest.raises(ServiceError, match=r"try again in [123] s") as found:
                client.predict(["good"])
        assert (found.value.status, found.value.code) == (429, "rate_limited")
        logged = running.logged("request", least=8)
        statuses = [entry["status"] for entry in logged if entry["key"] != "hurries"]
        assert sorted(statuses) == [200, 200, 200, 200, 429, 429]
        assert found.value.request_id in [entry["request_id"] for entry in logged]
