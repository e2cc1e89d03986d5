"""A model that is fitted in a blink, and the service as a process of its own."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, overload
from urllib.parse import urlsplit

import httpx
import numpy as np

import ratecast
from ratecast.baseline.linear import RegressionTask, fit_logistic
from ratecast.combine.blend import Blend
from ratecast.model.store import Manifest, create_component, write_manifest
from ratecast.records import Reviews
from ratecast.scale import RatingScale

SECONDS = 60.0
"""Longest time that anything may take here; the machine may be busy."""


def write_linear_model(folder: Path, texts: list[str], ratings: list[float], *, seed: int = 0, written: str = "1..5") -> Path:
    """A model folder with a linear model alone, which needs neither torch nor a backbone."""
    folder.mkdir(parents=True)
    scale = RatingScale.parse(written, ratings)
    train, validation = Reviews.from_texts(texts[::2], ratings[::2]), Reviews.from_texts(texts[1::2], ratings[1::2])
    model = fit_logistic(RegressionTask(train, validation, scale), seed, penalties=[1.0])
    blend = Blend(members=("linear",), weights=np.ones(1), bias=np.zeros(len(scale)))
    parts = (
        create_component(folder, "linear", "linear", model.save(folder, "linear")),
        create_component(folder, "blend", "blend", blend.save(folder, "blend")),
    )
    write_manifest(
        folder, Manifest(scale=scale, components=parts, chain=("blend",), about={"reviews": len(texts), "seed": seed})
    )
    return folder


class Running:
    """A service that runs, and what it logged."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[str] = []
        self.url = ""
        self._up = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._up.wait(SECONDS) or not self.url:
            process.kill()
            raise RuntimeError(f"the service did not start: {self.lines}")
        self.client = httpx.Client(base_url=self.url, timeout=SECONDS)

    @property
    def log(self) -> list[dict[str, Any]]:
        """The log's objects."""
        return [json.loads(line) for line in self.lines]

    def logged(self, message: str, *, least: int = 1) -> list[dict[str, Any]]:
        """The objects with this message, once there are so many: an answer is sent before it is logged."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            found = [entry for entry in self.log if entry["message"] == message]
            if len(found) >= least:
                return found
            time.sleep(0.01)
        raise AssertionError(f"{message!r} was not logged {least} times: {self.lines}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and wait for the end; the exit status."""
        self.process.send_signal(number)
        status = self.process.wait(SECONDS)
        self.read_all()
        return status

    def read_all(self) -> None:
        """Wait until nobody can log any more."""
        self._reader.join(SECONDS)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            if '"url"' in line and not self._up.is_set():
                self.url = json.loads(line)["url"]
                self._up.set()
        self._up.set()


Kind = TypeVar("Kind", bound=Running)


@overload
def serving(*arguments: str | Path, **environment: str) -> contextlib.AbstractContextManager[Running]: ...
@overload
def serving(*arguments: str | Path, kind: type[Kind], **environment: str) -> contextlib.AbstractContextManager[Kind]: ...
@contextlib.contextmanager
def serving(*arguments: str | Path, kind: Any = Running, **environment: str) -> Iterator[Any]:
    """``ratecast serve`` with these arguments on a free port; it is killed at the end if it still runs."""
    port = [] if "--port" in arguments else ["--port", "0"]
    command = [sys.executable, "-m", "ratecast", "serve", *map(str, arguments), *port]
    source = str(Path(ratecast.__file__).parents[1])
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": source, **environment}
    )
    running = None
    try:
        running = kind(process)
        with running.client:
            yield running
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        if running is not None:
            running.read_all()  # workers end a little later
        process.stderr.close()


def connect(running: Running) -> socket.socket:
    """A connection to a service, to write to it what no client would."""
    address = urlsplit(running.url)
    connection = socket.create_connection((str(address.hostname), address.port or 0), SECONDS)
    connection.settimeout(SECONDS)
    return connection


def received(connection: socket.socket) -> bytes:
    """Everything until the service ends the connection."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)
