"""Commands of ratecast, each in a process of its own and kept in a cache folder, so that a benchmark can stop and go on.

Also the reviews that such a benchmark learns from and judges on, and what it says of their predictions.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import arro3.core as arrow
import numpy as np

from ratecast import load
from ratecast.config import SplitConfig
from ratecast.data import split_reviews
from ratecast.data.write import write_table
from ratecast.records import Reviews, strings
from ratecast.scale import FloatArray, RatingScale

sys.path.insert(0, str(Path(__file__).resolve().parent / "accuracy"))
from task import Dataset

JUDGED_FRACTION = 0.15
"""Share of the training reviews that methods are judged on; nothing learns from them."""
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ratecast-benchmarks"


@dataclass(frozen=True)
class Held:
    """A command that has been held.

    Attributes:
        folder: what it wrote.
        seconds: wall time from the start of its process to the end.
        peak_mb: its most resident memory.
    """

    folder: Path
    seconds: float
    peak_mb: float


class Runs:
    """Runs commands of ratecast, and remembers what each wrote and took.

    Args:
        cache: folder that all of it is kept in.
        again: whether to hold anew what is kept already.
    """

    def __init__(self, cache: Path, *, again: bool = False) -> None:
        self._cache, self._again = cache, again
        self._held: set[Path] = set()

    def hold(self, name: str, command: str, *arguments: str) -> Held | None:
        """Run ``ratecast <command> ... --out <folder>``, or take what it wrote when it ran before; None if it failed.

        Args:
            name: what the run is called, and its files in the cache are; equal names with other arguments do not collide.
            command: the command.
            arguments: everything but the folder that it writes.
        """
        key = hashlib.sha256("\0".join((command, *arguments)).encode()).hexdigest()[:8]
        folder = self._cache / f"{name}-{key}"
        record = folder.with_name(f"{folder.name}.json")
        if not record.exists() or (self._again and folder not in self._held):
            self._held.add(folder)
            record.unlink(missing_ok=True)
            folder.parent.mkdir(parents=True, exist_ok=True)
            log = folder.with_name(f"{folder.name}.log")
            line = [sys.executable, "-m", "ratecast", command, *arguments, "--out", str(folder)]
            print(f"{time.strftime('%H:%M:%S')} {name}", file=sys.stderr, flush=True)
            facts = _timed(line, log)
            if facts["status"]:
                print(f"{name} failed: see {log}", file=sys.stderr, flush=True)
                return None
            record.write_text(json.dumps(facts | {"command": line}) + "\n")
        facts = json.loads(record.read_text())
        return Held(folder, facts["seconds"], facts["peak_mb"])


def _timed(line: Sequence[str], log: Path) -> dict[str, float]:
    """Run a command; its exit status, seconds and memory."""
    with log.open("wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(line, stdout=output, stderr=subprocess.STDOUT)
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:  # Ctrl-C ends the run too
            process.kill()
            raise
    process.returncode = os.waitstatus_to_exitcode(status)
    return {"status": process.returncode, "seconds": time.monotonic() - started, "peak_mb": used.ru_maxrss / 1e3}


@dataclass(frozen=True)
class Task:
    """Reviews to learn from and reviews to judge on.

    Attributes:
        name: of the data set.
        scale: of its ratings.
        training: what may be learnt from.
        judged: what is judged on: a part of the training reviews, or the test reviews.
        folder: where its files are kept.
    """

    name: str
    scale: RatingScale
    training: Reviews
    judged: Reviews
    folder: Path

    @classmethod
    def read(cls, data: Path, name: str, cache: Path, *, test: bool) -> "Task":
        """A data set; models learn from the same part of its training reviews, whichever part judges them."""
        path = data / f"{name}.parquet"
        if not path.exists():
            sys.exit(f"{path} is not there: this benchmark needs it and was not run")
        found = Dataset.read(path)
        reviews = Reviews(text=strings(found.texts.tolist()), rating=found.ratings)
        known, unknown = (reviews.take(np.flatnonzero(part)) for part in (~found.is_test, found.is_test))
        split = split_reviews(known, SplitConfig(test_fraction=JUDGED_FRACTION), found.scale, seed=0)
        training = known.take(np.sort(np.concatenate([split.train, split.validation])))
        folder = cache / found.key
        folder.mkdir(parents=True, exist_ok=True)
        return cls(name, found.scale, training, unknown if test else known.take(split.test), folder)

    def written(self, rows: int | None = None, seed: int = 0) -> Path:
        """A file with the training reviews, or so many of them drawn at random."""
        path = self.folder / ("training.parquet" if rows is None else f"training-{rows}rows-seed{seed}.parquet")
        if not path.exists():
            chosen = np.arange(len(self.training))
            if rows is not None:
                chosen = np.sort(np.random.default_rng(seed).permutation(chosen)[:rows])
            part = self.training.take(chosen)
            columns: dict[str, Any] = {
                "text": arrow.Array(list(part.text), arrow.DataType.utf8()),
                "rating": arrow.Array(part.rated()),
            }
            write_table(arrow.Table.from_pydict(columns), path)
        return path

    def predicted(self, held: Held) -> FloatArray:
        """What a fitted model says of the judged reviews, shape ``(review, level)``; kept beside its folder."""
        key = hashlib.sha256("\0".join(self.judged.text).encode()).hexdigest()[:8]
        path = held.folder.with_name(f"{held.folder.name}.{key}.npy")
        if not path.exists() or path.stat().st_mtime < held.folder.stat().st_mtime:
            np.save(path, load(held.folder).probabilities(list(self.judged.text)))
        found: FloatArray = np.load(path)
        return found


def run_parser(description: str) -> argparse.ArgumentParser:
    """Parser of what benchmarks of kept runs share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"folder that runs are kept in, by default {CACHE}")
    parser.add_argument("--again", action="store_true", help="hold runs anew that are kept already")
    parser.add_argument("--test", action="store_true", help="judge on the test reviews: the final table, to choose nothing by")
    return parser


def settled(make: Callable[[], None]) -> None:
    """Do the work; Ctrl-C ends it without a traceback, as what is done is kept."""
    try:
        make()
    except KeyboardInterrupt:
        sys.exit("stopped: the same command goes on from here")


def size_mb(folder: Path, names: Sequence[str] = ("*",)) -> float | None:
    """Megabytes of a folder's files of some names; None if there are none."""
    sizes = [path.stat().st_size for name in names for path in folder.glob(name) if path.is_file()]
    return sum(sizes) / 1e6 if sizes else None


def number(value: float | None, digits: int = 3) -> str:
    """A number for a table, or a dash."""
    return "–" if value is None else f"{value:.{digits}f}"


def span(ends: Sequence[float]) -> str:
    """An interval for a table."""
    return f"{ends[0]:.3f} to {ends[1]:.3f}"


def signed_span(value: float, ends: Sequence[float]) -> str:
    """A difference with its interval for a table."""
    return f"{value:+.3f} ({ends[0]:+.3f} to {ends[1]:+.3f})"


def training_facts(folder: Path) -> Mapping[str, float]:
    """What a model folder says of its training."""
    found: Mapping[str, float] = json.loads((folder / "metrics.json").read_text())["training"]
    return found
