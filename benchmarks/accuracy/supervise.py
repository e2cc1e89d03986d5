"""Run a command under a hard limit of wall time, and measure what time and memory it and all its processes take."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_SECONDS = 0.5
"""Time between two samples of memory; less at first, so that short runs are seen too."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Attributes:
        status: its exit status; None where it was ended at the limit.
        seconds: wall time from its start to its end.
        peak_mb: most resident memory of it and its descendants at once, as sampled; pages that they share count for each.
    """

    status: int | None
    seconds: float
    peak_mb: float


def run_limited(
    command: Sequence[str], limit_seconds: float, *, environment: Mapping[str, str], folder: Path, log: Path
) -> Outcome:
    """Run a command in a folder, its output going to a log, and kill it with all it started when the limit is reached."""
    with log.open("wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        family: dict[int, psutil.Process] = {}
        peak = 0
        try:
            while process.poll() is None and time.monotonic() - started < limit_seconds:
                peak = max(peak, _memory(process.pid, family))
                time.sleep(min(SAMPLE_SECONDS, 0.05 + 0.1 * (time.monotonic() - started)))
            seconds, status = time.monotonic() - started, process.poll()
        finally:  # also on Ctrl-C, and for what the command left running
            _kill(process, family)
    return Outcome(status, seconds, peak / 1e6)


def _memory(pid: int, family: dict[int, psutil.Process]) -> int:
    """Resident bytes of a process and its descendants, which are remembered in ``family``."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        family.update({part.pid: part for part in (parent, *parent.children(recursive=True))})
    total = 0
    for part in family.values():
        with suppress(psutil.NoSuchProcess):
            total += part.memory_info().rss
    return total


def _kill(process: "subprocess.Popen[bytes]", family: Mapping[int, psutil.Process]) -> None:
    """End the process group, and descendants that left it; psutil knows a process from a later one with its number."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for part in family.values():
        with suppress(psutil.NoSuchProcess):
            part.kill()
    process.wait()
    psutil.wait_procs(family.values(), timeout=5)  # so that nothing of it runs beside the next command
