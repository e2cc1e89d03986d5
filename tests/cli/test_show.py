import io

import numpy as np
import pytest

from ratecast.cli.show import Output, excerpt, show_contest, show_prediction, show_table
from ratecast.evaluate import run_contest
from ratecast.records import Predictions
from ratecast.scale import RatingScale

HEADER = ["Model", "RMSE", "Accuracy"]
ROWS = [["constant", "1.234 (1.200–1.300)", "0.31"], ["tuned 模型", "0.800*", "0.62*"]]


def on_terminal(width: int) -> Output:
    output = Output()
    output.file = io.StringIO()
    output._force_terminal = True
    output._width = width
    output._color_system = None
    return output


def shown(output: Output) -> list[str]:
    assert isinstance(output.file, io.StringIO)
    return [line.rstrip() for line in output.file.getvalue().splitlines()]


def test_a_table_in_a_pipe_is_aligned_whole_and_plain(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    show_table(Output(), HEADER, ROWS)
    assert capsys.readouterr().out.splitlines() == [
        "Model                      RMSE  Accuracy",
        "constant    1.234 (1.200–1.300)      0.31",
        "tuned 模型               0.800*     0.62*",
    ]


def test_a_table_on_a_narrow_terminal_is_divided_not_cut() -> None:
    output = on_terminal(34)
    show_table(output, HEADER, ROWS)
    assert shown(output) == [
        "Model                      RMSE",
        "constant    1.234 (1.200–1.300)",
        "tuned 模型               0.800*",
        "",
        "Model       Accuracy",
        "constant        0.31",
        "tuned 模型     0.62*",
    ]


def test_a_table_on_a_wide_terminal_is_whole() -> None:
    output = on_terminal(80)
    show_table(output, HEADER, ROWS)
    assert len(shown(output)) == 3


def test_contest_has_its_decimals_below_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    scale = RatingScale.parse("1..2")
    ratings = np.array([1.0, 2.0] * 20)
    sure = np.array([[0.9, 0.1], [0.1, 0.9]] * 20)
    contest = run_contest(ratings, {"constant": np.full((40, 2), 0.5), "ours": sure}, scale, model="ours")
    show_contest(Output(), contest)
    table, verdict = capsys.readouterr().out.split("\n\n")
    header, constant, ours, note = table.splitlines()
    assert header.split()[:2] == ["Model", "RMSE"]
    assert (constant.split()[1], ours.split()[1]) == ("0.5000", "0.1000*")
    assert constant.index("0.5000") == ours.index("0.1000*")
    assert note.startswith("* best")
    assert verdict.strip() == contest.verdict()


def test_prediction_with_bars(capsys: pytest.CaptureFixture[str]) -> None:
    predictions = Predictions(
        probabilities=np.array([[0.5, 0.1, 0.4]]), scale=RatingScale.parse("1..2/0.5"), warnings=(("the text is long",),)
    )
    show_prediction(Output(), "Great [phone]\npoor battery", predictions[0])
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "Great [phone] poor battery",
        "  predicted rating 1.45, median 1, most probable 1",
        "    1 ███████████████                 50.0%",
        "  1.5 ███                             10.0%",
        "    2 ████████████                    40.0%",
        "  note: the text is long",
    ]


@pytest.mark.parametrize(
    ("text", "cells", "expected"),
    [
        ("short", 10, "short"),
        ("two\n lines", 10, "two lines"),
        ("exactly10!", 10, "exactly10!"),
        ("eleven char", 10, "eleven ch…"),
        ("电影很好看很好看", 10, "电影很好…"),
        ("", 10, ""),
        ("x" * 5_000_000, 10, "xxxxxxxxx…"),
    ],
)
def test_excerpt(text: str, cells: int, expected: str) -> None:
    assert excerpt(text, cells) == expected
