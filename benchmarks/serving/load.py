"""A service in a process of its own, and clients that ask it from this one, each on its own cores."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil

HERE = Path(__file__).resolve().parent
START_SECONDS = 120.0
PATIENCE_SECONDS = 30.0
"""How long answers are waited for after the last request; what is not there by then counts as none."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of a request.

    Attributes:
        status: of HTTP; 0 without an answer.
        ms: from asking to the whole answer.
    """

    status: int
    ms: float


@dataclass(frozen=True, kw_only=True)
class Cores:
    """Which processors the service has, and which the clients."""

    service: Sequence[int]
    clients: Sequence[int]

    @classmethod
    def divided(cls, *, shared: bool = False) -> "Cores":
        """All but the last for the service and the last for the clients; or all for both."""
        cores = sorted(os.sched_getaffinity(0))
        if shared or len(cores) == 1:
            return cls(service=cores, clients=cores)
        return cls(service=cores[:-1], clients=cores[-1:])

    def describe(self) -> str:
        """A line for the results."""
        if self.service == self.clients:
            return f"service and clients share {len(self.service)}"
        return f"{len(self.service)} for the service, {len(self.clients)} for the clients"


@contextlib.contextmanager
def kept_to(cores: Sequence[int]) -> Iterator[None]:
    """This process, and what it starts meanwhile, on these processors alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def running(command: Sequence[str], cores: Cores, log: Path) -> Iterator[tuple[str, psutil.Process]]:
    """A service that is ready, its address and its process; it is stopped at the end, with all that it started.

    Args:
        command: with ``{port}`` in place of the port.
        cores: the processors of the service.
        log: where its messages go.

    Raises:
        RuntimeError: if it ends, or is not ready within two minutes.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"PYTHONPATH": str(HERE)}
    with kept_to(cores.service), log.open("wb") as messages:
        filled = [part.replace("{port}", str(port)) for part in command]
        process = subprocess.Popen(filled, stdout=messages, stderr=messages, env=environment)
    try:
        _wait_ready(f"http://127.0.0.1:{port}/readyz", process, log)
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        _stop(process)


def memory_mb(process: psutil.Process) -> float:
    """Memory of a process and all that it started, what they share counted once."""
    total = 0.0
    for one in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += one.memory_full_info().pss / 1e6
    return total


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

    async def ask(self, body: bytes) -> Answer:
        """Ask for predictions."""
        started = time.perf_counter()
        try:
            status = await self._ask(body)
        except (OSError, EOFError):
            status = 0
        return Answer(status=status, ms=1000 * (time.perf_counter() - started))

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


def bodies(texts: Sequence[str]) -> list[bytes]:
    """A request of one review for each text."""
    return [json.dumps({"reviews": [{"text": text}]}).encode() for text in texts]


async def saturate(url: str, requests: Sequence[bytes], seconds: float, clients: int) -> tuple[list[Answer], float]:
    """The answers to clients that each ask again as soon as they are answered, and the seconds that it took."""
    connections = Connections(url)
    started = time.perf_counter()
    answers: list[Answer] = []

    async def ask_on(row: int) -> None:
        while time.perf_counter() < started + seconds:
            answers.append(await connections.ask(requests[row % len(requests)]))
            row += clients

    await asyncio.gather(*(ask_on(first) for first in range(clients)))
    return answers, time.perf_counter() - started


async def arrive(url: str, requests: Sequence[bytes], a_second: float, seconds: float, seed: int = 0) -> list[Answer]:
    """The answers to requests that come at random moments (Poisson), so many a second."""
    pauses = np.random.default_rng(seed).exponential(1 / a_second, size=int(a_second * seconds))
    connections, tasks, started = Connections(url), [], time.perf_counter()
    for row, moment in enumerate(np.cumsum(pauses)):
        await asyncio.sleep(max(0.0, started + float(moment) - time.perf_counter()))
        tasks.append(asyncio.create_task(connections.ask(requests[row % len(requests)])))
    done, late = await asyncio.wait(tasks, timeout=PATIENCE_SECONDS)
    for task in late:
        task.cancel()
    return [task.result() for task in done] + [Answer(status=0, ms=1000 * PATIENCE_SECONDS)] * len(late)


def _wait_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url).status_code == 200:
                return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    lines = log.read_text(errors="replace").strip().splitlines()
    raise RuntimeError(f"it was not ready: {lines[-1] if lines else 'it said nothing'}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    try:
        started = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        started = []
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for one in psutil.wait_procs(started, timeout=5)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()


def ratecast_command(model: Path, *flags: str) -> list[str]:
    """How the service of a model folder is started."""
    return [sys.executable, "-m", "ratecast", "serve", str(model), "--port", "{port}", *flags]
