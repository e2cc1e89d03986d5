"""Several processes behind one port: what they share, and what happens when one of them dies or all are stopped."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from ratecast.config import ServeConfig
from ratecast.processors import available_processors
from ratecast.serve.keys import SCOPES, add_key
from ratecast.serve.run import worker_config
from ratecast.store import Store
from served import SECONDS, Running, serving

pytestmark = pytest.mark.slow
ONE = {"reviews": [{"text": "the movie was great"}]}


class Pair(Running):
    """A service of two workers whose every request is a connection of its own."""

    headers: dict[str, str]

    def ask(self, method: str, path: str, **content: Any) -> httpx.Response:
        return httpx.request(method, f"{self.url}{path}", headers=self.headers, timeout=SECONDS, **content)

    def who(self, answer: httpx.Response) -> int:
        """Number of the worker that answered."""
        until(lambda: bool(self._entries(answer)))
        return int(self._entries(answer)[0]["worker"])

    def number(self, line: str) -> float:
        """A value of the metrics."""
        found = [one for one in self.ask("GET", "/metrics").text.splitlines() if one.startswith(f"{line} ")]
        return float(found[0].rpartition(" ")[2]) if found else 0.0

    def version(self) -> str:
        return str(self.ask("GET", "/v1/models").json()["models"][0]["version"])

    def workers(self) -> list[psutil.Process]:
        return [child for child in psutil.Process(self.process.pid).children() if "spawn_main" in " ".join(child.cmdline())]

    def _entries(self, answer: httpx.Response) -> list[dict[str, Any]]:
        return [entry for entry in self.log if entry.get("request_id") == answer.headers["x-request-id"]]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def store(folder: Path) -> Path:
    return folder / "ratecast.db"


@pytest.fixture(scope="module")
def pair(linear_model: Path, store: Path, folder: Path) -> Iterator[Pair]:
    file = folder / "keys.toml"
    key = add_key(file, "shop", SCOPES, reviews_per_minute=100_000)
    flags = ("--workers", "2", "--keys", file, "--store", store, "--deadline-ms", "60000")
    with serving(linear_model, *flags, TMPDIR=str(folder), kind=Pair) as running:
        running.headers = {"authorization": f"Bearer {key}"}
        yield running


def test_workers_share_the_port_and_what_they_count(pair: Pair) -> None:
    assert len(pair.logged("serving")) == 1
    before = pair.number('ratecast_reviews_total{model="tiny",version="' + pair.version() + '"}')
    counts = [0, 0]
    while min(counts) < 5:
        answer = pair.ask("POST", "/v1/predict", json=ONE)
        assert answer.status_code == 200, answer.text
        counts[pair.who(answer)] += 1
        assert sum(counts) < 500, "one worker does nearly all"
    for _ in range(6):  # whoever is asked
        assert pair.number('ratecast_reviews_total{model="tiny",version="' + pair.version() + '"}') == before + sum(counts)
        assert pair.number("ratecast_workers") == 2
    until(lambda: pair.number("ratecast_batch_reviews_total") == before + sum(counts))


def test_workers_share_the_limits_of_keys(pair: Pair) -> None:
    assert pair.ask("POST", "/v1/predict", json=ONE).headers["ratelimit-policy"] == '"reviews";q=50000;w=60'


def test_feedback_is_taken_by_another_worker_than_predicted(pair: Pair, store: Path) -> None:
    crossed, told = 0, []
    while crossed < 3:
        predicted = pair.ask("POST", "/v1/predict", json=ONE)
        told.append(predicted.json()["predictions"][0]["id"])
        feedback = pair.ask("POST", "/v1/feedback", json={"prediction_id": told[-1], "rating": 4})
        assert feedback.status_code == 200, feedback.text
        crossed += pair.who(predicted) != pair.who(feedback)
        assert len(told) < 200
    with Store.open(store, create=False) as kept:
        assert [kept.history(one).feedback[0].rating for one in told] == [4.0] * len(told)
    unknown = pair.ask("POST", "/v1/feedback", json={"prediction_id": "nothing", "rating": 4})
    assert unknown.status_code == 404


def test_a_worker_that_dies_is_started_again_and_counts_on(pair: Pair) -> None:
    line = 'ratecast_requests_total{route="/v1/models",status="200"}'
    for _ in range(20):
        assert pair.ask("GET", "/v1/models").status_code == 200
    before = pair.number(line)
    for again in (0.5, 1.0):
        max(pair.workers(), key=psutil.Process.create_time).kill()  # the second time the one that was started again
        until(lambda: pair.logged("a worker ended")[-1]["again_in_seconds"] == again)  # noqa: B023 - called at once
        assert pair.number("ratecast_workers") == 1
        assert pair.number(line) == before
        for _ in range(10):
            assert pair.ask("GET", "/v1/models").status_code == 200, "the other one goes on"
        before += 10
        until(lambda: pair.number("ratecast_workers") == 2)
        assert pair.number(line) == before


def test_all_load_models_anew_when_told_to(pair: Pair) -> None:
    def loaded() -> list[int]:
        return sorted(entry["worker"] for entry in pair.log if entry["message"] == "models loaded anew")

    pair.process.send_signal(signal.SIGHUP)
    until(lambda: loaded() == [0, 1])
    answer = pair.ask("POST", "/v1/models/reload", json={})
    assert answer.status_code == 200, answer.text
    until(lambda: loaded() == sorted([0, 0, 1, 1, pair.who(answer)]))
    assert pair.number('ratecast_reloads_total{result="done"}') == 5
    assert [entry["message"] for entry in pair.log if entry["level"] == "warning"] == ["a worker ended"] * 2


def test_all_are_drained_after_sigterm_and_nothing_is_left(pair: Pair, folder: Path) -> None:
    """Has to be the last one that uses the pair."""
    reviews = {"reviews": [{"text": f"the movie was good {number} " * 60} for number in range(1000)]}
    assert len(list(folder.glob("ratecast-metrics-*"))) == 1
    workers = pair.workers()
    answers: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(pair.ask("POST", "/v1/predict", json=reviews))) for _ in range(6)]
    for thread in threads:
        thread.start()
    until(lambda: pair.number("ratecast_queue_requests") == 6)
    assert pair.stop(signal.SIGTERM) == 0
    for thread in threads:
        thread.join(SECONDS)
    assert [answer.status_code for answer in answers] == [200] * 6
    assert {pair.who(answer) for answer in answers} == {0, 1}
    assert pair.log[-1]["message"] == "stopped"
    assert not [worker for worker in workers if worker.is_running()]
    assert not list(folder.glob("ratecast-metrics-*"))


def test_workers_leave_when_their_supervisor_was_killed(linear_model: Path, tmp_path: Path) -> None:
    with serving(linear_model, "--workers", "2", TMPDIR=str(tmp_path), kind=Pair) as running:
        workers = running.workers()
        assert len(workers) == 2
        running.process.kill()
        _, alive = psutil.wait_procs(workers, SECONDS)
        assert not alive
        until(lambda: not list(tmp_path.glob("ratecast-metrics-*")))


def test_why_no_worker_can_start_is_told() -> None:
    command = [sys.executable, "-m", "ratecast", "serve", "nowhere", "--workers", "2", "--port", "0"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3 * SECONDS)
    assert found.returncode == 2
    assert found.stderr.splitlines()[-1].startswith("ratecast: error: there is no model folder nowhere")


def test_processors_are_divided_and_one_worker_deletes_what_is_old() -> None:
    config = ServeConfig().with_values(workers=3, retention_days=9.0)
    assert [worker_config(config, number).keeping.retention_days for number in range(3)] == [9.0, None, None]
    assert worker_config(config, 1).threads == max(1, available_processors() // 3)
    assert worker_config(config.with_values(workers=1), 0).threads == available_processors()
    assert worker_config(config.with_values(threads=5), 1).threads == 5
