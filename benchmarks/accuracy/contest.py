"""A contest between ratecast and its peers: the same training reviews, test reviews, two cores and wall time for each.

    python benchmarks/accuracy/contest.py --data-dir ../shared/data --minutes 2,10
    python benchmarks/accuracy/contest.py --data-dir ../shared/data --datasets yelp_10k --rows 200,1000,4000,all
    python benchmarks/accuracy/contest.py --data-dir ../shared/data --tables

A run that is done is kept beside the tables and not held again, so that a contest can be stopped and started at will, and
grow by further peers.
"""

import argparse
import itertools
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from environment import InstallError, Peer, without_places
from record import Run, Shelf, faults
from setting import RESULTS, machine
from standings import measure, write
from summary import write_summary
from supervise import run_limited
from task import Dataset, Setting, find

HERE = Path(__file__).resolve().parent
PEERS = (
    "constant",
    "sklearn-ridge",
    "sklearn-logistic",
    "fasttext",
    "model2vec",
    "setfit",
    "trainer",
    "tutorial",
    "autogluon-tabular",
    "autogluon-multimodal",
    "ratecast",
)
GRACE = 1.2
"""How many times the wall time a model may take before it is ended."""
CORES = 2
CACHE = Path("~/.cache/ratecast-benchmarks")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS", "LOKY_MAX_CPU_COUNT")


@dataclass(frozen=True)
class Heat:
    """One run to hold."""

    shelf: Shelf
    setting: Setting
    peer: Peer
    seed: int
    log: Path

    @property
    def title(self) -> str:
        """What it is called on the terminal."""
        return f"{self.shelf.dataset.name}, {self.setting.title}, seed {self.seed}: {self.peer.name}"

    @property
    def limit_seconds(self) -> float:
        """When it is ended."""
        return GRACE * 60 * self.setting.minutes


def main() -> None:
    """Hold what is left to hold, and write the tables."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the running peer too, as Ctrl-C does
    cache, runs = arguments.cache.expanduser().resolve(), arguments.results.resolve() / "runs"
    shelves = [Shelf(runs, Dataset.read(path)) for path in find(arguments.data_dir, arguments.datasets)]
    if not arguments.tables:
        _limit_cores()
        heats = _planned(arguments, shelves, cache)
        environments = _environments(heats, cache)
        if arguments.prepare:
            return
        try:
            _hold([heat for heat in heats if arguments.again or _is_open(heat)], environments, cache)
        except KeyboardInterrupt:
            print("\nStopped. What was finished is kept: the same command goes on from there.", file=sys.stderr)
            write_tables(shelves, arguments.results)
            sys.exit(130)
    write_tables(shelves, arguments.results)


def write_tables(shelves: Sequence[Shelf], folder: Path) -> None:
    """Write the tables of the runs on some data sets, and the summary of all tables that are in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    measured = [measure(shelf, setting) for shelf in shelves for setting in shelf.settings()]
    contests = [contest for contest in measured if contest is not None]
    for contest in contests:
        write(contest, folder)
    if contests:
        write_summary(folder)
    print(f"{len(contests)} contests in {folder}", flush=True)


# -- what to hold -----------------------------------------------------------------------------------------------------


def _planned(arguments: argparse.Namespace, shelves: Sequence[Shelf], cache: Path) -> list[Heat]:
    """Every run that was asked for, those of one table side by side."""
    heats = []
    for shelf, minutes, rows in itertools.product(shelves, arguments.minutes, arguments.rows):
        training_rows = shelf.dataset.training_rows()
        if rows is not None and rows >= training_rows:
            print(f"{shelf.dataset.name} has {training_rows} training reviews: left out with {rows} rows")
            continue
        setting = Setting(minutes, rows)
        logs = cache / "logs" / shelf.dataset.key / setting.name
        logs.mkdir(parents=True, exist_ok=True)
        heats += [
            Heat(shelf, setting, peer, seed, logs / f"{peer.name}-seed{seed}.log")
            for seed in arguments.seeds
            for peer in arguments.peers
        ]
    return heats


def _is_open(heat: Heat) -> bool:
    """Whether a run has not been held; what could not be installed may be by now."""
    run = heat.shelf.run(heat.setting, heat.peer.name, heat.seed)
    return run is None or run.status == "not installed"


def _environments(heats: Sequence[Heat], cache: Path) -> dict[str, Path | InstallError]:
    """The interpreter of each peer, or why there is none."""
    found: dict[str, Path | InstallError] = {}
    for peer in dict.fromkeys(heat.peer for heat in heats):
        try:
            found[peer.name] = peer.python(cache / "environments")
        except InstallError as error:
            print(f"{peer.name}: not installed: {error}")
            found[peer.name] = error
    return found


# -- holding it -------------------------------------------------------------------------------------------------------


