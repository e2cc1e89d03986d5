"""Scoring a table part by part: in this process, or in several where the model has no network.

ONNX Runtime computes on every processor. The work of a model without a network is mostly finding words, which Python does on
one processor however many threads there are, so that it takes processes to use the others.
"""

import io
import os
import pickle
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import IO, Final, NamedTuple, Protocol, Self, cast

from arro3.core import Table

from ratecast.config import ColumnsConfig, Optimise
from ratecast.data import load_reviews
from ratecast.data.used import Kind
from ratecast.data.write import write_table
from ratecast.errors import RatecastError, WorkerError
from ratecast.predict import Predictor, load, with_predictions
from ratecast.progress import Reporter
from ratecast.records import Predictions, Reviews

_WAITING_PARTS: Final = 2
"""Parts in memory for each process: the one that it scores, and the next."""
_COMMAND: Final = "from ratecast.parts import work; work()"
_ONE_THREAD: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Environment of a process that shares the processors with others like it."""


class Scorer(Protocol):
    """What scores tables: a `Predictor`, or several as one."""

    @property
    def folder(self) -> Path:
        """Its folder; a process of `Workers` loads it from there."""

    @property
    def has_network(self) -> bool:
        """Whether it computes on all threads by itself."""

    @property
    def is_cascade(self) -> bool:
        """Whether it tells which reviews a quicker model passed on."""

    @property
    def threads(self) -> int:
        """Processor threads."""

    @property
    def fingerprint(self) -> str:
        """Hash of all that its predictions depend on."""

    @property
    def used(self) -> Mapping[str, Kind]:
        """Columns besides the text that it reads; `load_reviews` takes it as ``used``."""

    @property
    def columns(self) -> Mapping[str, str]:
        """Names by role of the columns that it was fitted on; `load_reviews` takes it as ``known``."""

    def check_answer(self, *, coverage: float | None = None, optimise: Optimise | None = None) -> None:
        """Find out before long work whether `predict` can answer so."""

    def check_rows(self, table: Table, first_row: int) -> None:
        """Find out before long work whether it can score the rows of a piece of a table, of which the first has that number.

        Raises:
            DataError: if it cannot.
        """

    def predict(
        self,
        reviews: Reviews,
        *,
        coverage: float | None = None,
        optimise: Optimise | None = None,
        reporter: Reporter | None = None,
    ) -> Predictions:
        """Predict the rating of each review."""


@dataclass(frozen=True, kw_only=True)
class PartSettings:
    """How parts are scored, and the folder that they are kept in."""

    columns: ColumnsConfig
    optimise: Optimise | None
    coverage: float | None
    work: Path


@dataclass(frozen=True, kw_only=True)
class ScoredPart:
    """What came of a part.

    Attributes:
        rows: how many it has.
        replaced: its columns whose place the predictions took.
        lacking: a sentence about columns that the model uses and the part lacks, None if it has all.
    """

    rows: int
    replaced: tuple[str, ...]
    lacking: str | None


def score_part(
    predictor: Scorer, settings: PartSettings, number: int, part: Table, reporter: Reporter | None = None
) -> ScoredPart:
    """Score a part and keep it in the folder, under its number and how many reviews a cascade passed on.

    Raises:
        DataError: if no reviews can be made of it.
        OutputError: if it cannot be written.
    """
    loaded = load_reviews(
        part,
        settings.columns,
        need_rating=False,
        drop_duplicates=False,
        used=predictor.used,
        known=predictor.columns,
        describe=False,
    )
    found = predictor.predict(loaded.reviews, optimise=settings.optimise, coverage=settings.coverage, reporter=reporter)
    scored, replaced = with_predictions(part, found)
    passed_on = 0 if found.passed_on is None else int(found.passed_on.sum())
    write_table(scored, settings.work / f"{number:08d}-{passed_on}.arrow")
    return ScoredPart(rows=part.num_rows, replaced=tuple(replaced), lacking=loaded.lacking)


class Workers:
    """Processes that score parts, each with the model loaded by itself. They end when this one does, also when it is killed.

    Not those of `multiprocessing`: these need no guard in a script that scores, and hear of the end of a killed parent.

    Args:
        folder: the model folder.
        settings: how parts are scored.
        count: how many processes.
    """

    def __init__(self, folder: Path, settings: PartSettings, count: int) -> None:
        self._folder, self._settings = folder, settings
        self._workers = [_Worker() for _ in range(count)]
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for worker in self._workers:
            worker.close()

    def score(self, parts: Iterable[tuple[int, Table]]) -> Iterator[ScoredPart]:
        """Score parts by their numbers and keep each; what came of them, in the order in which they are done.

        Raises:
            RatecastError: as `score_part` does.
            WorkerError: if a process ends before its work is done.
        """
        running: set[Future[ScoredPart]] = set()
        with ThreadPoolExecutor(len(self._workers), "ratecast-parts") as threads:
            for number, part in parts:
                running.add(threads.submit(self._score, number, part))
                if len(running) >= _WAITING_PARTS * len(self._workers):
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            yield from (future.result() for future in as_completed(running))

    def _score(self, number: int, part: Table) -> ScoredPart:
        worker = self._idle.get()
        try:
            return worker.ask(_Request(self._folder, self._settings, number, _packed(part)))
        finally:
            self._idle.put(worker)


class _Request(NamedTuple):
    """What a process is asked to do: score a part, as Arrow's stream, with a model."""

    folder: Path
    settings: PartSettings
    number: int
    part: bytes


