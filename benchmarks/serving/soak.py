"""Does a service under mixed use for minutes grow in memory, threads or file handles?

    python benchmarks/serving/soak.py --data-dir ../shared/data --model model/

Eight clients do at random what users do: ask for predictions of one to twenty reviews, tell ratings, look at the page and the
metrics, send what is refused, and leave before they are answered. Every half minute the service's memory is measured, and the
slope of a line through the second half of these tells growth. It ends by itself.
"""

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import httpx
import numpy as np
import psutil
from load import Cores, kept_to, memory_mb, ratecast_command, running
from setting import show, yelp, yelp_parser

CLIENTS = 8
SIZES = (1, 1, 1, 3, 20)
"""Reviews in a request."""
REFUSED = (b"{", b'{"reviews": []}', b'{"reviews": [{"text": 3}]}', b'{"reviews": [{"text": "good"}], "model": "unknown"}')
JSON = {"content-type": "application/json"}
EVERY_SECONDS = 30.0
PATHS = (
    *("/", "/metrics", "/v1/models", "/healthz", "/readyz", "/openapi.json"),
    *("/page/products?model={model}", "/page/queue?model={model}"),
)
HEADER = ["minute", "requests", "unexpected answers", "MB", "threads", "file handles", "store, MB"]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The state of a service at a moment."""

    minute: float
    requests: int
    unexpected: int
    memory_mb: float
    threads: int
    handles: int
    store_mb: float

    def row(self) -> list[Any]:
        """Its line of the table."""
        return [
            f"{self.minute:.1f}",
            self.requests,
            self.unexpected,
            f"{self.memory_mb:.1f}",
            self.threads,
            self.handles,
            f"{self.store_mb:.1f}",
        ]


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What clients know, and the answers that they saw.

    Attributes:
        url: address of the service.
        model: the name of its model.
        texts: reviews to ask for.
        seen: how many answers there were of each kind.
    """

    url: str
    model: str
    texts: Sequence[str]
    seen: Counter[str]


def main() -> None:
    """Measure and write."""
    parser = yelp_parser(__doc__ or "")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long it is used")
    arguments = parser.parse_args()
    texts = yelp(arguments.data_dir, "test").text.tolist()
    cores = Cores.divided()
    with tempfile.TemporaryDirectory() as folder, kept_to(cores.clients):
        store = Path(folder) / "store"
        command = ratecast_command(arguments.model, "--store", str(store))
        with running(command, cores, Path(folder) / "log") as (url, process):
            visit = Visit(url=url, model=arguments.model.resolve().name, texts=texts, seen=Counter())
            samples = asyncio.run(_use(visit, process, store, 60 * arguments.minutes))
    later = samples[len(samples) // 2 :]
    slope = np.polyfit([sample.minute for sample in later], [sample.memory_mb for sample in later], 1)[0]
    show(
        f"Soak: {samples[-1].requests} requests in {samples[-1].minute:.0f} minutes",
        HEADER,
        [sample.row() for sample in samples],
        "soak",
        growth=f"{60 * slope:.1f} MB an hour, by a line through the second half",
        answers=", ".join(f"{status}: {count}" for status, count in sorted(visit.seen.items())),
        cores=cores.describe(),
    )


async def _use(visit: Visit, process: psutil.Process, store: Path, seconds: float) -> list[Sample]:
    """Use a service for so long; its state every half minute."""
    samples: list[Sample] = []
    started = time.monotonic()

    async def watch() -> None:
        while True:
            minute = (time.monotonic() - started) / 60
            samples.append(_sample(process, store, minute, visit.seen))
            print(*samples[-1].row(), sep="\t", file=sys.stderr, flush=True)
            if 60 * minute >= seconds:
                return
            await asyncio.sleep(min(EVERY_SECONDS, max(0.0, seconds - 60 * minute)))

    watching = asyncio.create_task(watch())
    async with httpx.AsyncClient(base_url=visit.url, timeout=30.0) as client:
        clients = [asyncio.create_task(_act(client, visit, number)) for number in range(CLIENTS)]
        await watching
        for visitor in clients:
            visitor.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
    return samples


def _sample(process: psutil.Process, store: Path, minute: float, seen: Counter[str]) -> Sample:
    return Sample(
        minute=minute,
        requests=seen.total(),
        unexpected=sum(count for status, count in seen.items() if "unexpected" in status),
        memory_mb=memory_mb(process),
        threads=process.num_threads(),
        handles=process.num_fds(),
        store_mb=sum(path.stat().st_size for path in [store, *store.rglob("*")] if path.is_file()) / 1e6,
    )


async def _act(client: httpx.AsyncClient, visit: Visit, seed: int) -> None:
    """Do this and that, until cancelled."""
    draw, seen = random.Random(seed), visit.seen
    while True:
        kind = draw.choices(("predict", "look", "refused", "leave"), weights=(6, 2, 1, 1))[0]
        reviews = [{"text": draw.choice(visit.texts), "user": f"u{draw.randrange(500)}"} for _ in range(draw.choice(SIZES))]
        if kind == "predict":
            answer = await client.post("/v1/predict", json={"reviews": reviews})
            _count(seen, answer, 200, 503)
            for prediction in answer.json().get("predictions", [])[:1]:
                told = {"prediction_id": prediction["id"], "rating": draw.randint(1, 5)}
                _count(seen, await client.post("/v1/feedback", json=told), 200)
        elif kind == "look":
            _count(seen, await client.get(draw.choice(PATHS).format(model=visit.model)), 200)
        elif kind == "refused":
            _count(seen, await client.post("/v1/predict", content=draw.choice(REFUSED), headers=JSON), 400, 404, 422)
        else:
            with contextlib.suppress(httpx.TimeoutException):
                _count(seen, await client.post("/v1/predict", json={"reviews": reviews}, timeout=0.005), 200, 503)
                continue
            seen["left"] += 1


def _count(seen: Counter[str], answer: httpx.Response, *expected: int) -> None:
    seen[f"{answer.status_code}" + ("" if answer.status_code in expected else " unexpected")] += 1


if __name__ == "__main__":
    main()
