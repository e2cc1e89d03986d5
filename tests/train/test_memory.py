"""Memory that is kept between steps."""

import subprocess
import sys

import pytest

from ratecast.train.memory import kept_memory

PAGES = """
import resource
import numpy as np
from ratecast.train.memory import kept_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.ones(5_000_000)  # 40 MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

resident = lambda: int(open("/proc/self/statm").read().split()[1]) * 4096
before, start = faults(), resident()
with kept_memory():
    np.ones(5_000_000)
    kept = faults()
print(before, kept, faults(), resident() - start)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere nothing is done")
def test_freed_pages_are_used_again_and_given_back_at_the_end() -> None:
    found = subprocess.run([sys.executable, "-c", PAGES], capture_output=True, text=True, check=True).stdout
    before, kept, after, more = map(int, found.split())
    assert kept < 0.2 * before
    assert after > 0.5 * before
    assert more < 20e6


def test_nothing_is_done_without_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr("ctypes.CDLL", None)
    with kept_memory():
        pass
