"""What fitting makes of a blend, other columns, little time and odd data; with a tiny backbone."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import ratecast
from ratecast import Predictor, Review
from ratecast.cli import run
from ratecast.errors import ConfigError, DataError, ModelFolderError
from ratecast.progress import SilentReporter
from ratecast.records import Reviews

pytestmark = pytest.mark.slow
FitTiny = Callable[..., Predictor]
GRADES = ("awful", "bad", "fine", "good", "great")


class TellingReporter(SilentReporter):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def tell(self, message: str) -> None:
        """Keeps the message."""
        self.told.append(message)


def frame_of(count: int, seed: int = 0, shares: tuple[float, ...] = (0.2,) * 5) -> pl.DataFrame:
    """Reviews with a grade that is often, not always, that of the rating, and users who give more or less than others."""
    rng = np.random.default_rng(seed)
    levels = rng.choice(5, count, p=shares)
    seen = np.clip(levels + rng.choice((-1, 0, 0, 1), count), 0, 4)
    words = ("food", "staff", "hotel", "room", "service", "phone", "battery", "price", "movie", "story")
    texts = [f"the {' and the '.join(rng.choice(words, 4))} {number} is {GRADES[level]}" for number, level in enumerate(seen)]
    users = [f"reader{level >= 3:d}{number % 6}" if number % 10 else None for number, level in enumerate(levels)]
    return pl.DataFrame({"review": texts, "stars": levels + 1, "user": users, "shop": [f"s{n % 3}" for n in range(count)]})


@pytest.fixture(scope="module")
def fit_tiny(tiny_backbone: Path) -> FitTiny:
    def fit_model(source: Any, *, out: Path, **settings: Any) -> Predictor:
        defaults: dict[str, Any] = {"backbone": str(tiny_backbone), "max_tokens": 32, "steps": 20, "batch_reviews": 8}
        return ratecast.fit(source, out=out, **({"reporter": SilentReporter()} | defaults | settings))

    return fit_model


@pytest.fixture(scope="module")
def model(fit_tiny: FitTiny, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return fit_tiny(frame_of(400), out=tmp_path_factory.mktemp("fit") / "model")


def test_the_answer_is_the_blend_of_the_members(model: Predictor) -> None:
    texts = frame_of(30, seed=1)["review"].to_list()
    members = model.chain.members(texts)
    assert set(members) == set(model.chain.blend.members)
    product = np.exp(model.chain.blend.bias) * np.prod(
        [
            np.maximum(members[name], 1e-4) ** weight
            for name, weight in zip(model.chain.blend.members, model.chain.blend.weights, strict=True)
        ],
        axis=0,
    )
    expected = product / product.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict(texts).probabilities, expected, rtol=1e-6)
    np.testing.assert_allclose(ratecast.load(model.folder).probabilities(texts), expected, rtol=1e-6)


def test_intervals_hold_what_is_asked(model: Predictor) -> None:
    fresh = frame_of(600, seed=2)
    ratings = fresh["stars"].to_numpy()
    widths = []
    for coverage in (0.6, 0.9):
        found = model.predict(fresh["review"].to_list(), coverage=coverage).interval
        assert found is not None
        assert np.mean((found[:, 0] <= ratings) & (ratings <= found[:, 1])) > coverage - 0.1  # fitted to 40 reviews
        widths.append(float(np.mean(found[:, 1] - found[:, 0])))
    assert widths[0] < widths[1]
    assert model.predict(["fine"])[0].interval is not None


def test_ratings_are_decided_for_the_metric(model: Predictor) -> None:
    texts = frame_of(50, seed=3)["review"].to_list()
    plain = model.predict(texts)
    np.testing.assert_array_equal(plain.rating, model.scale.mean(plain.probabilities))
    np.testing.assert_array_equal(model.predict(texts, optimise="mae").rating, plain.median)
    np.testing.assert_array_equal(model.predict(texts, optimise="accuracy").rating, plain.mode)
    assert model.thresholds is not None
    by_kappa = model.predict(texts, optimise="qwk")
    np.testing.assert_array_equal(by_kappa.rating, 1 + np.searchsorted(model.thresholds, np.round(plain.rating, 10)))
    assert by_kappa[0].rating == by_kappa.rating[0]


def test_the_metric_is_remembered(fit_tiny: FitTiny, tmp_path: Path) -> None:
    fitted = fit_tiny(frame_of(200), out=tmp_path / "model", optimise="mae", steps=2, coverage=0.5)
    found = ratecast.load(fitted.folder).predict(["the food is good", "awful"])
    np.testing.assert_array_equal(found.rating, found.median)
    assert fitted.intervals is not None
    assert fitted.intervals.coverage == 0.5


def test_other_columns_move_the_rating(fit_tiny: FitTiny, tmp_path: Path) -> None:
    named = frame_of(1200).rename({"user": "uid", "review": "said"})
    columns = {"text_column": "said", "user_column": "uid"}
    fitted = fit_tiny(named, out=tmp_path / "model", use="user,shop", steps=2, validation_fraction=0.3, **columns)
    assert fitted.chain.effects is not None
    assert set(fitted.used) == {"user"}  # the shop says nothing
    text = "the food is fine"
    harsh, lenient, unknown, nobody = (
        prediction.rating
        for prediction in fitted.predict([Review(text=text, user=user) for user in ("reader01", "reader11", "new", None)])
    )
    assert harsh < unknown < lenient
    assert [unknown, nobody] == pytest.approx([fitted.predict([text])[0].rating] * 2, rel=1e-6)
    table = pl.DataFrame({"text": [text, text], "user": ["reader01", "reader11"]})
    named = pl.DataFrame({"said": [text, text], "uid": ["reader01", "reader11"], "text": "awful", "author": "reader01"})
    for each in (table, named):  # found by their usual names, or by those that the model was fitted on
        np.testing.assert_allclose(fitted.predict(each).rating, [harsh, lenient])
        np.testing.assert_allclose(ratecast.load(fitted.folder).predict(each).rating, [harsh, lenient])
    assert fitted.predict(table)[0].warnings == ()
    lacking = "the model also uses 'user', which the table lacks: it counts as missing"
    assert fitted.predict(table.drop("user"))[1].warnings == (lacking,)
    assert fitted.predict([text])[0].warnings == (lacking.replace("the table lacks", "the reviews lack"),)
    assert fitted.predict([Review(text=text, user="reader01"), Review(text=text)])[1].warnings == ()


def test_the_rating_itself_cannot_be_used(fit_tiny: FitTiny, tmp_path: Path) -> None:
    with pytest.raises((ConfigError, DataError), match="stars"):
        fit_tiny(frame_of(100), out=tmp_path / "model", use="stars")


def test_without_a_test_part_validation_reviews_are_judged(
    fit_tiny: FitTiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted = fit_tiny(frame_of(300), out=tmp_path / "model", test_fraction=0.0, steps=2)
    metrics = json.loads((fitted.folder / "metrics.json").read_text())
    assert metrics["judged_on"] == "validation"
    assert any("No test part" in note for note in metrics["notes"])
    assert fitted.contest().model.metrics.reviews == 75
    assert fitted.contest().judged_on == "validation"
    assert "Measured on 75 validation reviews, which training was stopped by" in (fitted.folder / "README.md").read_text()
    report = (fitted.folder / "report.html").read_text()
    assert "75 validation reviews" in report
    assert "All on the same validation reviews" in report
    assert "test reviews" not in report
    assert run(["inspect", str(fitted.folder)]) == 0
    assert "On the validation reviews, which training was stopped by:" in capsys.readouterr().out


def test_too_small_a_budget_gives_the_linear_model_and_says_so(fit_tiny: FitTiny, tmp_path: Path) -> None:
    reporter = TellingReporter()
    fitted = fit_tiny(frame_of(300), out=tmp_path / "model", time_budget="2s", reporter=reporter)
    assert any("too small to fine-tune" in line for line in reporter.told)
    assert all(name.startswith("tfidf") for name in fitted.chain.blend.members)
    assert not (fitted.folder / "model.onnx").exists()
    great, awful = fitted.predict(["the room is great", "the room is awful"])
    assert great.rating > awful.rating
    assert "too small to fine-tune a backbone in" in (fitted.folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("count", "shares"), [(400, (0.01, 0.01, 0.01, 0.02, 0.95)), (50, (0.2,) * 5), (60, (0.5, 0.0, 0.0, 0.0, 0.5))]
)
def test_odd_tables_are_fitted(fit_tiny: FitTiny, tmp_path: Path, count: int, shares: tuple[float, ...]) -> None:
    fitted = fit_tiny(frame_of(count, shares=shares), out=tmp_path / "model", steps=5)
    found = fitted.predict(["the food is great", "the food is awful"])
    assert np.isfinite(found.probabilities).all()
    assert found.rating[0] >= found.rating[1]


def test_reviews_of_one_user_cannot_be_divided_by_user(fit_tiny: FitTiny, tmp_path: Path) -> None:
    alone = frame_of(100).with_columns(user=pl.lit("somebody"))
    with pytest.raises(DataError, match="by user leaves none for"):
        fit_tiny(alone, out=tmp_path / "model", by="user")
    fit_tiny(alone, out=tmp_path / "model", use="user", steps=2)


def test_a_folder_of_another_chain_is_refused(model: Predictor, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(model.folder, tmp_path / "copy"))
    content = json.loads((copy / "model.json").read_text())
    content["chain"] = ["tfidf-ridge"]
    (copy / "model.json").write_text(json.dumps(content))
    with pytest.raises(ModelFolderError, match="predicts with a chain of linear"):
        ratecast.load(copy)


def test_combined_takes_the_columns_into_account(model: Predictor) -> None:
    texts = ["good", "bad"]
    np.testing.assert_allclose(
        model.chain.combined(model.chain.members(texts), Reviews.from_texts(texts)), model.probabilities(texts)
    )


@pytest.mark.parametrize(
    ("budget", "why"), [("15s", "linear models learned from all"), ("2m", "training was as long as asked for")]
)
def test_time_that_was_not_needed_is_told(fit_tiny: FitTiny, tmp_path: Path, budget: str, why: str) -> None:
    told: list[str] = []

    class Keeping(SilentReporter):
        def tell(self, message: str) -> None:
            told.append(message)

    fit_tiny(frame_of(60), out=tmp_path / "model", time_budget=budget, patience=1000, reporter=Keeping())
    assert re.fullmatch(rf"\d+ s of the time budget are left over: .*{why}.*", told[-1])
