"""Does a request fail, or wait longer, while versions of a model take each other's place?

    python benchmarks/serving/swap.py --data-dir ../shared/data --model model/ --other other/

Requests of one review each come at random moments (Poisson), at half of the saturated speed. First nothing else happens; then
the model folder, a link, is turned every five seconds from one of the models to the other, and the service is told to load it.
"""

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import httpx
import numpy as np
from load import Answer, Cores, arrive, bodies, kept_to, memory_mb, ratecast_command, running, saturate
from setting import show, yelp, yelp_parser

CLIENTS = 32
SATURATED_SECONDS = 10.0
EVERY_SECONDS = 5.0
HEADER = [
    "meanwhile",
    "requests",
    "not answered with 200",
    "median ms",
    "p99 ms",
    "longest ms",
    "swaps",
    "median s of one",
    "MB",
]


def main() -> None:
    """Measure and write."""
    parser = yelp_parser(__doc__ or "")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--other", type=Path, required=True, help="folder of the version that takes its place")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each part takes")
    arguments = parser.parse_args()
    requests = bodies(yelp(arguments.data_dir, "test").text.tolist())
    versions = [arguments.model.resolve(), arguments.other.resolve()]
    cores = Cores.divided()
    with tempfile.TemporaryDirectory() as name, kept_to(cores.clients):
        folder = Path(name)
        link = folder / "shop"
        link.symlink_to(versions[0])
        with running(ratecast_command(link), cores, folder / "log") as (url, process):
            answers, took = asyncio.run(saturate(url, requests, SATURATED_SECONDS, CLIENTS))
            a_second = 0.5 * len(answers) / took
            rows = []
            for title, turned in (("nothing", False), ("swaps", True)):
                swaps: list[float] = []
                work = _arrive(url, requests, a_second, arguments.seconds, (link, versions, swaps) if turned else None)
                rows.append(_row(title, asyncio.run(work), swaps, memory_mb(process)))
    show(
        "Versions that take each other's place under load",
        HEADER,
        rows,
        "swap",
        requests_a_second=round(a_second, 1),
        swapped=f"every {EVERY_SECONDS:g} s, by POST /v1/models/reload; a swap lasts until that is answered",
        cores=cores.describe(),
        model_mb=", ".join(f"{sum(path.stat().st_size for path in one.iterdir()) / 1e6:.0f}" for one in versions),
    )


async def _arrive(
    url: str,
    requests: Sequence[bytes],
    a_second: float,
    seconds: float,
    turning: tuple[Path, Sequence[Path], list[float]] | None,
) -> list[Answer]:
    task = asyncio.create_task(_turn(url, *turning)) if turning else None
    answers = await arrive(url, requests, a_second, seconds)
    if task is not None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    return answers


async def _turn(url: str, link: Path, versions: Sequence[Path], swaps: list[float]) -> None:
    """Turn the link from version to version, and note how long each swap took, until cancelled."""
    async with httpx.AsyncClient(base_url=url, timeout=60.0) as client:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            turned = link.with_name("turned")
            turned.symlink_to(versions[(len(swaps) + 1) % len(versions)])
            turned.replace(link)
            started = time.perf_counter()
            answer = await client.post("/v1/models/reload", json={})
            if len(answer.raise_for_status().json()["added"]) != 1:
                raise RuntimeError(f"nothing was swapped: {answer.text}")
            swaps.append(time.perf_counter() - started)


def _row(title: str, answers: Sequence[Answer], swaps: Sequence[float], memory: float) -> list[Any]:
    times = [answer.ms for answer in answers]
    failed = sum(answer.status != 200 for answer in answers)
    longest = [statistics.median(times), *np.percentile(times, [99, 100])]
    took = f"{statistics.median(swaps):.2f}" if swaps else "–"
    return [title, len(answers), failed, *(f"{one:.0f}" for one in longest), len(swaps), took, f"{memory:.0f}"]


if __name__ == "__main__":
    main()
