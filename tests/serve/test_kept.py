"""The service with a store: feedback that is acknowledged is kept, and the page shows what is there."""

import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

import ratecast
from ratecast.client import Client
from ratecast.records import Review
from ratecast.serve.keys import add_key
from ratecast.store import Store
from served import serving


def test_feedback_outlives_a_killed_service_and_can_be_learnt_from(linear_model: Path, tmp_path: Path) -> None:
    place = tmp_path / "ratecast.db"
    with serving(linear_model, "--store", place) as running:
        answer = running.client.post("/v1/predict", json={"reviews": [{"text": "the movie was great", "user": "jo"}]})
        (prediction,) = answer.json()["predictions"]
        told = running.client.post("/v1/feedback", json={"prediction_id": prediction["id"], "rating": 4})
        assert told.status_code == 200, told.text
        running.stop(signal.SIGKILL)
    with Store.open(place, create=False) as store:
        table = store.ratings()
    assert table["text"].to_pylist() == ["the movie was great"]
    assert table["rating"].to_pylist() == [4.0]


def test_feedback_of_an_unknown_prediction_is_told(linear_model: Path, tmp_path: Path) -> None:
    with serving(linear_model, "--store", tmp_path) as running:
        told = running.client.post("/v1/feedback", json={"prediction_id": "nothing", "rating": 4})
        assert told.status_code == 404
        assert told.json()["error"]["code"] == "unknown_prediction"
        assert "there is no prediction 'nothing'; expected an id from an answer" in told.json()["error"]["message"]
        described = running.client.get("/openapi.json").json()["paths"]["/v1/feedback"]["post"]["responses"]["404"]
        assert described["description"].startswith("No prediction of this id is kept")
        assert described["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ErrorAnswer"}


def test_feedback_that_is_on_no_scale_is_refused_and_what_is_kept_is_counted(linear_model: Path, tmp_path: Path) -> None:
    with serving(linear_model, "--store", tmp_path) as running:
        answer = running.client.post("/v1/predict", json={"reviews": [{"text": "the movie was great"}]})
        (prediction,) = answer.json()["predictions"]
        told = running.client.post("/v1/feedback", json={"prediction_id": prediction["id"], "rating": 6})
        assert told.status_code == 409
        assert told.json()["error"]["code"] == "rating_outside"
        assert told.json()["error"]["message"] == "expected a rating from 1 to 5, found 6"
        assert running.client.post("/v1/feedback", json={"prediction_id": prediction["id"], "rating": 4.5}).status_code == 200
        lines = running.client.get("/metrics").text.splitlines()
        assert "ratecast_store_written_total 1.0" in lines
        assert {"ratecast_store_dropped_total 0.0", "ratecast_store_failures_total 0.0"} <= set(lines)
        assert any(line.startswith("ratecast_store_waiting ") for line in lines)


def test_the_page_is_served_and_asks_for_a_key_where_there_are_keys(linear_model: Path, tmp_path: Path) -> None:
    with serving(linear_model) as running:
        page = running.client.get("/")
        assert page.status_code == 200
        assert "default-src 'self'" in page.headers["content-security-policy"]
        assert running.client.get("/page/models").status_code == 200
    (tmp_path / "keys.toml").write_text("", encoding="utf-8")
    with serving(linear_model, "--keys", tmp_path / "keys.toml") as running:
        assert running.client.get("/").status_code == 200
        assert running.client.get("/page/models").status_code == 401
    with serving(linear_model, RATECAST_PAGE="false") as running:
        assert running.client.get("/").status_code == 404