class _Worker:
    """A process that runs `work`, and the pipes to it."""

    def __init__(self) -> None:
        places = os.pathsep.join(str(Path(place).absolute()) for place in sys.path)
        self._process = subprocess.Popen(  # noqa: S603 - nothing of it comes from outside
            [sys.executable, "-P", "-c", _COMMAND],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | _ONE_THREAD | {"PYTHONPATH": places},
            process_group=0,  # Ctrl-C is for the process that started it
        )
        self._requests = cast("IO[bytes]", self._process.stdin)
        self._answers = cast("IO[bytes]", self._process.stdout)

    def ask(self, request: _Request) -> ScoredPart:
        """Have a part scored; errors as for `Workers.score`."""
        try:
            pickle.dump(request, self._requests)
            self._requests.flush()
            answer: ScoredPart | RatecastError = pickle.load(self._answers)  # noqa: S301 - of our own process
        except (BrokenPipeError, EOFError, pickle.UnpicklingError):
            raise WorkerError(
                f"a process that scored rows ended by itself with status {self._process.wait()}; if memory was short, use "
                "fewer of them (--threads 1)"
            ) from None
        if isinstance(answer, RatecastError):
            raise answer
        return answer

    def close(self) -> None:
        """Let the process end, once the part that it is at is kept."""
        with suppress(BrokenPipeError):  # of a request that it did not live to read
            self._process.__exit__(None, None, None)


def work() -> None:
    """Be one of the `Workers`: answer each request from standard input on standard output, and end where the input does."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not come between the answers
    predictor: Predictor | None = None
    for request in _requested(requests):
        try:
            predictor = predictor or load(request.folder, threads=1)
            answer: object = score_part(predictor, request.settings, request.number, _unpacked(request.part))
        except RatecastError as error:
            answer = error
        try:
            pickle.dump(answer, answers)
            answers.flush()
        except BrokenPipeError:  # whoever asked is gone
            return


def _requested(requests: IO[bytes]) -> Iterator[_Request]:
    """What is asked, until whoever asks is gone."""
    while True:
        try:
            request: _Request = pickle.load(requests)  # noqa: S301 - of the process that started this one
        except (EOFError, pickle.UnpicklingError):
            return
        yield request


def _packed(table: Table) -> bytes:
    from arro3.io import write_ipc_stream

    buffer = io.BytesIO()
    write_ipc_stream(table, buffer)
    return buffer.getvalue()


def _unpacked(content: bytes) -> Table:
    from arro3.io import read_ipc_stream

    return Table.from_arrow(read_ipc_stream(io.BytesIO(content)))
