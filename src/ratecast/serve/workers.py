"""Several processes that serve behind one port, and the process that looks after them.

uvicorn's own supervisor is not used: it starts a process that dies again and again without a pause, restarts all of them on
SIGHUP, hears no second signal while it waits for their end, and stays quiet about why one could not start.
"""

import logging
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Final

from prometheus_client.multiprocess import mark_process_dead

from ratecast.errors import ConfigError, RatecastError
from ratecast.serve.logs import FIELDS, start_logging
from ratecast.serve.metrics import share_metrics

_LOG: Final = logging.getLogger("ratecast.serve")
_FIRST_PAUSE_SECONDS: Final = 0.25
_LONGEST_PAUSE_SECONDS: Final = 30.0
_GOOD_SECONDS: Final = 60.0
"""A worker that lived so long is started again without a pause that grows."""
_TICK_SECONDS: Final = 0.1

Work = Callable[[int, Callable[[list[str]], None]], None]
"""Serves until SIGTERM. It gets its number, from 0 on, and what to call with the names of its models once it answers."""


@dataclass(eq=False)
class _Worker:
    """The place of a worker, in which one process follows another.

    Attributes:
        channel: brings the names of the models once the process answers, or why it cannot.
        is_ready: whether it answers.
        deaths: how often it died young, one time after the other.
        begins: when it was started, or shall be, on the clock of `time.monotonic`.
        missed: whether it was told to load models anew before it could hear that.
        reason: why it cannot serve, if it says so.
    """

    number: int
    process: SpawnProcess | None = None
    channel: Connection | None = None
    is_ready: bool = False
    deaths: int = 0
    begins: float = 0.0
    missed: bool = False
    reason: str = ""


