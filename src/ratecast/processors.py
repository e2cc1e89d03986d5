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
    """Processor time that this process's control groups let it take in each second; infinite without a limit."""
    found = math.inf
    for group in (groups / _own_group(), *(groups / _own_group()).parents):  # the strictest of all that it is in
        if (words := _words(group / "cpu.max")) and words[0] != "max":
            found = min(found, int(words[0]) / int(words[1]))
        if group == groups:
            break
    quota, period = (_words(groups / "cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period"))  # of version 1
    return min(found, int(quota[0]) / int(period[0])) if quota and period and int(quota[0]) > 0 else found


def _own_group() -> str:
    """Where this process's control group of version 2 is below the root, which a container sees its own as."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    return next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return []