def _hold(heats: Sequence[Heat], environments: Mapping[str, Path | InstallError], cache: Path) -> None:
    """Hold the runs one after another, and tell how it goes."""
    facts = machine() if heats else {}
    shares: dict[str, float] = {}
    for number, heat in enumerate(heats):
        left = [60 * other.setting.minutes * shares.get(other.peer.name, 1.0) for other in heats[number:]]
        most = sum(other.limit_seconds for other in heats[number:])
        print(
            f"[{number + 1}/{len(heats)}] {heat.title}: at most {_duration(heat.limit_seconds)}; "
            f"all that is left about {_duration(sum(left))}, at most {_duration(most)}",
            flush=True,
        )
        run = _run(heat, environments[heat.peer.name], cache, facts)
        if run.seconds is not None:
            shares[heat.peer.name] = run.seconds / (60 * heat.setting.minutes)
        told = run.reason or f"after {_duration(run.seconds or 0.0)}, {run.peak_mb:.0f} MB"
        print(f"    {run.status}: {told}", flush=True)


def _run(heat: Heat, python: Path | InstallError, cache: Path, facts: dict[str, Any]) -> Run:
    """Hold one run and keep it."""
    about: dict[str, Any] = {"peer": heat.peer.name, "seed": heat.seed, "machine": facts}
    if isinstance(python, InstallError):
        run = Run(status="not installed", reason=str(python), **about)
        heat.shelf.keep(heat.setting, run)
        return run
    with tempfile.TemporaryDirectory(dir=cache, ignore_cleanup_errors=True) as folder:
        found = Path(folder) / "predictions.npz"
        run = _held(heat, python, cache, found, about)
        heat.shelf.keep(heat.setting, run, found if run.status == "finished" else None)
    return run


def _held(heat: Heat, python: Path, cache: Path, found: Path, about: dict[str, Any]) -> Run:
    """The record of a run that writes what it predicts to a file."""
    dataset = heat.shelf.dataset
    train, test = dataset.write_parts(cache / "parts" / dataset.key, heat.setting.rows, heat.seed)
    values = [str(train), str(test), str(found), str(60 * heat.setting.minutes), str(heat.seed)]
    outcome = run_limited(
        [str(python), "-m", heat.peer.module, *values],
        heat.limit_seconds,
        environment=_environment(python, found.parent),
        folder=found.parent,
        log=heat.log,
    )
    about |= {
        "seconds": round(outcome.seconds, 2),
        "peak_mb": round(outcome.peak_mb, 1),
        "packages": heat.peer.versions(python),
    }
    if outcome.status is None:
        return Run(status="did not finish", reason=f"ended at its limit of {heat.limit_seconds:.0f} s", **about)
    if outcome.status:
        return Run(status="failed", reason=f"exit status {outcome.status}: {_last_line(heat.log)}", **about)
    if fault := faults(found, heat.shelf):
        return Run(status="failed", reason=without_places(fault), **about)
    return Run(status="finished", **about)


def _environment(python: Path, scratch: Path) -> dict[str, str]:
    """The environment variables of a peer's process: two threads, no downloads, its own folder for what it leaves behind."""
    variables = dict(os.environ) | dict.fromkeys(THREADS, str(CORES))
    variables |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(scratch / "hub"), "TMPDIR": str(scratch), "CUDA_VISIBLE_DEVICES": ""}
    paths = [str(HERE)]
    if python == Path(sys.executable) and "PYTHONPATH" in os.environ:
        paths.append(os.environ["PYTHONPATH"])
    return variables | {"PYTHONPATH": os.pathsep.join(paths), "CONTEST_STARTED": str(time.time())}


def _limit_cores() -> None:
    """Keep this process, and so all that it starts, to two cores."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return without_places(lines[-1].strip())[:300] if lines else "no output"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 100 else f"{minutes} min" if minutes < 100 else f"{seconds / 3600:.1f} h"


# -- the command line -------------------------------------------------------------------------------------------------


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data-dir", type=Path, required=True, help="folder with Parquet files that have the columns text, rating and split"
    )
    parser.add_argument("--datasets", type=_names, default=[], help="names of files without .parquet; all by default")
    parser.add_argument("--minutes", type=_numbers, default=[10.0], help="wall times, such as 2,10,30; 10 by default")
    parser.add_argument("--rows", type=_rows, default=[None], help="training rows, such as 200,1000,all; all by default")
    parser.add_argument("--peers", type=_peers, default=_peers("all"), help=f"all (the default), or some of {', '.join(PEERS)}")
    parser.add_argument("--seeds", type=_seeds, default=[0], help="seeds, such as 0,1,2; tables show the mean; 0 by default")
    parser.add_argument("--again", action="store_true", help="hold runs again that are done")
    parser.add_argument("--prepare", action="store_true", help="only create the peers' environments")
    parser.add_argument("--tables", action="store_true", help="only write the tables of the runs that are kept")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of environments and logs")
    parser.add_argument("--results", type=Path, default=RESULTS / "accuracy", help="folder of tables and runs")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _numbers(text: str) -> list[float]:
    return [float(part) for part in _names(text)]


def _seeds(text: str) -> list[int]:
    return [int(part) for part in _names(text)]


def _rows(text: str) -> list[int | None]:
    return [None if part == "all" else int(part) for part in _names(text)]


def _peers(text: str) -> list[Peer]:
    names = PEERS if text == "all" else _names(text)
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown peers {', '.join(unknown)}; known are {', '.join(PEERS)}")
    return [Peer(name) for name in names]


if __name__ == "__main__":
    main()
