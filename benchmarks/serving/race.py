"""How much of a model's speed is left behind HTTP, how long do requests take, and what happens when there are too many?

    python benchmarks/serving/race.py --data-dir ../shared/data --model model/

Requests of one review each come over loopback. Saturated: 32 clients, each of which asks again as soon as it has its answer.
Moderate: requests come at random moments (Poisson), at 70 % of the saturated speed of ratecast's service. Overload: the same
at three times that speed. The peers have the same model folder and the same cores. On a machine of several cores the clients
have one of their own, as clients elsewhere would; with --shared they do not.
"""

import argparse
import asyncio
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "accuracy"))

import numpy as np
from environment import InstallError, Peer
from load import Answer, Cores, arrive, bodies, kept_to, memory_mb, ratecast_command, running, saturate
from setting import show, yelp, yelp_parser

import ratecast

HERE = Path(__file__).resolve().parent
CACHE = Path("~/.cache/ratecast-benchmarks")
CLIENTS = 32
LATE_MS = 2_000
OURS = "ratecast serve"
PEERS = {"FastAPI without batching": "fastapi-plain", "LitServe, batching": "litserve", "Ray Serve, batching": "rayserve"}
HEADER = [
    "service",
    "saturated, reviews a second",
    "share of the predictor alone",
    "moderate: median ms",
    "p99 ms",
    "p99 / median",
    "errors",
    "overload: answered",
    "of them in time",
    "p99 ms of the answered",
    "refused (503)",
    "p99 ms of the refused",
    "other errors",
    "MB before, after",
]


@dataclass
class Measured:
    """What was seen of a service: reviews a second, its answers, and its memory before and after the overload."""

    saturated: list[float] = field(default_factory=list)
    moderate: list[Answer] = field(default_factory=list)
    overload: list[Answer] = field(default_factory=list)
    before_mb: float = 0.0
    after_mb: float = 0.0


def main() -> None:
    """Measure and write."""
    arguments = _arguments()
    texts = yelp(arguments.data_dir, "test").text[: arguments.reviews].tolist()
    requests, cores = bodies(texts), Cores.divided(shared=arguments.shared)
    commands, failed = _commands(arguments)
    found = {name: Measured() for name in commands}
    alone: list[float] = []

    def each(measure: Callable[[str, Any, Measured], None]) -> None:
        for name, measured in found.items():
            if name in failed:
                continue
            print(f"{name} ...", file=sys.stderr, flush=True)
            try:
                with (
                    tempfile.TemporaryDirectory() as folder,
                    kept_to(cores.clients),
                    running(commands[name], cores, Path(folder) / "log") as (url, process),
                ):
                    measure(url, process, measured)
            except RuntimeError as error:
                failed[name] = str(error)

    def at_most(url: str, _: Any, measured: Measured) -> None:
        asyncio.run(saturate(url, requests[:CLIENTS], 2.0, CLIENTS))  # warm
        answers, seconds = asyncio.run(saturate(url, requests, arguments.seconds, CLIENTS))
        measured.saturated.append(sum(answer.status == 200 for answer in answers) / seconds)

    for _ in range(arguments.rounds):  # in alternation: what else the machine does meets all of them
        with kept_to(cores.service):
            alone.append(_speed(arguments.model, texts))
        each(at_most)
    ours = statistics.median(found[OURS].saturated)

    def at_loads(url: str, process: Any, measured: Measured) -> None:
        asyncio.run(saturate(url, requests[:CLIENTS], 2.0, CLIENTS))
        measured.moderate = asyncio.run(arrive(url, requests, 0.7 * ours, 2 * arguments.seconds))
        measured.before_mb = memory_mb(process)
        measured.overload = asyncio.run(arrive(url, requests, 3 * ours, arguments.seconds))
        measured.after_mb = memory_mb(process)

    each(at_loads)
    rows = [_row(name, measured, alone) for name, measured in found.items() if name not in failed]
    rows += [[name, *["–"] * (len(HEADER) - 2), reason] for name, reason in failed.items()]
    show(
        f"Serving, the predictor alone {statistics.median(alone):.3g} reviews a second",
        HEADER,
        rows,
        "serving",
        reviews=f"{len(texts)} of Yelp's test reviews, one a request",
        moderate=f"{0.7 * ours:.0f} requests a second at random moments, for {2 * arguments.seconds:g} s",
        overload=f"{3 * ours:.0f} a second, for {arguments.seconds:g} s; in time is within {LATE_MS / 1000:g} s",
        saturated=f"median of {arguments.rounds} rounds of {arguments.seconds:g} s",
        cores=cores.describe(),
    )


def _commands(arguments: argparse.Namespace) -> tuple[dict[str, list[str]], dict[str, str]]:
    """How each service is started, and why some cannot be."""
    commands = {OURS: ratecast_command(arguments.model, "--deadline-ms", str(LATE_MS))}
    failed = {}
    for name, script in PEERS.items():
        peer = Peer(script, HERE / "services")
        try:
            python = str(peer.python(arguments.cache.expanduser().resolve() / "environments"))
        except InstallError as error:
            failed[name], python = str(error), ""
        commands[name] = [python, "-m", peer.module, str(arguments.model.resolve()), "{port}"]
    return commands, failed


def _speed(folder: Path, texts: list[str]) -> float:
    model = ratecast.load(folder)
    model.predict(texts[:64])
    started = time.perf_counter()
    model.predict(texts)
    return len(texts) / (time.perf_counter() - started)


def _row(name: str, measured: Measured, alone: list[float]) -> list[Any]:
    shares = [speed / full for speed, full in zip(measured.saturated, alone, strict=True)]
    moderate, answered, refused = (
        _times(measured.moderate, 200),
        _times(measured.overload, 200),
        _times(measured.overload, 503),
    )
    middle = statistics.median(moderate) if moderate else math.nan
    return [
        name,
        statistics.median(measured.saturated),
        f"{statistics.median(shares):.0%}",
        _shown(middle),
        _shown(_p99(moderate)),
        _shown(_p99(moderate) / middle),
        len(measured.moderate) - len(moderate),
        len(answered),
        f"{sum(ms <= LATE_MS for ms in answered) / max(1, len(answered)):.0%}",
        _shown(_p99(answered)),
        len(refused),
        _shown(_p99(refused)),
        len(measured.overload) - len(answered) - len(refused),
        f"{measured.before_mb:.0f}, {measured.after_mb:.0f}",
    ]


def _times(answers: list[Answer], status: int) -> list[float]:
    return [answer.ms for answer in answers if answer.status == status]


def _shown(value: float) -> float | str:
    return "–" if math.isnan(value) else value


def _p99(values: list[float]) -> float:
    return float(np.percentile(values, 99)) if values else math.nan


def _arguments() -> argparse.Namespace:
    parser = yelp_parser(__doc__ or "")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each part")
    parser.add_argument("--rounds", type=int, default=3, help="how often the saturated speed is measured")
    parser.add_argument("--reviews", type=int, default=500, help="first so many of the test reviews")
    parser.add_argument("--shared", action="store_true", help="service and clients share all cores")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of the peers' environments")
    return parser.parse_args()


if __name__ == "__main__":
    main()
