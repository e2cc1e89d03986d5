"""What the machine computes on."""

import math
import os
from pathlib import Path
from typing import Final

_CONTROL_GROUPS: Final = Path("/sys/fs/cgroup")


def available_processors(groups: Path = _CONTROL_GROUPS) -> int:
    """Processors that this process may use: fewer than the machine has under ``taskset``, or in a container with a limit.

    Args:
        groups: where Linux shows the limits of control groups, of version 2 or 1.
    """
    # Without that function, on macOS and Windows, there are no control groups either.
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(count, _allowed(groups))))


def _allowed(groups: Path) -> float:
    """Processor time that this process's control group may take in each second; infinite without a limit."""
    try:
        own = Path("/proc/self/cgroup").read_text(encoding="ascii").rpartition("::/")[2].strip()  # of version 2
    except (OSError, UnicodeDecodeError):
        own = ""
    for file in (groups / own / "cpu.max", groups / "cpu.max"):  # a container may see its own group as the root
        if (words := _words(file)) and words[0] != "max":
            return int(words[0]) / int(words[1])
    quota, period = (_words(groups / "cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    return int(quota[0]) / int(period[0]) if quota and period and int(quota[0]) > 0 else math.inf


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return []
