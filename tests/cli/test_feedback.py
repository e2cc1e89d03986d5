"""What the service collected goes to a table that fit takes, or away."""

import re
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import ratecast
from ratecast.cli import run
from ratecast.data import read_table
from ratecast.store import Decision, Feedback, Store
from stored import predicted


@pytest.fixture
def place(tmp_path: Path, tiny_reviews: tuple[list[str], list[float]]) -> Path:
    """A database with 120 predictions: feedback on all but ten, of which five were corrected; users A to F."""
    texts, ratings = tiny_reviews
    path = tmp_path / "ratecast.db"
    start = datetime.now(UTC) - timedelta(days=130)
    with Store.open(path) as store:
        for number, (text, rating) in enumerate(zip(texts, ratings, strict=True)):
            name, moment = f"{number}", start + timedelta(days=number)
            about = {"text": text, "title": "", "item": "room", "user": "ABCDEF"[number % 6]}
            store.add_predictions([predicted(name, **about, time=moment, kept=moment)])
            if number >= 10:
                store.add_feedback(Feedback(prediction_id=name, rating=rating, source="shop", time=moment))
            elif number >= 5:
                decision = Decision(prediction_id=name, reviewer="Ann", verdict="correct", rating=rating, time=moment)
                store.add_decision(decision)
    return path


def test_export_has_what_people_said(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "rated.csv"
    assert run(["feedback", "export", "--store", str(place), "--out", str(out)]) == 0
    assert capsys.readouterr().err == f"115 ratings written to {out}\n"
    rows = read_table(out).table
    assert rows.column_names == ["text", "title", "item", "user", "rating", "time", "source", "model"]
    assert rows["source"].to_pylist()[:6] == ["review by Ann"] * 5 + ["shop"]
    assert rows["user"].to_pylist()[0] == "F"


@pytest.mark.slow
def test_fit_takes_what_was_exported_beside_other_reviews(
    place: Path, tmp_path: Path, tiny_reviews: tuple[list[str], list[float]], capsys: pytest.CaptureFixture[str]
) -> None:
    out, more, model = tmp_path / "rated.parquet", tmp_path / "reviews.csv", tmp_path / "model"
    more.write_text("text,rating\n" + "".join(f"a fine {number} thing,{number % 5 + 1}\n" for number in range(40)), "utf-8")
    assert run(["feedback", "export", "--store", f"sqlite:///{place}", "--out", str(out)]) == 0
    assert run(["fit", str(more), str(out), "--out", str(model), "--time-budget", "2s"]) == 0
    shown = capsys.readouterr()
    assert re.search(r"rows +155\b", shown.out + shown.err)
    scale = ratecast.load(model).scale
    assert (scale.low, scale.high) == (1.0, 5.0)


def test_the_place_may_stand_in_the_environment(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RATECAST_STORE", str(place.parent))
    assert run(["feedback", "delete-user", "A"]) == 0
    assert capsys.readouterr().out == "deleted 20 predictions, 18 feedback, 1 decisions\n"
    assert run(["feedback", "delete-user", "A"]) == 0
    assert capsys.readouterr().out == "deleted 0 predictions, 0 feedback, 0 decisions\n"
    assert stat.S_IMODE(place.stat().st_mode) == 0o600


def test_prune_deletes_what_is_old(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["feedback", "prune", "--store", str(place), "--days", "30.5"]) == 0
    assert capsys.readouterr().out == "deleted 100 predictions, 90 feedback, 5 decisions\n"
    out = tmp_path / "rated.jsonl"
    assert run(["feedback", "export", "--store", str(place), "--out", str(out)]) == 0
    assert len(read_table(out).table) == 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "--out", "rated.csv"], "--store"),
        (["export", "--store", "nowhere.db", "--out", "rated.csv"], "there is no database"),
        (["export", "--store", "empty.db", "--out", "rated.csv"], "has no feedback on a prediction whose text was kept"),
        (["export", "--store", "empty.db", "--out", "rated.txt"], "use a name that ends in .parquet"),
        (["export", "--store", "notes.txt", "--out", "rated.csv"], "file is not a database"),
        (["export", "--store", "mysql://a/b", "--out", "rated.csv"], "expected a database of sqlite or postgresql"),
        (["export", "--store", "postgresql://me:secret@127.0.0.1:9/x", "--out", "rated.csv"], "cannot be used now"),
        (["prune", "--store", "empty.db", "--days", "-1"], "expected from 0 to 36,500 days, found -1"),
        (["prune", "--store", "empty.db", "--days", "nan"], "expected from 0 to 36,500 days, found nan"),
        (["prune", "--store", "empty.db", "--days", "1e9"], "expected from 0 to 36,500 days"),
    ],
)
def test_misuse_is_one_line_and_status_2(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Store.open("empty.db").close()
    (tmp_path / "notes.txt").write_text("no database, but long enough to be one\n" * 100, encoding="utf-8")
    assert run(["feedback", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("ratecast: error: ")
    assert shown.err.count("\n") == 1
    assert message in shown.err
    assert "secret" not in shown.err
    assert not (tmp_path / "rated.csv").exists()