class Supervisor:
    """Starts workers, starts those anew that die, passes signals on, and ends when they have ended.

    Args:
        work: what each does; it has to be picklable.
        count: how many.
        ready: is called once with the names of the models, when all answer.
        leave: is called when the service begins to stop.
    """

    def __init__(
        self, work: Work, count: int, *, ready: Callable[[list[str]], None], leave: Callable[[], None] = lambda: None
    ) -> None:
        self._work, self._ready, self._leave = work, ready, leave
        self._workers = [_Worker(number) for number in range(count)]
        self._signals: list[int] = []
        self._is_serving = self._is_leaving = False

    def run(self) -> None:
        """Look after the workers until the process is told to stop, and they are gone.

        Raises:
            ConfigError: if one cannot start at first, or where there is no SIGHUP.
        """
        if os.name == "nt":
            raise ConfigError("several workers cannot share a port on Windows: leave workers at 1")
        with tempfile.TemporaryDirectory(prefix="ratecast-metrics-") as folder, self._heard():
            try:
                while not (self._is_leaving and all(worker.process is None for worker in self._workers)):
                    self._pass_signals_on()
                    for worker in self._workers:
                        self._look_after(worker, Path(folder))
                    self._wait()
            finally:
                for process in (worker.process for worker in self._workers if worker.process is not None):
                    process.kill()
                    process.join()
        _LOG.info("stopped")

    @contextmanager
    def _heard(self) -> Iterator[None]:
        """Signals are put into a list, for Python may run their handlers anywhere."""
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = {number: signal.signal(number, lambda number, _: self._signals.append(number)) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _pass_signals_on(self) -> None:
        while self._signals:
            number = self._signals.pop(0)
            reloads = number == signal.SIGHUP
            if not reloads and not self._is_leaving:
                self._is_leaving = True
                self._leave()
            _LOG.info("reloading" if reloads else "stopping", extra={FIELDS: {"signal": signal.Signals(number).name}})
            for worker in self._workers:
                worker.missed = reloads and not worker.is_ready
                if not worker.missed:
                    _send(worker, number)

    def _wait(self) -> None:
        processes = [worker.process.sentinel for worker in self._workers if worker.process is not None]
        channels = [worker.channel for worker in self._workers if worker.channel is not None]
        wait([*processes, *channels], _TICK_SECONDS) if processes else time.sleep(_TICK_SECONDS)

    def _look_after(self, worker: _Worker, folder: Path) -> None:
        if worker.process is None:
            if not self._is_leaving and time.monotonic() >= worker.begins:
                self._start(worker, folder)
            return
        has_ended = worker.process.exitcode is not None  # looked at first: what it said before can be read now
        said = _said(worker)
        if isinstance(said, str):
            worker.reason = said
        elif said is not None:
            self._welcome(worker, said)
        if has_ended:
            self._bury(worker, folder)

    def _start(self, worker: _Worker, folder: Path) -> None:
        worker.channel, far = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("spawn")
        worker.process = context.Process(
            target=_run, args=(self._work, worker.number, folder, far), name=f"ratecast-{worker.number}"
        )
        worker.begins, worker.is_ready, worker.missed, worker.reason = time.monotonic(), False, False, ""
        worker.process.start()
        far.close()

    def _welcome(self, worker: _Worker, models: list[str]) -> None:
        worker.is_ready = True
        if worker.missed:
            _send(worker, signal.SIGHUP)
        if self._is_leaving:  # the signal may have come before it was heard
            _send(worker, signal.SIGTERM)
        elif self._is_serving:
            _LOG.info("a worker is back", extra={FIELDS: {"of": worker.number}})
        elif all(worker.is_ready for worker in self._workers):
            self._is_serving = True
            self._ready(models)

    def _bury(self, worker: _Worker, folder: Path) -> None:
        assert worker.process is not None  # noqa: S101 - for the type checker
        status = worker.process.exitcode
        worker.process.close()
        worker.process = None
        mark_process_dead(worker.number, str(folder))  # type: ignore[no-untyped-call] # prometheus_client does not annotate it
        if self._is_leaving:
            return
        if not self._is_serving:
            raise ConfigError(worker.reason or f"a worker ended with status {status} before it could serve; see its log above")
        worker.deaths = 0 if time.monotonic() - worker.begins > _GOOD_SECONDS else worker.deaths + 1
        pause = min(_FIRST_PAUSE_SECONDS * 2.0 ** min(worker.deaths, 10), _LONGEST_PAUSE_SECONDS)
        worker.begins = time.monotonic() + pause
        told = {"of": worker.number, "status": status, "reason": worker.reason, "again_in_seconds": pause}
        _LOG.warning("a worker ended", extra={FIELDS: told})


def _send(worker: _Worker, number: int) -> None:
    if worker.process is not None and worker.process.exitcode is None and worker.process.pid is not None:
        os.kill(worker.process.pid, number)


def _said(worker: _Worker) -> list[str] | str | None:
    """What a worker says, once: the names of its models, or why it cannot start; None if it says nothing."""
    if worker.channel is None or not worker.channel.poll():
        return None
    try:
        said: list[str] | str | None = worker.channel.recv()
    except EOFError:
        said = None
    worker.channel.close()
    worker.channel = None
    return said


# -- in the worker ----------------------------------------------------------------------------------------------------


def _run(work: Work, number: int, metrics_folder: Path, channel: Connection) -> None:
    os.setpgrp()  # Ctrl-C is for the supervisor, which passes it on
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    start_logging(worker=number)
    share_metrics(metrics_folder, number)
    threading.Thread(target=_leave_with_parent, args=(metrics_folder,), name="ratecast-parent", daemon=True).start()
    try:
        work(number, channel.send)
    except RatecastError as error:
        channel.send(str(error))
        sys.exit(2)
    except Exception:  # noqa: BLE001 - the log gets it as it gets everything
        _LOG.exception("a worker failed")
        sys.exit(1)


def _leave_with_parent(metrics_folder: Path) -> None:
    """Stop when the supervisor was killed, and take away what it leaves behind."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        shutil.rmtree(metrics_folder, ignore_errors=True)
