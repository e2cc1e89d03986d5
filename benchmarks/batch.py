"""Does `ratecast predict` score millions of short rows in flat memory, each of them once and in its order, also after a kill?

    python benchmarks/batch.py --data-dir ../shared/data

Tables of 100 thousand, 1 million and 10 million rows, the beginnings of reviews drawn at random, are written as Parquet and
each scored to Parquet by a command of its own, whose memory and that of its processes is sampled. The one of at most a million
rows is also scored by one process, and once more by all, killed half-way and held again with --resume. Without --model the
model is a static student, the quickest kind there is, of a linear model of Yelp's training reviews; both are kept in the cache.
"""

import argparse
import contextlib
import filecmp
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import arro3.core as arrow
import arro3.io
import numpy as np
import psutil
from runs import CACHE, Runs, Task, settled, size_mb
from setting import show

sys.path.insert(0, str(Path(__file__).resolve().parent / "accuracy"))
from supervise import run_limited
from task import Dataset

from ratecast.data.write import write_tables
from ratecast.scoring import PART_ROWS

DATASETS: Final = ("yelp_10k", "amazon_multidomain_blitzer", "zoom_googleplay")
CHARACTERS: Final = 100
"""What is taken of each review, from its beginning."""
BLOCK_ROWS: Final = 50_000
BYTES_PER_ROW: Final = 600
"""Room that a row may take, as input, as a scored part and as output; measured: about 400."""
KILLED_ROWS: Final = 1_000_000
LIMIT_SECONDS: Final = 2 * 3600.0
TOLD_SECONDS: Final = 20.0


@dataclass(frozen=True)
class Scored:
    """What a run took, and what it wrote.

    Attributes:
        rows: of the table.
        threads: as given.
        seconds: wall time of the command, its start included.
        cores: processor time of it and its processes, for each second.
        peak_mb: most resident memory of it and its processes at once.
        in_order: whether the output has each row once, in its order, with a rating.
    """

    rows: int
    threads: int
    seconds: float
    cores: float
    peak_mb: float
    in_order: bool


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help=f"folder that holds {', '.join(DATASETS)} as .parquet")
    parser.add_argument("--model", type=Path, help="model folder; one is made by default")
    parser.add_argument("--rows", default="100000,1000000,10000000", help="rows of each table, the first is compared with")
    parser.add_argument(
        "--threads", type=int, default=2, help="as for predict; so few that short tables have as many processes"
    )
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"folder for the model and the tables, by default {CACHE}")
    arguments = parser.parse_args()
    counts = [int(count) for count in arguments.rows.split(",")]
    texts, before = beginnings(arguments.data_dir), os.getloadavg()[1]
    model = arguments.model or quickest(arguments.data_dir, arguments.cache)
    arguments.cache.mkdir(parents=True, exist_ok=True)
    check_room(arguments.cache, max(counts))
    with tempfile.TemporaryDirectory(dir=arguments.cache, prefix="batch-") as folder:
        bench = Bench(model, Path(folder), arguments.threads)
        found = []
        for count in counts:
            bench.write(count, texts)
            found.append(bench.score(count))
            print(found[-1], flush=True)
            if count == max((count for count in counts if count <= KILLED_ROWS), default=None):
                found.append(bench.score(count, "alone", threads=1))
                print(found[-1], flush=True)
                killed = bench.killed(count)
                print(killed, flush=True)
            bench.clear(count)
    first = found[0]
    header = [
        "rows",
        "--threads",
        "wall time, s",
        "rows a second",
        "cores in use",
        "peak memory, MB",
        f"of that for {first.rows:,}",
    ]
    show(
        "Batch scoring of short rows",
        [*header, "each row once, in order"],
        [
            [
                f"{run.rows:,}",
                run.threads,
                f"{run.seconds:.0f}",
                f"{run.rows / run.seconds:,.0f}",
                f"{run.cores:.2f}",
                f"{run.peak_mb:.0f}",
                f"{run.peak_mb / first.peak_mb:.2f}",
                "yes" if run.in_order else "NO",
            ]
            for run in found
        ],
        "batch",
        texts=f"the first {CHARACTERS} characters of {len(texts):,} reviews ({np.mean([*map(len, texts)]):.0f} on average), "
        "drawn with repetition",
        model=f"{model.name if arguments.model else 'static student of a linear model'}, {size_mb(model):.1f} MB",
        load_average=f"{before:.1f} before, {os.getloadavg()[1]:.1f} after, of which this is a part",
        **killed,
    )


def quickest(data: Path, cache: Path) -> Path:
    """A static student, which reads several times as many rows a second as the linear models, made if it is not kept."""
    runs, reviews = Runs(cache), str(Task.read(data, "yelp_10k", cache, test=False).written())
    teacher = runs.hold("batch-linear", "fit", reviews, "--time-budget", "60s")
    student = teacher and runs.hold("batch-static", "distill", str(teacher.folder), reviews, "--time-budget", "2m")
    if student is None:
        sys.exit("the model could not be made; give one with --model")
    return student.folder


def beginnings(data: Path) -> list[str]:
    """What is drawn from: the beginnings of the reviews of every data set."""
    paths = [data / f"{name}.parquet" for name in DATASETS]
    if missing := [path for path in paths if not path.exists()]:
        sys.exit(f"{missing[0]} is not there: this benchmark needs it and was not run")
    return [text[:CHARACTERS] for path in paths for text in Dataset.read(path).texts]


def check_room(folder: Path, rows: int) -> None:
    """Stop where the disk is too small for a table, its parts and its scores."""
    free = shutil.disk_usage(folder).free
    if free < rows * BYTES_PER_ROW:
        sys.exit(f"{folder} has {free / 1e9:.1f} GB free; {rows * BYTES_PER_ROW / 1e9:.1f} are needed: choose another --cache")


