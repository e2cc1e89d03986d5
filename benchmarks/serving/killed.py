"""Is feedback that was acknowledged there after the service was killed, and how long does it take to be ready again?

    python benchmarks/serving/killed.py --model model/

Clients ask for predictions and tell the right rating of each, as fast as they are answered. At a random moment every process of
the service gets SIGKILL; it is started again on the same port and the same SQLite file, and so on. Then each feedback that was
acknowledged is looked for. A process that is killed loses nothing that the operating system has: this is no test of power cuts.
"""

import argparse
import contextlib
import os
import random
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import httpx
import psutil
from setting import show

from ratecast.errors import UnknownPredictionError
from ratecast.store import Store

REVIEWS: Final = 3
"""Reviews in each request."""
LEAST: Final = 5
"""Feedback that is acknowledged in each round, however slow the machine is; then the service may be killed."""


@dataclass
class Held:
    """What was seen.

    Attributes:
        told: the rating of each prediction whose feedback was acknowledged.
        ready_seconds: from each start to the first answer that it is ready.
        rounds: acknowledged feedback between each start and its kill.
        missing: predictions whose acknowledged feedback is not there, or is another.
        unasked: feedback that is there without having been acknowledged: the answer was cut off.
        integrity: what SQLite says of the file in the end.
    """

    told: dict[str, float] = field(default_factory=dict)
    ready_seconds: list[float] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unasked: int = 0
    integrity: str = ""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--rounds", type=int, default=100, help="how often it is killed")
    parser.add_argument("--workers", default="1,2", help="processes of the service, one after the other")
    arguments = parser.parse_args()
    header = ["processes", "kills", "feedback acknowledged", "of it missing", "kept though cut off", "SQLite's check"]
    header += ["median s to ready", "p95", "longest"]
    rows, before = [], os.getloadavg()[1]
    for workers in map(int, arguments.workers.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            held = hold(arguments.model, Path(folder), arguments.rounds, workers=workers)
        seconds = sorted(held.ready_seconds[1:])
        times = [statistics.median(seconds), seconds[int(0.95 * (len(seconds) - 1))], seconds[-1]]
        found = [len(held.told), len(held.missing), held.unasked, held.integrity]
        rows.append([workers, arguments.rounds, *found, *times])
        print(rows[-1], flush=True)
    show(
        "Killed with SIGKILL under load",
        header,
        rows,
        "killed",
        load="4 clients, 3 reviews a request, feedback on each prediction in a request of its own",
        killed="0 to 2 s after it was ready, or later if less than 5 were acknowledged by then",
        load_average=f"{before:.1f} before, {os.getloadavg()[1]:.1f} after, of which this is a part",
        model_mb=round(sum(path.stat().st_size for path in arguments.model.iterdir()) / 1e6, 1),
    )


def hold(
    model: Path,
    folder: Path,
    rounds: int,
    *,
    workers: int = 1,
    clients: int = 4,
    longest_seconds: float = 2.0,
    seed: int = 0,
    environment: Mapping[str, str] | None = None,
) -> Held:
    """Kill a service so many times while clients use it, and look for what it acknowledged.

    Args:
        model: the model folder.
        folder: where the store is kept.
        rounds: how often it is killed.
        workers: processes of the service.
        clients: how many use it at the same time.
        longest_seconds: how long it lives at most once it is ready, unless too little was acknowledged by then.
        seed: of the moments.
        environment: of the service; that of this process by default.
    """
    draw, held = random.Random(seed), Held()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "ratecast", "serve", str(model), "--store", str(folder), "--port", str(port)]
    command += ["--workers", str(workers)]
    for number in range(rounds + 1):
        print(f"{number} of {rounds}, {len(held.told)} acknowledged", flush=True)
        process = _start(command, f"http://127.0.0.1:{port}", held, environment)
        try:
            if number < rounds:
                held.rounds.append(_use(f"http://127.0.0.1:{port}", process, held, draw.uniform(0, longest_seconds), clients))
            else:
                _check(folder, held)
        finally:
            _kill(process)
    return held


def _start(command: Sequence[str], url: str, held: Held, environment: Mapping[str, str] | None) -> "subprocess.Popen[bytes]":
    started = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)
    with httpx.Client(base_url=url) as client:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if client.get("/readyz").status_code == 200:
                    break
            if process.poll() is not None:
                sys.exit(f"the service ended with status {process.returncode}: {' '.join(command)}")
            time.sleep(0.01)
    held.ready_seconds.append(time.perf_counter() - started)
    return process


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill the service with all of its processes, as when a container is ended; nothing if that was done."""
    if process.poll() is not None:
        return
    alive = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for one in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()
    psutil.wait_procs(alive)


def _use(url: str, process: "subprocess.Popen[bytes]", held: Held, seconds: float, clients: int) -> int:
    """Ask and tell until the service is killed; how much was acknowledged."""
    told: list[tuple[str, float]] = []  # appending is safe in threads
    threads = [threading.Thread(target=_tell, args=(url, told, number)) for number in range(clients)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + seconds
    while time.monotonic() < end or (len(told) < LEAST and time.monotonic() < end + 60):
        time.sleep(0.001)
    _kill(process)
    for thread in threads:
        thread.join()
    held.told.update(told)
    return len(told)


def _tell(url: str, told: list[tuple[str, float]], seed: int) -> None:
    draw = random.Random(f"{seed} {len(told)}")
    with contextlib.suppress(httpx.TransportError), httpx.Client(base_url=url, timeout=30) as client:
        while True:
            reviews = [{"text": f"the room was {draw.choice(('good', 'bad'))}, {draw.random()}"} for _ in range(REVIEWS)]
            answer = client.post("/v1/predict", json={"reviews": reviews})
            for prediction in answer.json()["predictions"] if answer.status_code == 200 else ():
                rating = float(draw.randint(1, 5))
                told_so = client.post("/v1/feedback", json={"prediction_id": prediction["id"], "rating": rating})
                if told_so.status_code == 200:
                    told.append((prediction["id"], rating))


def _check(folder: Path, held: Held) -> None:
    """Look for all that was acknowledged, while the service runs."""
    with Store.open(folder, create=False) as store:
        for prediction_id, rating in held.told.items():
            try:
                history = store.history(prediction_id)
            except UnknownPredictionError:
                held.missing.append(prediction_id)
                continue
            if [one.rating for one in history.feedback] != [rating] or not history.prediction.text:
                held.missing.append(prediction_id)
    with contextlib.closing(sqlite3.connect(folder / "ratecast.db")) as connection:
        (count,) = connection.execute("SELECT count(*) FROM feedback").fetchone()
        held.unasked = count - (len(held.told) - len(held.missing))
        (held.integrity,) = connection.execute("PRAGMA integrity_check").fetchone()


if __name__ == "__main__":
    main()
