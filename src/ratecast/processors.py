"""What the machine computes on."""

import os


def available_processors() -> int:
    """Processors that this process may use, which in a container or under ``taskset`` are fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
