import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arro3.io import read_parquet

import ratecast
from ratecast.cli import run
from ratecast.cli.predict import _show
from ratecast.cli.show import Output
from ratecast.data.table import build_table
from ratecast.predict import with_predictions
from ratecast.records import Predictions, Reviews
from ratecast.scale import RatingScale

PREDICTED = ("predicted_rating", "predicted_median", "predicted_mode", "predicted_low", "predicted_high")


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def json_lines(shown: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in shown.splitlines()]


def test_added_columns_take_the_place_of_older_ones() -> None:
    table = build_table({"predicted_rating": [9.0], "text": ["a"], "p_1": ["old"]})
    predictions = Predictions(probabilities=np.array([[0.25, 0.75]]), scale=RatingScale.parse("1..2"))
    scored, replaced = with_predictions(table, predictions)
    assert scored.column_names == ["text", "predicted_rating", "predicted_median", "predicted_mode", "p_1", "p_2"]
    assert replaced == ["predicted_rating", "p_1"]
    assert scored["predicted_rating"].to_pylist() == [1.75]
    assert scored["p_1"].to_pylist() == [0.25]


def test_intervals_are_shown_in_bars_and_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    for count in (1, 6):
        predictions = Predictions(
            probabilities=np.tile([0.25, 0.75], (count, 1)),
            scale=RatingScale.parse("1..2"),
            interval=np.tile([1.0, 2.0], (count, 1)),
        )
        _show(Output(), Reviews.from_texts(["fine"] * count), predictions)
    shown = capsys.readouterr().out.splitlines()
    assert shown[2] == "  between 1 and 2"
    assert shown[5:7] == ["rating  median  mode  between  text", "  1.75       2     2   1 to 2  fine"]


def test_a_table_keeps_its_columns_and_the_order_of_its_rows(tiny_model: Path, tmp_path: Path) -> None:
    texts = ["the movie was great", "", "awful and bad", "the movie was great"]
    rows = [{"number": 10 - row, "text": text, "stars": 3} for row, text in enumerate(texts)]
    out = tmp_path / "scored.parquet"
    assert run(["predict", str(tiny_model), str(write_csv(tmp_path / "new.csv", rows)), "--out", str(out)]) == 0
    scored = read_parquet(str(out)).read_all()
    added = [*PREDICTED, "p_1", "p_2", "p_3", "p_4", "p_5"]
    assert scored.column_names == ["number", "text", "stars", *added]
    assert scored["number"].to_pylist() == [10, 9, 8, 7]
    expected = ratecast.load(tiny_model).predict(texts)
    np.testing.assert_allclose(scored["predicted_rating"].to_pylist(), expected.rating, atol=1e-5)
    np.testing.assert_allclose(scored["p_5"].to_pylist(), expected.probabilities[:, 4], atol=1e-5)


def test_a_table_may_be_scored_again_into_itself(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write_csv(tmp_path / "new.csv", [{"text": "the food was good"}, {"text": "bad"}]))
    assert run(["predict", str(tiny_model), path, "--out", path]) == 0
    first = Path(path).read_bytes()
    capsys.readouterr()
    assert run(["predict", str(tiny_model), path, "--out", path]) == 0
    assert Path(path).read_bytes() == first
    assert f"replaced the columns {', '.join(PREDICTED)}, p_1" in capsys.readouterr().err


def test_texts_are_shown_with_bars(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", str(tiny_model), "--text", "Great [phone]", "--text", "bad"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Great [phone]"
    assert lines[1].startswith("  predicted rating ")
    assert lines[2].startswith("  between ")
    assert len(lines) == 2 * (3 + 5) + 1
    shares = [float(line.split()[-1].rstrip("%")) for line in lines[3:8]]
    assert math.isclose(sum(shares), 100, abs_tol=0.5)


def test_many_reviews_are_shown_as_a_table(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_csv(tmp_path / "new.csv", [{"body": f"the room {number} was fine"} for number in range(6)])
    assert run(["predict", str(tiny_model), str(path), "--text-column", "body"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["rating", "median", "mode", "between", "text"]
    assert [line.split(maxsplit=6)[6] for line in lines[1:]] == [f"the room {number} was fine" for number in range(6)]
    assert all(1 <= float(line.split()[0]) <= 5 for line in lines[1:])


def test_json_lines_say_what_the_library_says(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["Great 电影 😀", " "]
    assert run(["predict", str(tiny_model), "--json", "--text", texts[0], "--text", texts[1]]) == 0
    first, second = json_lines(capsys.readouterr().out)
    expected = ratecast.load(tiny_model).predict(texts)
    assert first["text"] == texts[0]
    assert (first["id"], second["id"]) == ("0", "1")
    assert first["rating"] == pytest.approx(expected[0].rating, abs=1e-5)
    assert list(first["probabilities"]) == ["1", "2", "3", "4", "5"]
    assert sum(first["probabilities"].values()) == pytest.approx(1)
    assert first["warnings"] == list(expected[0].warnings)
    assert second["warnings"] == ["the text is empty"]


def test_words_that_the_backbone_does_not_know_are_told(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", str(tiny_model), "--json", "--text", "真好看", "--text", "the movie was very great 好"]) == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["warnings"] == ["100% of the text's tokens are unknown to the model's backbone"]
    assert "warnings" not in second


def test_lines_of_standard_input(tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    content = "\ufeffgood\r\n\nschön\n".encode() + b"broken \xff\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding="ascii"))
    assert run(["predict", str(tiny_model), "--json"]) == 0
    assert [line["text"] for line in json_lines(capsys.readouterr().out)] == ["good", "", "schön", "broken \ufffd"]


def test_texts_may_be_written_to_a_file(tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "scored.jsonl"
    assert run(["predict", str(tiny_model), "--text", "good", "--out", str(out)]) == 0
    (line,) = json_lines(out.read_text(encoding="utf-8"))
    assert line["text"] == "good"
    assert 1 <= line["predicted_rating"] <= 5


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        ([], Terminal(), "nothing to rate"),
        ([], io.StringIO(""), "standard input is empty"),
        (["new.csv", "--text", "good"], None, "found both a table and --text"),
        (["--text", "good", "--text-column", "body"], None, "--text-column needs a table"),
        (["missing.csv"], None, "missing.csv"),
        (["--text", "good", "--out", "scored.docx"], None, "scored.docx"),
        (["--text", "good", "--out", "nowhere/scored.csv"], None, "nowhere"),
        (["missing.csv", "--coverage", "1.5"], None, "coverage of intervals must be above 0 and below 1, found 1.5"),
    ],
)
def test_what_cannot_be_rated(
    arguments: list[str],
    stdin: io.StringIO | None,
    message: str,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", stdin)
    assert run(["predict", str(tiny_model), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("ratecast: error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", str(tmp_path), "--text", "good"]) == 2
    assert "is no model folder" in capsys.readouterr().err