class Bench:
    """Writes tables into a folder and scores them."""

    def __init__(self, model: Path, folder: Path, threads: int) -> None:
        self._model, self._folder, self._threads = model.resolve(), folder, threads

    def write(self, rows: int, texts: Sequence[str]) -> None:
        """Write a table of texts drawn at random, with the number of each row."""
        print(f"{time.strftime('%H:%M:%S')} {rows:,} rows are written", file=sys.stderr, flush=True)
        draw, pool = np.random.default_rng(0), np.array(texts, dtype=object)

        def tables() -> Iterator[arrow.Table]:
            for begin in range(0, rows, BLOCK_ROWS):
                number = np.arange(begin, min(begin + BLOCK_ROWS, rows))
                drawn = pool[draw.integers(len(pool), size=len(number))].tolist()
                yield arrow.Table.from_pydict({"row": arrow.Array(number), "text": arrow.Array(drawn, arrow.DataType.utf8())})

        write_tables(tables(), self._place("new", rows))

    def score(self, rows: int, out: str = "scored", *options: str, threads: int | None = None) -> Scored:
        """Score a table, and look at what was written."""
        print(f"{time.strftime('%H:%M:%S')} {rows:,} rows are scored", file=sys.stderr, flush=True)
        before = _processor_seconds()
        with self._told(rows, out):
            log = self._folder / f"{out}.log"
            command = [*self._command(rows, out, threads), *options]
            outcome = run_limited(command, LIMIT_SECONDS, environment=os.environ, folder=Path.cwd(), log=log)
        if outcome.status != 0:
            sys.exit(f"predict ended with status {outcome.status}: {log.read_text()[-2000:]}")
        print(log.read_text().strip(), file=sys.stderr, flush=True)
        cores = (_processor_seconds() - before) / outcome.seconds
        whole = _is_whole(self._place(out, rows), rows)
        return Scored(rows, threads or self._threads, outcome.seconds, cores, outcome.peak_mb, whole)

    def killed(self, rows: int) -> dict[str, Any]:
        """Kill a run half-way, go on with it, and compare what it wrote with what the run without a kill did."""
        work = self._work(rows, "resumed")
        with (self._folder / "killed.log").open("wb") as log:
            process = subprocess.Popen(self._command(rows, "resumed"), stdout=log, stderr=subprocess.STDOUT)
        try:
            while _parts(work) < rows // PART_ROWS // 2:
                if process.poll() is not None:
                    sys.exit(f"predict ended with status {process.returncode} before it could be killed")
                time.sleep(0.01)
            helpers = psutil.Process(process.pid).children(recursive=True)
        finally:
            process.kill()
            process.wait()
        alive = psutil.wait_procs(helpers, timeout=10)[1]
        kept = _parts(work)
        again = self.score(rows, "resumed", "--resume")
        equal = filecmp.cmp(self._place("scored", rows), self._place("resumed", rows), shallow=False)
        said = " ".join((self._folder / "resumed.log").read_text().split()).partition(", written to")[0]
        return {
            "killed": f"SIGKILL with {kept * PART_ROWS:,} of {rows:,} rows scored; of its {len(helpers)} helpers "
            f"{len(alive)} lived on for more than 10 s",
            "resumed": f"{again.seconds:.0f} s more; it said: {said}",
            "resumed_equals_the_run_without_a_kill": f"{'yes' if equal else 'NO'}, byte for byte",
        }

    def clear(self, rows: int) -> None:
        """Delete a table and its scores."""
        for name in ("new", "scored", "alone", "resumed"):
            self._place(name, rows).unlink(missing_ok=True)

    def _place(self, name: str, rows: int) -> Path:
        return self._folder / f"{name}-{rows}.parquet"

    def _work(self, rows: int, out: str) -> Path:
        place = self._place(out, rows)
        return place.with_name(f"{place.name}.scoring")

    def _command(self, rows: int, out: str, threads: int | None = None) -> list[str]:
        places = [str(self._model), str(self._place("new", rows)), "--out", str(self._place(out, rows))]
        return [sys.executable, "-m", "ratecast", "predict", *places, "--threads", str(threads or self._threads)]

    @contextlib.contextmanager
    def _told(self, rows: int, out: str) -> Iterator[None]:
        """Tell now and then how many rows are scored."""
        ended, work = threading.Event(), self._work(rows, out)

        def tell() -> None:
            done = 0
            while not ended.wait(TOLD_SECONDS):
                done = max(done, min(_parts(work) * PART_ROWS, rows))  # parts are deleted in the end
                print(f"{time.strftime('%H:%M:%S')} {done:,} of {rows:,}", file=sys.stderr, flush=True)

        thread = threading.Thread(target=tell, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _parts(work: Path) -> int:
    """How many parts are scored."""
    return sum(1 for _ in work.glob("*.arrow"))


def _processor_seconds() -> float:
    """Processor time of every command that has ended, with the processes that it had waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _is_whole(path: Path, rows: int) -> bool:
    """Whether a scored table has each row once, in its order, with a rating on the scale."""
    seen = 0
    for batch in arro3.io.read_parquet(path):
        numbers, ratings = (batch[name].to_numpy() for name in ("row", "predicted_rating"))
        if not np.array_equal(numbers, np.arange(seen, seen + len(numbers))) or not ((ratings >= 1) & (ratings <= 5)).all():
            return False
        seen += len(numbers)
    return seen == rows


if __name__ == "__main__":
    settled(main)
