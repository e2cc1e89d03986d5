"""Tables that the page rates wait with what else the service is asked."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import ratecast
from served import Running, serving

HEADERS = {"x-ratecast-page": "1"}


def rows(count: int) -> bytes:
    texts = ("the movie was great" if row % 2 else f"awful {'and long ' * 50}" for row in range(count))
    return ("text,stars\n" + "".join(f"{text},{row % 5 + 1}\n" for row, text in enumerate(texts))).encode()


def rate(running: Running, content: bytes) -> list[dict[str, Any]]:
    """What the page is told of a table, line by line."""
    address = "/page/table?model=tiny&name=reviews.csv"
    answer = running.client.post(address, content=content, headers=HEADERS)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def predicted(running: Running) -> float:
    """Reviews that the service has predicted, as its metrics have it."""
    lines = running.client.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("ratecast_reviews_total{"))


def test_tables_wait_for_room_and_come_out_as_the_library_rates_them(linear_model: Path) -> None:
    with serving(linear_model, "--max-queue-bytes", "20000") as running, ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda _: rate(running, rows(1000)), range(4)))
        assert predicted(running) == 4000
    expected = ratecast.load(linear_model).predict(["awful " + "and long " * 50, "the movie was great"])
    for lines in told:
        assert [line["done"] for line in lines[:-1]] == sorted({line["done"] for line in lines[:-1]})
        assert lines[-2] == {"done": 1000, "total": 1000}
        result = lines[-1]["result"]
        assert [one["rating"] for one in result["reviews"][:2]] == pytest.approx(expected.rating.tolist())
        assert result["mean"] == pytest.approx(expected.rating.mean())


def test_what_nobody_waits_for_is_not_rated(linear_model: Path) -> None:
    with serving(linear_model) as running:
        address = "/page/table?model=tiny&name=reviews.csv"
        with running.client.stream("POST", address, content=rows(20_000), headers=HEADERS) as answer:
            next(answer.iter_lines())
        (entry,) = [entry for entry in running.logged("request") if entry["path"] == "/page/table"]
        assert entry["status"] == 200
        assert predicted(running) < 20_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (rows(20_001), "found 20,001 reviews; the page rates up to 20,000 at once: use `ratecast predict` for more"),
        (b"text\n" + b"a " * 200 + b"\n" + b"b " * 3000 + b"\n", "review 2 has 6,000 bytes; expected at most 5,000"),
    ],
)
def test_a_table_that_is_too_large_is_refused(linear_model: Path, content: bytes, message: str) -> None:
    with serving(linear_model, "--max-text-bytes", "5000") as running:
        answer = running.client.post("/page/table?model=tiny&name=reviews.csv", content=content, headers=HEADERS)
    assert (answer.status_code, answer.json()) == (422, {"error": message})
