"""Acknowledged feedback is never lost: killed processes, databases that go away and come back, full disks."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ratecast.errors import StoreUnavailableError
from ratecast.store import Feedback, Store
from stored import predicted

SUPPORT = Path(__file__).parent.parent / "support"

CHILD = """
import itertools, os, sys, threading
from ratecast.store import Feedback, Store
from stored import predicted

store = Store.open(sys.argv[1])

def work(thread):
    for number in itertools.count():
        name = f"{sys.argv[2]}-{thread}-{number}"
        store.add_predictions([predicted(name), predicted(f"other {name}")])
        store.add_feedback(Feedback(prediction_id=name, rating=number))
        os.write(1, f"{name}\\n".encode())  # so short a line goes through a pipe whole or not at all

for thread in range(3):
    threading.Thread(target=work, args=(thread,)).start()
"""


def check_kept(store: Store, acknowledged: list[str]) -> None:
    """Each is exported once, with the text of its prediction and its rating, the number at the end of its name."""
    table = store.ratings()
    exported = dict(zip(table["text"].to_pylist(), table["rating"].to_pylist(), strict=True))
    assert len(exported) == table.num_rows
    assert {f"text of {name}": float(name.rpartition("-")[2]) for name in acknowledged}.items() <= exported.items()


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.slow
def test_a_process_killed_at_any_moment_loses_nothing_that_it_acknowledged(place: str) -> None:
    draw = random.Random(0)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SUPPORT), *sys.path])}
    acknowledged: list[str] = []
    for life in range(8):
        child = subprocess.Popen([sys.executable, "-c", CHILD, place, str(life)], stdout=subprocess.PIPE, env=environment)
        assert child.stdout is not None
        with child.stdout:
            acknowledged.append(child.stdout.readline().decode().strip())
            time.sleep(draw.uniform(0, 0.4))
            child.send_signal(signal.SIGKILL)
            acknowledged += child.stdout.read().decode().split()
        assert child.wait() == -signal.SIGKILL
    assert len(acknowledged) > 100
    with Store.open(place) as store:
        check_kept(store, acknowledged)


# -- away and back ----------------------------------------------------------------------------------------------------


class Teller:
    """A thread that gives feedback all the time, and remembers what was acknowledged and what was refused."""

    def __init__(self, store: Store) -> None:
        self.acknowledged: list[str] = []
        self.refused: list[str] = []
        self._store = store
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        number = 0
        while not self._stopping.wait(0.002):
            number += 1
            name = f"told-{number}"
            self._store.add_predictions([predicted(name)])
            try:
                self._store.add_feedback(Feedback(prediction_id=name, rating=number))
            except StoreUnavailableError as error:
                self.refused.append(str(error))
            else:
                self.acknowledged.append(name)

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()


@pytest.fixture
def teller(store: Store) -> Iterator[Teller]:
    teller = Teller(store)
    yield teller
    teller.stop()


def test_a_database_that_goes_away_and_comes_back(
    store: Store, teller: Teller, go_away: Callable[[], Callable[[], None]]
) -> None:
    wait_until(lambda: len(teller.acknowledged) > 20)
    bring_back = go_away()
    try:
        wait_until(lambda: len(teller.refused) > 3 and store.counts().failing)
        with pytest.raises(StoreUnavailableError, match="cannot be used now"):
            store.check()
        with pytest.raises(StoreUnavailableError):
            store.ratings()
        before = len(teller.acknowledged)
        start = time.perf_counter()
        store.add_predictions([predicted("meanwhile")])
        assert time.perf_counter() - start < 0.1
    finally:
        bring_back()
    wait_until(lambda: len(teller.acknowledged) > before + 20)
    teller.stop()
    wait_until(lambda: store.flush(1.0))
    counts = store.counts()
    assert counts.failures > 0
    assert (counts.waiting, counts.dropped, counts.refused, counts.failing) == (0, 0, 0, False)
    check_kept(store, ["told-1", *teller.acknowledged])
    assert store.history("meanwhile").prediction.text == "text of meanwhile"
    assert all("cannot be used now" in message for message in teller.refused)


def test_a_file_that_another_process_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ratecast.store.database._BUSY_SECONDS", 0.1)
    with Store.open(tmp_path) as store:
        holder = sqlite3.connect(tmp_path / "ratecast.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match="database is locked"):
            store.add_feedback(Feedback(prediction_id="a", rating=1))
        holder.execute("ROLLBACK")
        holder.close()
        store.add_predictions([predicted("a")])
        assert store.add_feedback(Feedback(prediction_id="a", rating=2))
        assert [entry.rating for entry in store.history("a").feedback] == [2]


# -- a full disk ------------------------------------------------------------------------------------------------------


def test_a_full_disk(small_disk: Path, small_place: str) -> None:
    draw = random.Random(0)
    with Store.open(small_place) as store:
        acknowledged: list[str] = []
        error = None
        while error is None:
            name = f"full-{len(acknowledged)}"
            store.add_predictions([predicted(name, title=draw.randbytes(20_000).hex())])
            try:
                store.add_feedback(Feedback(prediction_id=name, rating=len(acknowledged)))
                acknowledged.append(name)
            except StoreUnavailableError as caught:
                error = caught
        assert len(acknowledged) > 10
        assert "full" in str(error) or "No space left on device" in str(error)

        def is_failing() -> bool:  # what the feedback did not fit into may be room enough for a prediction
            store.add_predictions([predicted(f"further {draw.random()}", title=draw.randbytes(20_000).hex())])
            return store.counts().failing

        wait_until(is_failing)
        check_kept(store, acknowledged)  # reading goes on
        subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
        wait_until(lambda: store.flush(1.0))
        assert store.add_feedback(Feedback(prediction_id=name, rating=len(acknowledged)))
        check_kept(store, [*acknowledged, name])
        assert store.counts().dropped == 0
