"""What the machine computes on."""

import os
from pathlib import Path
from typing import Final

_INFORMATION: Final = Path("/proc/cpuinfo")


def available_processors() -> int:
    """Processors that this process may use, which in a container or under ``taskset`` are fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_flags() -> frozenset[str]:
    """Instruction sets of an x86 processor as Linux names them, such as "avx512_vnni"; empty where they cannot be read."""
    if not _INFORMATION.exists():
        return frozenset()
    for line in _INFORMATION.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            return frozenset(value.split())
    return frozenset()
