"""The contest: who wins, how plainly it is said, and that it survives storing."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from ratecast.errors import DataError, RatecastError, ScaleError
from ratecast.evaluate.contest import TEACHER, Contest, Entry, run_contest
from ratecast.scale import FloatArray, RatingScale

STARS = RatingScale.parse("1..5")
MODEL = "fine-tuned model"


def drawn(reviews: int, noise: float, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    generator = np.random.default_rng(seed)
    levels = np.asarray(STARS.levels)
    ratings = generator.choice(levels, size=reviews)
    centre = ratings + noise * generator.normal(size=reviews)
    scores = -((levels - centre[:, None]) ** 2)
    probabilities = np.exp(scores - scores.max(axis=1, keepdims=True))
    return ratings, probabilities / probabilities.sum(axis=1, keepdims=True)


def contest(model_noise: float, baseline_noise: float, reviews: int = 400) -> Contest:
    ratings, model = drawn(reviews, model_noise)
    _, baseline = drawn(reviews, baseline_noise)
    entries = {MODEL: model, "constant": np.full((reviews, 5), 0.2), "TF-IDF": baseline}
    return run_contest(ratings, entries, STARS, model=MODEL, seconds={MODEL: 61.4, "constant": 0.01})


def test_the_model_comes_last_and_the_strongest_baseline_is_found() -> None:
    found = contest(0.5, 1.0)
    assert [entry.name for entry in found.entries] == ["constant", "TF-IDF", MODEL]
    assert found.model.name == MODEL
    assert found.strongest is not None
    assert found.strongest.name == "TF-IDF"
    assert set(found.differences) == {"constant", "TF-IDF"}


def test_a_model_that_beats_every_baseline() -> None:
    found = contest(0.5, 1.0)
    assert found.outcome == "better"
    assert found.verdict().startswith(
        f"The fine-tuned model beats every baseline. Against the strongest, TF-IDF, it has "
        f"{abs(found.differences['TF-IDF'].difference):.3f} lower RMSE (95 % interval "
    )


def test_a_model_that_loses_is_told_so_plainly() -> None:
    found = contest(1.0, 0.5)
    assert found.outcome == "worse"
    verdict = found.verdict()
    assert verdict.startswith("The fine-tuned model does not beat the baseline TF-IDF; it is worse: ")
    assert "may help; until then the baseline is the better choice." in verdict
    assert "beats" not in verdict


def test_a_draw_does_not_count_as_a_win() -> None:
    found = contest(1.0, 1.0)
    assert found.outcome == "worse"
    assert "does not beat the baseline TF-IDF: both have an RMSE of" in found.verdict()


@pytest.mark.parametrize(("sign", "outcome"), [(-1, "unclear"), (1, "worse")])
def test_verdicts_where_the_data_cannot_tell(sign: int, outcome: str) -> None:
    clear = contest(0.5, 1.0)
    rival = clear.entries[1]
    difference = replace(clear.differences["TF-IDF"], difference=sign * 0.002, low=-0.01, high=0.012)
    close = replace(clear.model, metrics=replace(clear.model.metrics, rmse=rival.metrics.rmse + sign * 0.002))
    found = replace(clear, entries=(*clear.baselines, close), differences={**clear.differences, "TF-IDF": difference})
    assert found.outcome == outcome
    assert "the data cannot tell" in found.verdict()
    assert "TF-IDF" in found.verdict()
    assert ("does not beat" in found.verdict()) == (outcome == "worse")
    assert ("More test reviews" in found.verdict()) == (outcome == "unclear")


def test_a_weak_baseline_that_is_not_clearly_beaten_is_named() -> None:
    clear = contest(0.5, 1.0)
    unsure = replace(clear.differences["constant"], low=-0.5, high=0.1)
    found = replace(clear, differences={**clear.differences, "constant": unsure})
    assert found.outcome == "unclear"
    assert "Not clearly beaten: constant." in found.verdict()


def test_without_baselines_nothing_is_claimed() -> None:
    ratings, model = drawn(200, 0.5)
    found = run_contest(ratings, {MODEL: model}, STARS, model=MODEL)
    assert found.outcome == "alone"
    assert "no baseline" in found.verdict()
    assert found.strongest is None
    assert found.header()[-1] == "ECE"


def test_few_reviews_are_told() -> None:
    assert "Only 40 reviews were tested" in contest(0.5, 1.0, reviews=40).verdict()
    ratings, model = drawn(1, 0.5)
    one = run_contest(ratings, {MODEL: model, "constant": np.full((1, 5), 0.2)}, STARS, model=MODEL)
    assert one.outcome in ("unclear", "worse")  # one review proves nothing
    assert "Only 1 review was tested" in one.verdict()
    assert one.rows()[0][1].rstrip("*") == f"{abs(ratings[0] - 3):.3f}"  # no interval


def test_a_missing_model_is_told() -> None:
    ratings, model = drawn(20, 0.5)
    with pytest.raises(DataError, match="found constant"):
        run_contest(ratings, {"constant": model}, STARS, model=MODEL)


def test_rows_fit_the_header_and_mark_the_best() -> None:
    found = contest(0.5, 1.0)
    header, rows = found.header(), found.rows()
    assert header == [
        "Model", "RMSE", "MSE", "MAE", "Accuracy", "Within 1", "QWK", "Spearman", "NLL", "RPS", "ECE", "Seconds",
    ]  # fmt: skip
    assert all(len(row) == len(header) for row in rows)
    low, high = found.model.intervals["rmse"]
    assert rows[-1][1] == f"{found.model.metrics.rmse:.3f}* ({low:.3f}–{high:.3f})"
    assert rows[-1][6].endswith("*")
    assert not rows[0][1].split(" ")[0].endswith("*")
    assert rows[0][7] == "–"  # a constant has no rank correlation
    assert [row[-1] for row in rows] == ["0.0", "–", "61"]
    assert found.best()["rmse"] == {MODEL}


def test_equal_values_share_the_mark() -> None:
    ratings, model = drawn(50, 0.5)
    found = run_contest(ratings, {"same": model, MODEL: model}, STARS, model=MODEL)
    assert found.best()["rmse"] == {"same", MODEL}


def test_a_continuous_scale_has_fewer_columns() -> None:
    values = np.random.default_rng(0).uniform(0, 100, 200)
    scale = RatingScale.continuous(values, 0, 100)
    uniform = np.full((200, len(scale)), 1 / len(scale))
    found = run_contest(values, {"constant": uniform, MODEL: uniform}, scale, model=MODEL)
    assert found.header() == ["Model", "RMSE", "MSE", "MAE", "NLL", "RPS", "ECE"]
    assert Contest.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))).model.metrics.qwk is None


@pytest.mark.parametrize("reviews", [1, 200])
def test_stored_and_read_again(reviews: int) -> None:
    ratings, model = drawn(reviews, 0.5)
    entries = {"constant": np.full((reviews, 5), 0.2), MODEL: model}
    found = run_contest(ratings, entries, STARS, model=MODEL, seconds={MODEL: 3.5})
    stored = json.dumps(found.to_json(), allow_nan=False)
    again = Contest.from_json(json.loads(stored))
    assert json.dumps(again.to_json()) == stored
    assert again.rows() == found.rows()
    assert again.verdict() == found.verdict()
    assert math.isnan(again.entries[0].metrics.spearman)


@pytest.mark.parametrize("part", ["scale", "entries", "differences"])
def test_damaged_metrics_are_told(part: str) -> None:
    stored = contest(0.5, 1.0).to_json()
    for damaged in ({**stored, part: None}, {key: value for key, value in stored.items() if key != part}, {**stored, part: {}}):
        with pytest.raises((DataError, ScaleError)):
            Contest.from_json(damaged)
    assert issubclass(DataError, RatecastError)


def test_every_baseline_needs_its_difference() -> None:
    found = contest(0.5, 1.0)
    with pytest.raises(DataError, match="difference for every baseline"):
        Contest(entries=found.entries, scale=STARS, differences={})
    with pytest.raises(DataError, match="found"):
        Contest(entries=(), scale=STARS, differences={})


def test_a_name_that_is_a_proper_name_has_no_article() -> None:
    ratings, model = drawn(200, 0.5)
    found = run_contest(ratings, {"constant": np.full((200, 5), 0.2), "MiniLM": model}, STARS, model="MiniLM")
    assert found.verdict().startswith("MiniLM beats every baseline.")
    assert isinstance(found.model, Entry)


def test_a_teacher_is_no_baseline_to_beat() -> None:
    ratings, good = drawn(400, 0.4)
    entries = {"constant": np.full((400, 5), 0.2), TEACHER: good, "student": 0.8 * good + 0.04}
    found = run_contest(ratings, entries, STARS, model="student")
    assert [entry.name for entry in found.rivals] == ["constant"]
    assert found.outcome == "better"
    assert found.differences[TEACHER].difference > 0
    assert found.verdict().startswith("The student beats every baseline. Against the strongest, constant")
    assert f" Against its teacher it has {found.differences[TEACHER].summary(STARS)}." in found.verdict()
    assert Contest.from_json(found.to_json()).verdict() == found.verdict()
