"""Comparisons: who is best, against each other model, with intervals that know how many models there are."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from ratecast.errors import DataError, OutputError
from ratecast.evaluate.bootstrap import paired_difference
from ratecast.evaluate.comparison import Comparison, check_metric, corrected_confidence, run_comparison
from ratecast.evaluate.comparison_report import write_comparison
from ratecast.evaluate.metrics import METRICS, compute_metrics
from ratecast.scale import FloatArray, RatingScale

STARS = RatingScale.parse("1..5")
CONTINUOUS = RatingScale.continuous(np.arange(101.0), 0, 100)


def drawn(*noises: float, reviews: int = 400, scale: RatingScale = STARS) -> tuple[FloatArray, list[FloatArray]]:
    """Ratings, and for each noise the probabilities around the rating plus an error of that size."""
    generator = np.random.default_rng(0)
    levels = np.asarray(scale.levels)
    ratings = generator.choice(levels, size=reviews)
    unit = (scale.high - scale.low) / 4
    models = []
    for noise in noises:
        centre = ratings + noise * unit * generator.normal(size=reviews)
        scores = np.exp(-(((levels - centre[:, None]) / unit) ** 2)) + 1e-6
        models.append(scores / scores.sum(axis=1, keepdims=True))
    return ratings, models


def compared(*noises: float, reviews: int = 400, metric: str = "rmse", scale: RatingScale = STARS) -> Comparison:
    ratings, models = drawn(*noises, reviews=reviews, scale=scale)
    return run_comparison(ratings, dict(zip("abcdef", models, strict=False)), scale, metric=metric)


def test_two_models_give_the_paired_difference_of_every_metric() -> None:
    ratings, (a, b) = drawn(1.0, 0.5)
    found = run_comparison(ratings, {"a": a, "b": b}, STARS)
    assert (found.winner.name, [other.name for other in found.others]) == ("b", ["a"])
    assert [entry.name for entry in found.entries] == ["a", "b"]
    assert found.winner.metrics == compute_metrics(ratings, b, STARS)
    for metric in METRICS:
        expected = paired_difference(ratings, b, a, STARS, metric=metric)
        difference = found.differences["a"][metric]
        assert (difference.low, difference.high) == pytest.approx((expected.low, expected.high)), metric
        assert difference.confidence == 0.95
    assert found.correction() == ""


def test_a_better_model_is_named_plainly() -> None:
    found = compared(1.0, 0.5)
    assert found.outcome == "better"
    expected = rf"b is better than a: {abs(found.differences['a']['rmse'].difference):.3f} lower RMSE \(95 % interval .*\)\."
    assert re.fullmatch(expected, found.verdict())


def test_models_that_the_data_cannot_tell_apart() -> None:
    found = compared(0.8, 0.8)
    assert found.outcome == "unclear"
    assert re.fullmatch(
        r"[ab] is ahead of [ab], but not clearly: 0\.\d+ lower RMSE \(95 % interval .*: the data cannot tell\)\.",
        found.verdict(),
    )
    ratings, (model,) = drawn(0.5)
    same = run_comparison(ratings, {"a": model, "b": model}, STARS)
    rmse = f"{same.winner.metrics.rmse:.3f}"
    assert same.verdict() == f"The data cannot tell a and b apart: both have the same RMSE of {rmse}."


def test_several_models_share_the_confidence() -> None:
    ratings, (a, b, c) = drawn(1.0, 0.5, 1.5)
    found = run_comparison(ratings, {"a": a, "b": b, "c": c}, STARS)
    assert [other.name for other in found.others] == ["a", "c"]
    assert found.pairs == 3
    assert corrected_confidence(3) == pytest.approx(1 - 0.05 / 3)
    wide = paired_difference(ratings, b, a, STARS, samples=2400, confidence=1 - 0.05 / 3)
    difference = found.differences["a"]["rmse"]
    assert (difference.low, difference.high) == pytest.approx((wide.low, wide.high))
    plain = paired_difference(ratings, b, a, STARS)
    assert difference.low < plain.low < plain.high < difference.high
    assert found.verdict() == (
        f"b is better than every other model. Against the next, a, it has {difference.summary()}. "
        "Between 3 models there are 3 differences, so each has a 98.33 % interval (Bonferroni): all hold at once in 95 % of "
        "such comparisons."
    )
    assert "(98.33 % interval " in difference.summary()


def test_the_models_that_are_not_clearly_beaten_are_named() -> None:
    found = compared(0.5, 0.5, 2.0)
    best, rival = found.winner.name, found.others[0].name
    assert {best, rival} == {"a", "b"}
    assert found.verdict().startswith(
        f"{best} is ahead of every other model, but not clearly: against the next, {rival}, it has"
    )
    assert "Not clearly beaten" not in found.verdict()
    level = compared(0.5, 0.5, 0.5, 2.0)
    second, third = level.others[:2]
    assert f"Not clearly beaten: {second.name}, {third.name}. Between 4 models there are 6 differences" in level.verdict()


def test_the_asked_metric_decides() -> None:
    ratings, (sure, _) = drawn(0.3, 0.3)
    bold = np.eye(5)[np.argmax(sure, axis=1)]  # the same most probable levels, and no doubt
    for metric, best in (("nll", "calm"), ("ece", "bold")):
        found = run_comparison(ratings, {"bold": bold, "calm": sure}, STARS, metric=metric)
        assert found.winner.name == best, metric
    higher = compared(1.0, 0.5, metric="qwk")
    assert higher.verdict().startswith("b is better than a: 0.")
    assert "higher QWK" in higher.verdict()


def test_qwk_is_that_of_the_ratings_that_are_given_for_it() -> None:
    ratings, (sure, unsure) = drawn(0.5, 0.5)
    given = {"a": ratings, "b": np.full(len(ratings), 3.0)}
    found = run_comparison(ratings, {"a": sure, "b": unsure}, STARS, metric="qwk", for_qwk=given)
    assert [entry.metrics.qwk for entry in found.entries] == [1.0, 0.0]
    assert found.differences["b"]["qwk"].difference == 1.0
    rounded = run_comparison(ratings, {"a": sure, "b": unsure}, STARS, metric="qwk")
    assert all(0 < (entry.metrics.qwk or 0) < 1 for entry in rounded.entries)


def test_few_reviews_are_told() -> None:
    found = compared(1.0, 0.5, reviews=8)
    assert "too few reviews for an interval: the data cannot tell" in found.verdict()
    assert found.verdict().endswith(" Only 8 reviews were compared; read this with care.")
    assert found.difference_rows()[0][2:] == ["–", "cannot tell"]


def test_an_undefined_metric_decides_nothing() -> None:
    _, (a, b) = drawn(1.0, 0.5)
    found = run_comparison(np.full(400, 4.0), {"a": a, "b": b}, STARS, metric="spearman")
    assert math.isnan(found.differences[found.others[0].name]["spearman"].difference)
    assert found.verdict().startswith("The data cannot tell which model is better: Spearman is undefined")


def test_the_table_of_differences() -> None:
    found = compared(1.0, 0.5)
    assert found.difference_header() == ["b", "minus a", "95 % interval", "b is"]
    rows = {row[0]: row[1:] for row in found.difference_rows()}
    assert list(rows) == [info.label for info in METRICS.values()]
    gap = found.differences["a"]["rmse"]
    assert rows["RMSE"] == [f"{gap.difference:.3f}", f"{gap.low:.3f} to {gap.high:.3f}", "better"]
    assert rows["RMSE"][0].startswith("-")
    assert not rows["QWK"][0].startswith("-")
    assert rows["QWK"][2] == "better"
    three = compared(1.0, 0.5, 1.5)
    assert three.difference_header() == ["b", "minus a", "98.33 % interval", "b is", "minus c", "98.33 % interval", "b is"]


def test_a_continuous_scale_has_no_levels_to_hit() -> None:
    found = compared(1.0, 0.5, scale=CONTINUOUS)
    assert "qwk" not in found.differences["a"]
    assert len(found.difference_rows()) == len(METRICS) - 3
    with pytest.raises(
        DataError, match=r"'qwk' is not defined on the scale 0\.\.100 \(continuous\); choose one of rmse, mse, mae"
    ):
        compared(1.0, 0.5, scale=CONTINUOUS, metric="qwk")


def test_what_cannot_be_compared() -> None:
    ratings, (model,) = drawn(1.0)
    with pytest.raises(DataError, match="two models or more to compare, found 1"):
        run_comparison(ratings, {"a": model}, STARS)
    with pytest.raises(DataError, match="the metric 'r2' is unknown; choose one of rmse, mse, mae, accuracy"):
        check_metric("r2", STARS)
    found = compared(1.0, 0.5)
    with pytest.raises(DataError, match="a difference for each but the best"):
        Comparison(entries=found.entries, scale=STARS, metric="rmse", differences={"b": {}})


def test_the_page_says_what_the_comparison_says(tmp_path: Path) -> None:
    found = compared(1.0, 0.5, 1.5)
    path = tmp_path / "report.html"
    write_comparison(path, found, title="a & <b>", notes=["120 read"])
    text = path.read_text(encoding="utf-8")
    assert "<h1>a &amp; &lt;b&gt;</h1>" in text
    plain = text.replace("\u00a0", " ")
    assert found.verdict() in plain
    assert "120 read" in text
    assert "One is better" in text
    for name, value, interval, word in (row[:4] for row in found.difference_rows()):
        shown = value if word == "cannot tell" else f"<b>{value}</b>"
        assert f'<th scope="row">{name}</th><td>{shown}<small>{interval}</small><small>{word}</small></td>' in text
    assert found.interval_text(found.winner, "qwk") in text
    assert "http" not in text


def test_the_json_holds_every_number(tmp_path: Path) -> None:
    ratings, (a, b) = drawn(1.0, 0.5, reviews=8)
    found = run_comparison(ratings, {"a": a, "b": b}, STARS, warnings=["seen before"])
    path = tmp_path / "report.json"
    write_comparison(path, found, title="a, b")
    content = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda name: pytest.fail(f"found {name}"))
    assert (content["verdict"], content["best"], content["metric"]) == (found.verdict(), "b", "rmse")
    assert content["differences"]["a"]["mae"]["difference"] == found.differences["a"]["mae"].difference
    assert content["differences"]["a"]["mae"]["low"] is None
    assert [entry["name"] for entry in content["entries"]] == ["a", "b"]
    assert content["warnings"] == ["seen before"]
    with pytest.raises(OutputError, match="cannot write the report"):
        write_comparison(tmp_path / "absent" / "report.json", found, title="a, b")
