"""A service whose database goes away, or whose disk is full: it stays up, and loses nothing that it acknowledged."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from postgresql import PostgresServer
from ratecast.store import Store
from served import Running, serving

SECONDS = 30.0


def predict(running: Running, text: str) -> str:
    """The id of a prediction, which the service gives whatever its database does."""
    answer = running.client.post("/v1/predict", json={"reviews": [{"text": text, "user": "jo"}]})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["predictions"][0]["id"])


def tell(running: Running, prediction_id: str, rating: float) -> httpx.Response:
    return running.client.post("/v1/feedback", json={"prediction_id": prediction_id, "rating": rating})


def wait_for(running: Running, prediction_id: str, rating: float) -> None:
    """Give feedback until it is taken."""
    end = time.monotonic() + SECONDS
    while (told := tell(running, prediction_id, rating)).status_code != 200:
        assert told.status_code == 503, told.text
        assert time.monotonic() < end, told.text
        time.sleep(0.2)


def check_refused(told: httpx.Response) -> None:
    assert told.status_code == 503
    assert told.json()["error"]["code"] == "overloaded"
    assert "the feedback could not be kept" in told.json()["error"]["message"]
    assert int(told.headers["retry-after"]) > 0


def check_up(running: Running) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/v1/models", "/"):
        assert running.client.get(path).status_code == 200
    assert not [entry for entry in running.log if entry["level"] == "error"]


def kept(place: str) -> dict[str, float]:
    """The rating of each text that an export has."""
    with Store.open(place, create=False) as store:
        table = store.ratings()
    return dict(zip(table["text"].to_pylist(), table["rating"].to_pylist(), strict=True))


def test_a_database_that_goes_away_and_comes_back(
    linear_model: Path, place: str, go_away: Callable[[], Callable[[], None]]
) -> None:
    with serving(linear_model, "--store", place) as running:
        first = predict(running, "before")
        assert tell(running, first, 4).status_code == 200
        bring_back = go_away()
        try:
            second = predict(running, "meanwhile")
            check_refused(tell(running, second, 2))
            answer = running.client.get("/page/queue?model=tiny")
            assert (answer.status_code, "cannot be used now" in answer.json()["error"]) == (503, True)
            check_up(running)
        finally:
            bring_back()
        wait_for(running, second, 2)
        assert tell(running, first, 5).status_code == 200
        check_up(running)
        assert running.stop() == 0
    assert kept(place) == {"before": 5.0, "meanwhile": 2.0}


def test_a_full_disk(linear_model: Path, small_disk: Path, small_place: str) -> None:
    with serving(linear_model, "--store", small_place) as running:
        acknowledged: dict[str, float] = {}
        while True:
            text = f"{len(acknowledged)} {'and long ' * 4_000}"
            name = predict(running, text)
            if (told := tell(running, name, len(acknowledged) % 5 + 1)).status_code != 200:
                break
            acknowledged[text] = len(acknowledged) % 5 + 1
        check_refused(told)
        assert len(acknowledged) > 5
        predict(running, "meanwhile")
        check_up(running)
        subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
        wait_for(running, name, 3)
        assert running.stop() == 0
    assert kept(small_place) == {**acknowledged, text: 3.0}


@pytest.mark.slow
def test_several_workers_share_a_database_of_postgresql(linear_model: Path, postgresql: PostgresServer) -> None:
    place = postgresql.empty()
    with serving(linear_model, "--store", place, "--workers", "2") as running:
        for number in range(20):  # each over a connection of its own, so that both workers take part
            running.client.headers["connection"] = "close"
            assert tell(running, predict(running, f"text {number}"), number % 5 + 1).status_code == 200
        assert running.stop() == 0
    assert kept(place) == {f"text {number}": number % 5 + 1 for number in range(20)}