def test_a_store_that_cannot_be_opened_is_told_at_once(linear_model: Path, tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "ratecast", "serve", str(linear_model), "--store", "mysql://host/name", "--port", "0"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 2
    assert found.stderr.startswith("ratecast: error:")


def test_reviews_that_come_with_their_ratings_show_where_the_text_says_something_else(
    linear_model: Path, tmp_path: Path
) -> None:
    settings = ("--store", tmp_path, "--uncertain-from", "1", "--surprising-below", "0.9")
    with serving(linear_model, *settings) as running, Client(running.url) as client:
        written = datetime(2026, 1, 5, 12, tzinfo=UTC)
        given = [
            Review(text="the movie was great", rating=1, time=written, item="Hotel"),
            Review(text="the movie was great", rating=5, time=written, item="Hotel"),
        ]
        one, other = client.predict(given)
        assert one.probabilities == other.probabilities
        end = time.monotonic() + 10
        while not (waiting := running.client.get("/page/queue?model=tiny").json()["reviews"]):
            assert time.monotonic() < end
            time.sleep(0.1)
        assert [(found["stars"], found["reasons"]) for found in waiting] == [(1, ["surprising"])]
        assert running.client.get(f"/page/products?model=tiny&offset={10**22}").status_code == 422
        (trend,) = running.client.get("/page/trend?model=tiny&item=Hotel&by=day").json()
        assert (trend["start"], trend["reviews"]) == ("2026-01-05", 2)
        refused = running.client.post("/v1/predict", json={"reviews": [{"text": "a", "rating": 6}]})
        assert (refused.status_code, refused.json()["error"]["message"]) == (
            409,
            "review 0 came with the rating 6; expected one from 1 to 5",
        )
        for wrong in (1767225600, "1767225600", "1612010912345", "yesterday", "0001-01-01T00:00:00+14:00", True):
            refused = running.client.post("/v1/predict", json={"reviews": [{"text": "a", "time": wrong}]})
            assert refused.status_code == 422
            assert "reviews.0.time: Value error, expected a time" in refused.json()["error"]["message"]
        for right in ("2026-01-31", "2026-01-31t12:00:00z", "9999-12-31T23:59:59.999999-00:00", "0001-01-01T00:00:00Z"):
            answer = running.client.post("/v1/predict", json={"reviews": [{"text": "a", "time": right}]})
            assert answer.status_code == 200, answer.text


def test_a_decision_names_the_key_that_it_came_with(linear_model: Path, tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys.toml", "desk", ("predict", "feedback"))
    with serving(linear_model, "--store", tmp_path, "--keys", tmp_path / "keys.toml") as running:
        running.client.headers.update({"authorization": f"Bearer {key}", "x-ratecast-page": "1"})
        answer = running.client.post("/v1/predict", json={"reviews": [{"text": "the movie was great"}]})
        name = answer.json()["predictions"][0]["id"]
        running.client.post("/v1/feedback", json={"prediction_id": name, "rating": 4})  # with which it is written
        told = running.client.post("/page/decisions", json={"prediction_id": name, "reviewer": "Ann", "verdict": "accept"})
        assert told.status_code == 200, told.text
        nobody = running.client.post("/page/decisions", json={"prediction_id": name, "reviewer": " ", "verdict": "accept"})
        assert nobody.status_code == 422
        (found,) = running.client.get("/page/decisions").json()
    assert found["decision"]["reviewer"] == "Ann (key desk)"


def test_intervals_are_those_of_the_library(tiny_model: Path, tmp_path: Path) -> None:
    texts = ["the movie was great", "the staff was awful"]
    expected = ratecast.load(tiny_model).predict(texts).interval
    assert expected is not None
    with serving(tiny_model, "--store", tmp_path) as running:
        content = running.client.post("/v1/predict", json={"reviews": [{"text": text} for text in texts]}).json()
        found = [one["interval"] for one in content["predictions"]]
        name = content["predictions"][0]["id"]
        assert running.client.post("/v1/feedback", json={"prediction_id": name, "rating": 4}).status_code == 200
        assert running.client.get("/v1/models").json()["models"][0]["coverage"] == 0.9
    np.testing.assert_allclose(found, expected)
    with Store.open(tmp_path, create=False) as store:
        assert store.history(name).prediction.interval == tuple(expected[0])
