"""Free memory goes back to the operating system."""

import platform
import subprocess
import sys

import pytest

CODE = """
import os
import numpy as np
from ratecast.serve.memory import give_back_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

pieces = [np.ones(8000) for _ in range(1000)]
last = pieces[-1]  # what lies behind all others keeps glibc from giving these back by itself
full = resident()
del pieces
kept = resident()
give_back_memory()
print(full - kept, kept - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left to themselves")
def test_free_pieces_are_given_back() -> None:
    found = subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True, text=True).stdout
    by_itself, given_back = map(int, found.split())
    assert by_itself < 10_000_000
    assert given_back > 50_000_000
