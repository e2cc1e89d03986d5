"""The page and the JSON of a search."""

import json
import re
from dataclasses import replace

from ratecast.tuning.report import Findings
from ratecast.tuning.search import Ended, Trial


def trial(number: int, rmse: float | None, ended: Ended = "complete", failure: str = "") -> Trial:
    settings = {"learning_rate": 1e-4 * (number + 1), "head": "<corn>", "max_tokens": None}
    return Trial(number=number, settings=settings, ended=ended, rmse=rmse, seconds=10.0, failure=failure)


TRIALS = (trial(0, 1.2), trial(1, 1.4, "stopped early"), trial(2, None, "failed", "RuntimeError: a < b"), trial(3, 1.0))
FOUND = Findings(
    trials=TRIALS,
    best=TRIALS[3],
    importances={"learning_rate": 0.75, "head": 0.25},
    fixed={"dropout": 0.2},
    source="a&b.csv",
)


def test_the_page_tells_what_was_found() -> None:
    html = FOUND.to_html()
    assert "Best of 2 complete trials: validation RMSE 1.000; with the settings as given 1.200." in html
    rows = re.findall(r"<tr( class=\"model\")?><th scope=\"row\">(\d)</th>(.*?)</tr>", html)
    assert [number for _, number, _ in rows] == ["1", "2", "3", "4"]
    assert [bool(mark) for mark, _, _ in rows] == [False, False, False, True]
    assert re.findall("<td>(.*?)</td>", rows[2][2])[:3] == ["–", "failed: RuntimeError: a &lt; b", "10"]
    assert re.findall("<td>(.*?)</td>", rows[3][2]) == ["1.000", "complete", "10", "0.0004", "&lt;corn&gt;", "auto"]
    assert re.findall("<dt>(.*?)</dt><dd>(.*?)</dd>", html) == [
        ("Best RMSE", "1.000"),
        ("As given", "1.200"),
        ("Complete", "2"),
        ("Stopped early", "1"),
        ("Failed", "1"),
        ("Seconds", "40"),
    ]
    assert html.count('<svg class="plot"') == 2
    assert "a&amp;b.csv" in html
    assert "dropout=0.2" in html
    assert "<script" not in html


def test_without_a_better_trial_the_settings_stay() -> None:
    found = replace(FOUND, trials=TRIALS[:1], best=TRIALS[0], importances={})
    assert found.verdict() == "No trial was better than the settings as given: validation RMSE 1.200."
    html = found.to_html()
    assert html.count('<svg class="plot"') == 1
    assert "Which settings matter cannot be told" in html


def test_a_search_without_a_complete_trial_still_has_a_page() -> None:
    found = replace(FOUND, trials=TRIALS[2:3], best=None, importances={})
    assert "No trial was completed" in found.to_html()
    assert json.loads(found.to_json())["best"] is None


def test_the_first_trial_may_have_failed() -> None:
    found = replace(FOUND, trials=(replace(TRIALS[0], ended="failed", rmse=None), *TRIALS[1:]))
    assert "as given" not in found.verdict()
    assert ("As given", "–") in re.findall("<dt>(.*?)</dt><dd>(.*?)</dd>", found.to_html())


def test_json_has_every_trial() -> None:
    content = json.loads(FOUND.to_json())
    assert content["best"] == 3
    assert content["trials"][1] == {
        "number": 1,
        "settings": {"learning_rate": 2e-4, "head": "<corn>", "max_tokens": None},
        "ended": "stopped early",
        "rmse": 1.4,
        "seconds": 10.0,
        "failure": "",
    }
    assert content["importances"] == {"learning_rate": 0.75, "head": 0.25}
    assert content["fixed"] == {"dropout": 0.2}
