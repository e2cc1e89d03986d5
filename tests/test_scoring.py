"""Scoring tables of any length: parts, kills, full disks, and memory."""

import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil
import pytest

import ratecast
from ratecast import parts, scoring
from ratecast.config import ColumnsConfig
from ratecast.data.read import read_table
from ratecast.data.table import build_table
from ratecast.data.write import write_table
from ratecast.errors import ConfigError, DataError, ModelFolderError, OutputError, WorkerError
from ratecast.files import MARKER
from ratecast.predict import Predictor, with_predictions
from ratecast.progress import Advance, SilentReporter
from ratecast.records import Predictions
from ratecast.scale import RatingScale
from ratecast.scoring import PART_ROWS, score_table

Rated = tuple[list[str], list[float]]
COMMAND = [sys.executable, "-m", "ratecast", "predict"]


@pytest.fixture(scope="module")
def linear(tiny_reviews: Rated, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A model of words alone: too little time for a network."""
    texts, ratings = tiny_reviews
    frame = pl.DataFrame({"text": texts, "rating": ratings})
    return ratecast.fit(frame, out=tmp_path_factory.mktemp("linear") / "model", time_budget="4s")


def rows_of(count: int) -> dict[str, list[Any]]:
    """Many short reviews with a number each."""
    words = ["great", "awful", "movie", "plot", "boring", "fine", "bad", "actors"]
    drawn = np.random.default_rng(0).integers(len(words), size=(count, 4))
    return {"number": list(range(count)), "text": [" ".join(words[word] for word in row) for row in drawn]}


def written(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path)


def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False, **options)


def test_added_columns_take_the_place_of_older_ones() -> None:
    table = build_table({"predicted_rating": [9.0], "text": ["a"], "p_1": ["old"]})
    predictions = Predictions(probabilities=np.array([[0.25, 0.75]]), scale=RatingScale.parse("1..2"))
    scored, replaced = with_predictions(table, predictions)
    assert scored.column_names == ["text", "predicted_rating", "predicted_median", "predicted_mode", "p_1", "p_2"]
    assert replaced == ["predicted_rating", "p_1"]
    assert scored["predicted_rating"].to_pylist() == [1.75]
    assert scored["p_1"].to_pylist() == [0.25]


@pytest.mark.parametrize("extension", [".csv", ".jsonl", ".parquet", ".arrow", ".tsv", ".csv.gz"])
def test_every_row_of_every_part_in_its_order(linear: Predictor, tmp_path: Path, extension: str) -> None:
    count = 2 * PART_ROWS + 17
    rows = pl.DataFrame(rows_of(count))
    rows.write_parquet(tmp_path / "new.parquet")
    found = score_table(linear, tmp_path / "new.parquet", tmp_path / f"scored{extension}")
    assert (found.rows, found.resumed_rows, found.passed_on) == (count, 0, None)
    table = read_table(tmp_path / f"scored{extension}").table
    assert table["number"].to_pylist() == list(range(count))
    expected = linear.predict(rows["text"].to_list()).rating
    np.testing.assert_allclose(table["predicted_rating"].to_pylist(), expected, atol=1e-9)
    assert not (tmp_path / f"scored{extension}.scoring").exists()


def test_pieces_of_other_types_become_one_table(linear: Predictor, tmp_path: Path) -> None:
    """Later pieces of a file may hold what the first ones did not: fractions, words, or a further column."""
    lines = [f'{{"text": "fine", "price": {row}, "code": {row}}}' for row in range(60_000)]
    lines += ['{"text": "bad", "price": 0.5, "code": "A1", "shop": "Rome"}']
    (tmp_path / "new.jsonl").write_text("\n".join(lines), encoding="utf-8")
    score_table(linear, tmp_path / "new.jsonl", tmp_path / "scored.parquet")
    found = written(tmp_path / "scored.parquet")
    assert found["price"].tail(2).to_list() == [59_999, 0.5]
    assert found["code"].tail(2).to_list() == ["59999", "A1"]
    assert found["shop"].tail(2).to_list() == [None, "Rome"]


@pytest.mark.parametrize("parts", [1, 3])
def test_a_killed_run_goes_on_and_ends_as_one_that_was_not(tiny_model: Path, tmp_path: Path, parts: int) -> None:
    pl.DataFrame(rows_of(8 * PART_ROWS)).write_csv(tmp_path / "new.csv")
    arguments: list[str | Path] = [tiny_model, tmp_path / "new.csv", "--out", tmp_path / "scored.parquet"]
    work = tmp_path / "scored.parquet.scoring"
    with subprocess.Popen([*COMMAND, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while len(list(work.glob("*.arrow"))) < parts and time.monotonic() < deadline:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "scored.parquet").exists()
    kept = {path.name: path.stat().st_mtime_ns for path in work.glob("*.arrow")}
    assert len(kept) >= parts
    resumed = run(*arguments, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "of them by the interrupted run" in resumed.stderr
    whole = run(tiny_model, tmp_path / "new.csv", "--out", tmp_path / "whole.parquet")
    assert whole.returncode == 0, whole.stderr
    assert written(tmp_path / "scored.parquet").equals(written(tmp_path / "whole.parquet"))


def test_a_full_disk_loses_nothing(linear: Predictor, tmp_path: Path) -> None:
    pl.DataFrame(rows_of(3 * PART_ROWS)).write_csv(tmp_path / "new.csv")
    out = tmp_path / "scored.csv"

    def limit() -> None:
        size = 200_000  # holds a part, and not the whole file
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    failed = run(linear.folder, tmp_path / "new.csv", "--out", out, preexec_fn=limit)
    assert failed.returncode == 2
    assert "cannot write" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not out.exists()
    assert list((tmp_path / "scored.csv.scoring").glob("*.arrow"))
    assert run(linear.folder, tmp_path / "new.csv", "--out", out, "--resume").returncode == 0
    assert len(pl.read_csv(out)) == 3 * PART_ROWS


def test_a_refused_part_says_what_is_kept(linear: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, calls = write_table, 0

    def write(table: Any, path: Path) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OutputError(f"cannot write {path}: No space left on device; nothing was written")
        original(table, path)

    monkeypatch.setattr(parts, "write_table", write)
    table = build_table(rows_of(3 * PART_ROWS))
    with pytest.raises(OutputError, match=r"2,000 of 6,000 rows are scored and kept in .*scoring: run again with --resume"):
        score_table(linear, table, tmp_path / "scored.csv")
    with pytest.raises(ConfigError, match=r"has scored about 2,000 rows.*go on from them with --resume"):
        score_table(linear, table, tmp_path / "scored.csv")
    found = score_table(linear, table, tmp_path / "scored.csv", resume=True)
    assert (found.rows, found.resumed_rows) == (6_000, 2_000)


def test_a_part_that_is_missing_between_others_is_scored(linear: Predictor, tmp_path: Path) -> None:
    """Several processes do not end their parts in the order of the rows."""
    table, work = build_table(rows_of(3 * PART_ROWS)), tmp_path / "scored.parquet.scoring"
    score_table(linear, table, tmp_path / "whole.parquet")
    with pytest.raises(KeyboardInterrupt):
        score_table(linear, table, tmp_path / "scored.parquet", reporter=Interrupting(after_rows=2 * PART_ROWS))
    kept = sorted(work.glob("*.arrow"))
    assert len(kept) >= 2
    kept[0].unlink()
    found = score_table(linear, table, tmp_path / "scored.parquet", resume=True)
    assert found.resumed_rows == (len(kept) - 1) * PART_ROWS
    assert written(tmp_path / "scored.parquet").equals(written(tmp_path / "whole.parquet"))


@pytest.fixture
def two(linear: Predictor, monkeypatch: pytest.MonkeyPatch) -> Predictor:
    """The model with two processes, also for few rows."""
    monkeypatch.setattr(scoring, "WORKER_ROWS", 100)
    return ratecast.load(linear.folder, threads=2)


class Interrupting(SilentReporter):
    """Does something, by default raises `KeyboardInterrupt`, once so many rows are scored."""

    def __init__(self, after_rows: int, act: Callable[[], None] | None = None) -> None:
        self.left, self.act = after_rows, act

    @contextmanager
    def track(self, task: str, total: int) -> Iterator[Advance]:
        def advance(rows: int, note: str) -> None:
            self.left -= rows
            if self.left <= 0 and self.act is None:
                raise KeyboardInterrupt
            if self.left <= 0 and self.act is not None:
                self.act()

        yield advance


def scorers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "ratecast.parts" in " ".join(child.cmdline())]


def test_two_processes_write_what_one_does(linear: Predictor, two: Predictor, tmp_path: Path) -> None:
    table, seen = build_table(rows_of(4 * PART_ROWS + 5)), set[int]()
    look = Interrupting(1, lambda: seen.update(child.pid for child in scorers()))
    score_table(linear, table, tmp_path / "one.parquet")
    found = score_table(two, table, tmp_path / "two.parquet", reporter=look)
    assert (found.rows, found.resumed_rows) == (4 * PART_ROWS + 5, 0)
    assert (tmp_path / "two.parquet").read_bytes() == (tmp_path / "one.parquet").read_bytes()
    assert len(seen) == 2
    assert not scorers()


def test_a_process_that_is_ended_loses_its_part_alone(two: Predictor, tmp_path: Path) -> None:
    table = build_table(rows_of(8 * PART_ROWS))

    def end() -> None:
        for child in scorers():
            child.kill()

    with pytest.raises(WorkerError, match=r"status -9.*of 16,000 rows are scored and kept in .*: run again with --resume"):
        score_table(two, table, tmp_path / "scored.parquet", reporter=Interrupting(1, end))
    assert not scorers()
    found = score_table(two, table, tmp_path / "scored.parquet", resume=True)
    assert found.resumed_rows >= PART_ROWS
    assert written(tmp_path / "scored.parquet")["number"].to_list() == list(range(8 * PART_ROWS))


def test_what_a_process_finds_wrong_is_told(two: Predictor, tmp_path: Path) -> None:
    shutil.copytree(two.folder, tmp_path / "model")
    model = ratecast.load(tmp_path / "model", threads=2)
    next((tmp_path / "model").glob("*.safetensors")).unlink()
    with pytest.raises(ModelFolderError, match="is missing"):
        score_table(model, build_table(rows_of(2 * PART_ROWS)), tmp_path / "scored.parquet")
    assert not scorers()


def test_an_error_of_its_own_ends_a_process_with_a_traceback(tmp_path: Path) -> None:
    """Also the error that the end of the requests is."""
    settings = parts.PartSettings(columns=ColumnsConfig(), optimise=None, coverage=None, work=tmp_path)
    request = pickle.dumps(parts._Request(tmp_path, settings, 0, b""))
    code = "import ratecast.parts as p\ndef fail(*_, **__): raise EOFError('of its own')\np.load = fail\np.work()"
    done = subprocess.run([sys.executable, "-c", code], input=request, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"EOFError: of its own" in done.stderr


def test_processes_end_with_the_one_that_started_them(two: Predictor, tmp_path: Path) -> None:
    """In a script, which nothing guards from being imported by its own processes."""
    pl.DataFrame(rows_of(30 * PART_ROWS)).write_parquet(tmp_path / "new.parquet")
    script = "import sys, ratecast, ratecast.scoring as s; s.WORKER_ROWS = 100; model = ratecast.load(sys.argv[1], threads=2)"
    (tmp_path / "script.py").write_text(f"{script}; s.score_table(model, *sys.argv[2:])", encoding="utf-8")
    places = [two.folder, tmp_path / "new.parquet", tmp_path / "scored.parquet"]
    work = tmp_path / "scored.parquet.scoring"
    with subprocess.Popen([sys.executable, str(tmp_path / "script.py"), *map(str, places)]) as process:
        deadline = time.monotonic() + 120
        while not list(work.glob("*.arrow")) and time.monotonic() < deadline:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.002)
        children = psutil.Process(process.pid).children()
        process.kill()
    assert len(children) == 2
    deadline = time.monotonic() + 60
    while any(map(is_alive, children)):
        assert time.monotonic() < deadline, "they live on"
        time.sleep(0.05)
    found = score_table(two, places[1], places[2], resume=True)
    assert 0 < found.resumed_rows < found.rows
    assert written(places[2])["number"].to_list() == list(range(30 * PART_ROWS))


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)  # an orphan that nothing waits for
    except psutil.NoSuchProcess:
        return False


def test_another_table_is_not_gone_on_with(linear: Predictor, tmp_path: Path) -> None:
    work = tmp_path / "scored.csv.scoring"
    pl.DataFrame(rows_of(10)).write_csv(tmp_path / "new.csv")
    score_table(linear, tmp_path / "new.csv", tmp_path / "scored.csv")
    work.mkdir()
    (work / "scoring.json").write_text('"another"')
    (work / MARKER).touch()
    with pytest.raises(ConfigError, match="of another table, model or other options; run without --resume"):
        score_table(linear, tmp_path / "new.csv", tmp_path / "scored.csv", resume=True)


def test_a_file_that_is_cut_off_is_found_before_the_work(linear: Predictor, tmp_path: Path) -> None:
    pl.DataFrame(rows_of(50_000)).write_parquet(tmp_path / "new.parquet")
    content = (tmp_path / "new.parquet").read_bytes()
    (tmp_path / "new.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError):
        score_table(linear, tmp_path / "new.parquet", tmp_path / "scored.csv")
    assert not (tmp_path / "scored.csv").exists()


def test_resume_needs_a_file(linear: Predictor) -> None:
    found = run(linear.folder, "--text", "fine", "--resume")
    assert found.returncode == 2
    assert "--resume goes on with the file that --out names" in found.stderr


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(linear: Predictor, tmp_path: Path) -> None:
    peaks = []
    for count in (20_000, 200_000):
        pl.DataFrame(rows_of(count)).write_parquet(tmp_path / "new.parquet", row_group_size=20_000)
        process = subprocess.Popen(
            [*COMMAND, linear.folder, tmp_path / "new.parquet", "--out", tmp_path / "scored.parquet", "--threads", "1"],
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        peaks.append(usage.ru_maxrss)
    assert peaks[1] < 1.15 * peaks[0]
