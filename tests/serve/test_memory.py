"""Free memory goes back to the operating system."""

import asyncio
import platform
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ratecast.config import ServeConfig
from ratecast.serve import app as served
from ratecast.serve.batching import Batcher
from ratecast.serve.models import load_models
from ratecast.serve.reload import Reloader
from ratecast.serve.service import Service
from ratecast.serve.versions import wanted_versions

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


def test_a_service_gives_back_now_and_again(linear_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = threading.Semaphore(0)
    monkeypatch.setattr(served, "_TIDY_SECONDS", 0.01)
    monkeypatch.setattr(served, "give_back_memory", given.release)
    config = ServeConfig().with_values(models=(f"shop={linear_model}",), threads=1)
    service = Service(
        config=config,
        models=load_models(wanted_versions(config.routing.models), 1),
        batcher=Batcher(config.batching, config.limits),
    )
    app = served.create_app(service, Reloader(service, lambda: config))

    async def work() -> None:
        async with app.router.lifespan_context(app):
            for _ in range(2):
                assert await asyncio.to_thread(given.acquire, timeout=10)

    asyncio.run(work())
