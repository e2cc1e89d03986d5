"""How much of a model's speed is left behind HTTP, how long requests take, and what happens when there are too many.

    python benchmarks/serving.py --data-dir ../shared/data --model model/

Requests of one review each come over loopback from this process. Saturated: 32 clients, each of which asks again as soon as it
has its answer. At 70 %: requests come at random moments (Poisson), at that share of the saturated speed of the slower service.
Overload: the same at three times the speed of ratecast's service. The peer is the same model behind FastAPI without batching.
"""

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from setting import show, yelp, yelp_parser

import ratecast

HERE = Path(__file__).parent
CLIENTS = 32
LATE_MS = 2_000.0
Answers = list[tuple[int, float]]


@dataclass
class Measured:
    """What was seen of a service."""

    saturated: float = 0.0
    before_mb: float = 0.0
    after_mb: float = 0.0
    calm: Answers = field(default_factory=list)
    overload: Answers = field(default_factory=list)


def main() -> None:
    """Measure and write."""
    parser = yelp_parser(__doc__ or "")
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each part")
    parser.add_argument("--reviews", type=int, default=500, help="first so many of the test reviews")
    arguments = parser.parse_args()
    texts = yelp(arguments.data_dir, "test").text[: arguments.reviews].tolist()
    model = ratecast.load(arguments.model)
    model.predict(texts[:64])
    alone = max(_speed(model, texts) for _ in range(3))
    del model
    found = {name: Measured() for name in ("ratecast serve", "FastAPI without batching")}
    for name, measured in found.items():
        with service(name, arguments.model) as (url, process):
            asyncio.run(_saturate(url, texts, arguments.seconds, measured))
            measured.before_mb = process.memory_info().rss / 1e6
    calm = 0.7 * min(measured.saturated for measured in found.values())
    overload = 3 * found["ratecast serve"].saturated
    for name, measured in found.items():
        with service(name, arguments.model) as (url, process):
            measured.calm = asyncio.run(_arrive(url, texts, calm, arguments.seconds))
            measured.overload = asyncio.run(_arrive(url, texts, overload, arguments.seconds))
            measured.after_mb = process.memory_info().rss / 1e6
    header = [
        "service",
        "saturated, reviews a second",
        "share of the predictor alone",
        f"at {calm:.0f} a second: median ms",
        "p99 ms",
        "errors",
        f"at {overload:.0f} a second: answered",
        "of them within 2 s",
        "p99 ms of the answered",
        "refused (503)",
        "p99 ms of the refused",
        "other errors",
        "MB before, after",
    ]
    show(
        f"Serving, the predictor alone {alone:.3g} reviews a second",
        header,
        [_row(name, measured, alone) for name, measured in found.items()],
        "serving",
        reviews=f"{len(texts)} of Yelp's test reviews, one a request",
        seconds=f"{arguments.seconds:g} for each part",
        note="clients and service share the two cores",
    )


def _speed(model: ratecast.Predictor, texts: list[str]) -> float:
    started = time.perf_counter()
    model.predict(texts)
    return len(texts) / (time.perf_counter() - started)


def _row(name: str, measured: Measured, alone: float) -> list[Any]:
    calm = [ms for status, ms in measured.calm if status == 200]
    answered = [ms for status, ms in measured.overload if status == 200]
    refused = [ms for status, ms in measured.overload if status == 503]
    others = len(measured.overload) - len(answered) - len(refused)
    return [
        name,
        measured.saturated,
        f"{measured.saturated / alone:.0%}",
        statistics.median(calm) if calm else "–",
        _p99(calm),
        len(measured.calm) - len(calm),
        len(answered),
        f"{sum(ms <= LATE_MS for ms in answered) / max(1, len(answered)):.0%}",
        _p99(answered),
        len(refused),
        _p99(refused),
        others,
        f"{measured.before_mb:.0f}, {measured.after_mb:.0f}",
    ]


def _p99(values: list[float]) -> Any:
    return float(np.percentile(values, 99)) if values else "–"


@contextmanager
def service(name: str, model: Path) -> Iterator[tuple[str, psutil.Process]]:
    """A running service and its process; it is stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    if name == "ratecast serve":
        command = [sys.executable, "-m", "ratecast", "serve", str(model), "--port", port, "--deadline-ms", str(LATE_MS)]
    else:
        command = [sys.executable, "-m", "uvicorn", "plain_service:app", "--port", port, "--log-level", "error"]
    environment = {**os.environ, "MODEL": str(model.resolve())}
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=HERE, env=environment)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                if httpx.get(f"{url}/readyz").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


class Connections:
    """Connections to a service, which are used again and again.

    Bytes are written and read without a library: httpx takes milliseconds for a request, of processors that the service needs.

    Args:
        url: address of the service.
    """

    def __init__(self, url: str) -> None:
        self._host, _, port = url.removeprefix("http://").partition(":")
        self._port = int(port)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, body: bytes) -> tuple[int, float]:
        """Status of the answer, 0 without one, and the milliseconds until it was there."""
        started = time.perf_counter()
        try:
            status = await self._ask(body)
        except (OSError, EOFError):
            status = 0
        return status, 1000 * (time.perf_counter() - started)

    async def _ask(self, body: bytes) -> int:
        while self._idle and self._idle[-1][0].at_eof():  # a service closes what it has not heard of for seconds
            self._idle.pop()[1].close()
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(self._host, self._port)
        head = f"POST /v1/predict HTTP/1.1\r\nhost: {self._host}:{self._port}\r\ncontent-type: application/json\r\n"
        writer.write(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        fields = dict(line.split(b": ", 1) for line in lines[1:] if line)
        await reader.readexactly(int(fields[b"content-length"]))
        if fields.get(b"connection") == b"close":
            writer.close()
        else:
            self._idle.append((reader, writer))
        return int(lines[0].split()[1])


def _bodies(texts: list[str]) -> list[bytes]:
    return [json.dumps({"reviews": [{"text": text}]}).encode() for text in texts]


async def _saturate(url: str, texts: list[str], seconds: float, measured: Measured) -> None:
    connections, bodies = Connections(url), _bodies(texts)
    end = time.perf_counter() + seconds
    answers: Answers = []

    async def ask_on(first: int) -> None:
        row = first
        while time.perf_counter() < end:
            answers.append(await connections.ask(bodies[row % len(bodies)]))
            row += CLIENTS

    started = time.perf_counter()
    await asyncio.gather(*(ask_on(first) for first in range(CLIENTS)))
    measured.saturated = sum(status == 200 for status, _ in answers) / (time.perf_counter() - started)


async def _arrive(url: str, texts: list[str], a_second: float, seconds: float) -> Answers:
    pauses = np.random.default_rng(0).exponential(1 / a_second, size=int(a_second * seconds))
    connections, bodies = Connections(url), _bodies(texts)
    tasks, started = [], time.perf_counter()
    for row, moment in enumerate(np.cumsum(pauses)):
        await asyncio.sleep(max(0.0, started + float(moment) - time.perf_counter()))
        tasks.append(asyncio.create_task(connections.ask(bodies[row % len(bodies)])))
    return await asyncio.gather(*tasks)


if __name__ == "__main__":
    main()
