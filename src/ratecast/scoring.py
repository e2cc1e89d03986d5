"""Scoring a table of any length: read, predicted and kept a part at a time, in flat memory, and a kill loses little."""

import hashlib
import json
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from arro3.core import Array, ChunkedArray, DataType, Table

from ratecast.config import ColumnsConfig, Optimise
from ratecast.data import Source
from ratecast.data.columns import find_columns, with_known
from ratecast.data.read import stream_table
from ratecast.data.table import TEXT, is_number
from ratecast.data.texts import source_stamp
from ratecast.data.write import check_writable, write_tables
from ratecast.errors import ConfigError, DataError, OutputError, WorkerError
from ratecast.files import check_working_folder, read_state, working_folder, write_state
from ratecast.parts import PartSettings, ScoredPart, Scorer, Workers, score_part
from ratecast.progress import Advance, Reporter, SilentReporter

PART_ROWS: Final = 2_000
"""Rows that are scored before they are written down."""
WORKER_ROWS: Final = 50_000
"""Rows for which it pays to start a process, which takes as long as scoring a good part of them."""
_STATE_FILE: Final = "scoring.json"
_ROLES: Final = ("text", "title", "user", "item", "category")


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What came of scoring a table.

    Attributes:
        rows: how many rows were written.
        resumed_rows: how many of them an interrupted run had scored.
        passed_on: how many reviews a cascade passed on to its full blend; None if the model is no cascade.
        replaced: columns of the input whose place the predictions took.
        seconds: what scoring the other rows took.
    """

    rows: int
    resumed_rows: int
    passed_on: int | None
    replaced: tuple[str, ...]
    seconds: float

    def describe(self) -> str:
        """What came of it, in a sentence or two."""
        scored = self.rows - self.resumed_rows
        found = f"{self.rows:,} predictions"
        if self.resumed_rows:
            found += f", {self.resumed_rows:,} of them by the interrupted run"
        if self.seconds > 1:
            found += f", {scored / self.seconds:,.0f} reviews/s"
        if self.passed_on is not None:
            found += f"; {self.passed_on:,} ({self.passed_on / max(1, self.rows):.0%}) were passed on to the slower model"
        return found


def score_table(
    predictor: Scorer,
    source: Source,
    out: str | Path,
    *,
    columns: ColumnsConfig | None = None,
    optimise: Optimise | None = None,
    coverage: float | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
) -> Scored:
    """Predict the ratings of a table of any length and write it, with its own columns and the order of its rows, to a file.

    The table is read twice, a piece at a time: first to count its rows and settle the types of its columns, so that a file that
    is cut off is found before the long work. What is scored is kept in ``<out>.scoring`` until the file is written as a whole.
    Delimited files, JSON lines, Parquet and Arrow take flat memory; another source is in memory as a whole. A model without a
    network scores long tables in as many processes as the model has threads; each holds the model.

    Args:
        predictor: the model.
        source: whatever `read_table` reads.
        out: file to write: .parquet, .csv, .tsv, .jsonl (these three also .gz) or .arrow.
        columns: columns that are known already, and the SQL query.
        optimise: as for `Predictor.predict`.
        coverage: as for `Predictor.predict`.
        resume: go on with a run that was interrupted; it must be of the same table, model and options.
        reporter: shows the progress; nothing by default.

    Raises:
        ConfigError: if what an interrupted run left is of something else, or an option cannot be used.
        DataError: if the table cannot be read or has no column with texts.
        OutputError: if the file cannot be written. What was scored is kept, and `resume` goes on from it.
        WorkerError: if a process that scores ends before its work is done; then too.

    Example:
        ``score_table(ratecast.load("model/"), "new.parquet", "scored.parquet")``
    """
    target, told, config = Path(out), reporter or SilentReporter(), columns or ColumnsConfig()
    check_writable(target)
    work = target.with_name(f"{target.name}.scoring")
    check_working_folder(work)
    if not resume and (kept := len(_parts(work))):
        raise ConfigError(
            f"an interrupted run has scored about {kept * PART_ROWS:,} rows, which lie in {work}: go on from them with "
            "--resume, or delete that folder to begin anew"
        )
    predictor.check_answer(coverage=coverage, optimise=optimise)
    survey = _survey(source, config, predictor, told)
    options = [
        predictor.fingerprint,
        source_stamp(source),
        asdict(survey.config),
        optimise,
        coverage,
        survey.rows,
    ]
    fingerprint = hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()
    scoring = _Scoring(predictor, source, survey, told)
    settings = PartSettings(columns=replace(survey.config, query=None), optimise=optimise, coverage=coverage, work=work)
    with working_folder(work, resume=resume):
        _check_resumed(work / _STATE_FILE, fingerprint, resume=resume)
        before, begun = _rows_in(work, survey.rows), time.perf_counter()
        scoring.run(settings)
        seconds = time.perf_counter() - begun
        parts = _parts(work)
        write_tables((_read(part) for part in parts.values()), target)
    return Scored(
        rows=survey.rows,
        resumed_rows=before,
        passed_on=sum(int(part.stem.partition("-")[2]) for part in parts.values()) if predictor.is_cascade else None,
        replaced=scoring.replaced,
        seconds=seconds,
    )


# -- the table as a whole ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Survey:
    """What a table is like as a whole: its rows, the type of each column, and the columns that the model reads."""

    rows: int
    kinds: Mapping[str, DataType]
    config: ColumnsConfig


def _survey(source: Source, config: ColumnsConfig, predictor: Scorer, reporter: Reporter) -> _Survey:
    rows, kinds, filled, told = 0, dict[str, DataType](), set[str](), set[str]()
    first: Table | None = None
    for piece in stream_table(source, query=config.query):
        first = piece.table if first is None and piece.table.num_rows else first
        predictor.check_rows(piece.table, rows)
        rows += piece.table.num_rows
        for name in piece.table.column_names:
            column = piece.table[name]
            if column.null_count == len(column):
                kinds.setdefault(name, column.type)
            else:
                kinds[name] = _common(kinds[name], column.type) if name in filled else column.type
                filled.add(name)
        for note in piece.notes:
            if note not in told:
                reporter.tell(f"{piece.source}: {note}")
                told.add(note)
    if first is None:
        raise DataError("the table has no rows; expected reviews")
    known = with_known(config, predictor.columns, first)
    roles = find_columns(first, known, need_rating=False).roles()
    named = {f"{role}_column": roles[role] for role in _ROLES if role in roles}
    return _Survey(rows=rows, kinds=kinds, config=replace(config, **named))


def _common(one: DataType, other: DataType) -> DataType:
    """The type that holds the values of both."""
    if one.equals(other):
        return one
    return DataType.float64() if is_number(one) and is_number(other) else TEXT


def _conform(table: Table, kinds: Mapping[str, DataType]) -> Table:
    """A piece with the columns and types of the whole table."""
    found = []
    for name, kind in kinds.items():
        column = table[name] if name in table.column_names else None
        if column is None or (column.null_count == len(column) and not column.type.equals(kind)):
            column = ChunkedArray([Array([None] * table.num_rows, TEXT).cast(kind)])
        try:
            found.append(column if column.type.equals(kind) else column.cast(kind))
        except Exception as error:  # arro3 raises nothing narrower when it cannot cast
            raise DataError(f"the column {name!r} has types that do not fit each other: {error}") from error
    return Table.from_arrays(found, names=list(kinds))


# -- scoring ----------------------------------------------------------------------------------------------------------


class _Scoring:
    """Scores a table part by part."""

    def __init__(self, predictor: Scorer, source: Source, survey: _Survey, reporter: Reporter) -> None:
        self._predictor, self._source, self._survey, self._reporter = predictor, source, survey, reporter
        self.replaced: tuple[str, ...] = ()
        self._lacking: str | None = None

    def run(self, settings: PartSettings) -> None:
        """Score and keep every part that is not kept yet."""
        with self._reporter.track("predicting", self._survey.rows) as advance:
            parts = self._left(set(_parts(settings.work)), advance)
            try:
                for scored in self._scored(parts, settings, _with_speed(advance)):
                    self.replaced = scored.replaced
                    if scored.lacking and scored.lacking != self._lacking:
                        self._reporter.tell(scored.lacking)
                        self._lacking = scored.lacking
            except (OutputError, WorkerError) as error:
                rows, work = self._survey.rows, settings.work
                kept = f"{_rows_in(work, rows):,} of {rows:,} rows are scored and kept in {work}"
                raise type(error)(f"{error}; {kept}: run again with --resume") from None

    def _scored(self, parts: Iterable[tuple[int, Table]], settings: PartSettings, advance: Advance) -> Iterator[ScoredPart]:
        """What came of each part, which is kept; not always in their order."""
        processes = 1 if self._predictor.has_network else min(self._predictor.threads, self._survey.rows // WORKER_ROWS)
        if processes > 1:
            with Workers(self._predictor.folder, settings, processes) as workers:
                for scored in workers.score(parts):
                    advance(scored.rows, "")
                    yield scored
            return
        for number, part in parts:
            forward = _Forward(advance)
            scored = score_part(self._predictor, settings, number, part, forward)
            advance(scored.rows - forward.advanced, "")
            yield scored

    def _left(self, done: Collection[int], advance: Advance) -> Iterator[tuple[int, Table]]:
        """The parts that are not done, with their numbers."""
        rows = 0
        for number, part in enumerate(self._slices()):
            rows += part.num_rows
            if number in done:
                advance(part.num_rows, "")
            else:
                yield number, part
        if rows != self._survey.rows:
            raise DataError(f"the table changed while it was read: {self._survey.rows:,} rows before, {rows:,} now")

    def _slices(self) -> Iterator[Table]:
        """Parts of equally many rows, whatever the pieces are that the table is read in."""
        waiting: list[Table] = []
        for piece in stream_table(self._source, query=self._survey.config.query):
            table = _conform(piece.table, self._survey.kinds)
            start = 0
            while start < table.num_rows:
                room = PART_ROWS - sum(part.num_rows for part in waiting)
                waiting.append(table.slice(start, min(room, table.num_rows - start)))
                start += waiting[-1].num_rows
                if sum(part.num_rows for part in waiting) == PART_ROWS:
                    yield _joined(waiting)
                    waiting = []
        if waiting:
            yield _joined(waiting)


def _with_speed(advance: Advance) -> Advance:
    """Shows how many reviews a second it has been so far."""
    started, done = time.monotonic(), 0

    def go(units: int, note: str) -> None:
        nonlocal done
        done += units
        advance(units, note or f"{done / max(time.monotonic() - started, 1e-3):,.0f} reviews/s")

    return go


class _Forward:
    """Takes the progress of one prediction to that of the whole table."""

    def __init__(self, advance: Advance) -> None:
        self._advance = advance
        self.advanced = 0

    def tell(self, message: str) -> None:
        """Nothing: what a part has to say is told once."""

    @contextmanager
    def track(self, task: str, total: int) -> Iterator[Advance]:
        """Progress of one member; that of the first counts."""
        counts = self.advanced == 0

        def advance(units: int, note: str) -> None:
            if counts:
                self.advanced += units
                self._advance(units, note)

        yield advance


def _parts(work: Path) -> dict[int, Path]:
    """Parts that are scored by their numbers, in their order."""
    return {int(path.stem.partition("-")[0]): path for path in sorted(work.glob("*.arrow"))}


def _rows_in(work: Path, rows: int) -> int:
    """Rows of the parts that are scored, of a table of so many."""
    return sum(min(PART_ROWS, rows - PART_ROWS * number) for number in _parts(work))


def _read(part: Path) -> Table:
    from arro3.io import read_ipc

    try:
        return Table.from_arrow(read_ipc(part))
    except Exception as error:  # noqa: BLE001 - arro3 raises nothing narrower
        raise DataError(f"{part} is damaged ({error}); delete it, and run with --resume") from None


def _joined(tables: list[Table]) -> Table:
    if len(tables) == 1:
        return tables[0]
    batches = [batch for table in tables for batch in table.to_batches()]
    return Table.from_batches(batches, schema=tables[0].schema)


def _check_resumed(path: Path, fingerprint: str, *, resume: bool) -> None:
    found = read_state(path) if resume else None
    if found is not None and found != fingerprint:
        raise ConfigError(
            f"what an interrupted run left in {path.parent} is of another table, model or other options; run without --resume"
        )
    if found is None:
        write_state(path, fingerprint)
