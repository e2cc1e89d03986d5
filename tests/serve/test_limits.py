"""Clients that are too many, too large or gone, with the limits that the service has by default or low ones."""

import asyncio
import contextlib
import http.client
import json
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

import ratecast
from ratecast.config import LimitsConfig
from ratecast.serve.files import possible_connections
from ratecast.serve.gate import Gate
from ratecast.serve.keys import add_key
from ratecast.serve.metrics import Metrics
from ratecast.serve.rates import Rates
from ratecast.serve.tracing import Tracing
from served import Running, connect, received, serving


def metric(running: Running, name: str) -> float:
    lines = running.client.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def test_more_connections_than_there_may_be_are_refused(linear_model: Path) -> None:
    with serving(linear_model, "--max-connections", "4") as running:
        held = [connect(running) for _ in range(4)]
        with connect(running) as further:
            answer = received(further)
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in answer
        for connection in held:
            connection.close()
        end = time.monotonic() + 10
        while True:
            with contextlib.suppress(httpx.TransportError):  # refused while it was sent
                if running.client.get("/healthz").status_code == 200:
                    break
            assert time.monotonic() < end
            time.sleep(0.05)


def test_connections_are_no_more_than_the_files_that_the_system_allows(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = [256, 1024]

    def change(_: int, wanted: tuple[int, int]) -> None:
        if wanted[0] > 900:
            raise ValueError("not allowed to raise maximum limit")
        limits[:] = wanted

    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", change)
    assert possible_connections(100) == 100
    assert limits == [256, 1024]
    assert possible_connections(500) == 500
    assert limits == [600, 1024]
    assert possible_connections(5000) == 500  # it may not be raised so far
    assert "the system allows 600 open files: at most 500 connections are taken in place of 5000" in caplog.text
    limits[:] = [256, resource.RLIM_INFINITY]
    assert possible_connections(700) == 700
    limits[:] = [resource.RLIM_INFINITY, resource.RLIM_INFINITY]
    assert possible_connections(5000) == 5000


def test_bodies_that_never_end_leave_room_again_when_their_time_is_over(linear_model: Path) -> None:
    with serving(linear_model, "--max-reading-bytes", "20000", "--max-body-seconds", "10") as running:
        head = (
            b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 30000\r\n\r\n"
        )
        with connect(running) as slow:
            slow.sendall(head + b" " * 15_000)
            large = {"reviews": [{"text": "a" * 10_000}]}
            while (answer := running.client.post("/v1/predict", json=large)).status_code == 200:
                time.sleep(0.05)  # until it has read so much of the other one
            assert (answer.status_code, answer.headers["connection"]) == (503, "close")
            assert answer.json()["error"]["message"] == "too many bodies are being read; try again in 1 s"
            assert running.client.post("/v1/predict", json={"reviews": [{"text": "a"}]}).status_code == 200
            assert received(slow).startswith(b"HTTP/1.1 408")
        assert running.client.post("/v1/predict", json={"reviews": [{"text": "a" * 10_000}]}).status_code == 200


def test_bodies_that_need_no_key_are_hardly_read(linear_model: Path, tmp_path: Path) -> None:
    add_key(tmp_path / "keys.toml", "shop")
    with serving(linear_model, "--keys", tmp_path / "keys.toml") as running:
        for path in ("/healthz", "/page/static/page.js", "/"):
            assert running.client.post(path, content=b"a" * 1025).status_code == 413
            assert running.client.post(path, content=b"a").status_code == 405
        assert running.client.post("/v1/predict", content=b"a" * 1025).status_code == 401


def test_ten_thousand_texts_and_fifty_megabytes_are_refused(linear_model: Path) -> None:
    with serving(linear_model) as running:
        many = running.client.post("/v1/predict", json={"reviews": [{"text": "good"}] * 10_000})
        assert (many.status_code, many.json()["error"]["code"]) == (413, "too_many_reviews")
        with connect(running) as connection:
            body = json.dumps({"reviews": [{"text": "a" * 50_000_000}]}).encode()
            head = f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            with contextlib.suppress(OSError):  # it is refused before all of it is sent
                connection.sendall(head + body)
            assert connection.recv(65536).startswith(b"HTTP/1.1 413")
        assert running.client.get("/healthz").status_code == 200


def test_a_deadline_that_passes_is_told(linear_model: Path) -> None:
    with serving(linear_model) as running:
        answer = running.client.post("/v1/predict", json={"reviews": [{"text": "good"}] * 500, "deadline_ms": 0.01})
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_passed")
        tensor = {"name": "text", "shape": [500], "datatype": "BYTES", "data": ["good"] * 500}
        body = {"inputs": [tensor], "parameters": {"deadline_ms": 0.01}}
        assert running.client.post("/v2/models/tiny/infer", json=body).status_code == 504
        for wrong in (0, -1, "1", True, 1e400, 10**400):
            content = json.dumps({"inputs": [tensor], "parameters": {"deadline_ms": wrong}}).replace("Infinity", "1e400")
            headers = {"content-type": "application/json"}
            refused = running.client.post("/v2/models/tiny/infer", content=content, headers=headers)
            assert refused.status_code == 400
            assert "deadline_ms to be a number above 0" in refused.json()["error"]


def test_requests_of_clients_that_went_away_are_counted(linear_model: Path) -> None:
    with serving(linear_model, "--wait-ms", "3000") as running:  # nothing is predicted before that
        with connect(running) as connection:
            body = json.dumps({"reviews": [{"text": "good"}]}).encode()
            head = "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
            connection.sendall(f"{head}{len(body)}\r\n\r\n".encode() + body)
            time.sleep(0.3)
        end = time.monotonic() + 10
        while metric(running, "ratecast_cancelled_total") != 1:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert metric(running, "ratecast_queue_requests") == 0
        assert metric(running, "ratecast_batches_total") == 0


def test_two_models_answer_side_by_side(linear_model: Path, contrary_model: Path) -> None:
    texts = [f"the movie was {word} {number}" for number, word in enumerate(("great", "awful") * 10)]
    with serving(f"shop={linear_model}", f"films={contrary_model}", "--wait-ms", "20") as running:

        def ask(number: int) -> tuple[int, float]:
            body = {"reviews": [{"text": texts[number]}], "model": ("shop", "films")[number % 3 == 0]}
            return number, running.client.post("/v1/predict", json=body).raise_for_status().json()["predictions"][0]["rating"]

        with ThreadPoolExecutor(8) as pool:
            found = dict(pool.map(ask, range(len(texts))))
    expected = [ratecast.load(folder).predict(texts).rating for folder in (linear_model, contrary_model)]
    for number, rating in found.items():
        assert rating == pytest.approx(expected[number % 3 == 0][number])
    assert abs(expected[0] - expected[1]).max() > 0.5


@pytest.mark.parametrize("size", [1_200_000, 50_000_000])
def test_a_client_that_sends_all_first_hears_that_it_is_too_much(linear_model: Path, size: int) -> None:
    with serving(linear_model, "--max-body-bytes", "1000000") as running:
        connection = http.client.HTTPConnection(running.client.base_url.host, running.client.base_url.port, timeout=20)
        connection.request("POST", "/v1/predict", b" " * size, {"content-type": "application/json"})
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["error"]["code"]) == (413, "body_too_large")
        connection.close()
        assert running.client.get("/healthz").status_code == 200


def test_a_request_that_is_cut_off_when_the_service_leaves_is_told(linear_model: Path) -> None:
    sent: list[Any] = []

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(60)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    limits, metrics = LimitsConfig(), Metrics()
    gate = Gate(
        slow,
        limits=limits,
        keys=None,
        metrics=metrics,
        rates=Rates(limits, metrics),
        tracing=Tracing(),
        is_leaving=lambda: True,
        check_room=lambda _: None,
        log_bodies=False,
    )
    scope = {"type": "http", "method": "POST", "path": "/v1/predict", "headers": [(b"host", b"localhost")]}

    async def work() -> None:
        task = asyncio.create_task(gate(scope, receive, send))
        await asyncio.sleep(0.05)
        task.cancel()  # as the server does when its time to leave is over
        await task

    asyncio.run(work())
    assert sent[0]["status"] == 503
    assert json.loads(sent[1]["body"])["error"]["message"] == "the service is being stopped; try again in 1 s"
