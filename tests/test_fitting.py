"""From a table to a model folder and back, with a tiny backbone."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from safetensors.numpy import load_file, save_file

import ratecast
from ratecast import FitConfig, Predictor, RatecastError, Review
from ratecast.assessment import MODEL_NAME, assess
from ratecast.data import load_reviews
from ratecast.errors import BackboneError, ConfigError, DataError, ModelFolderError, OutputError
from ratecast.fitting import _run_fingerprint, prepare_job
from ratecast.job import fingerprint
from ratecast.progress import Advance, SilentReporter
from ratecast.records import Reviews
from ratecast.scale import RatingScale

FitTiny = Callable[..., Predictor]
GRADES = ("awful", "bad", "fine", "good", "great")


def frame_of(count: int, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 5, count)
    words = ("food", "staff", "hotel", "room", "service", "phone", "battery", "price", "movie", "story")
    texts = [f"the {' and the '.join(rng.choice(words, 4))} {number} is {GRADES[level]}" for number, level in enumerate(levels)]
    return pl.DataFrame({"review": texts, "stars": levels + 1, "user": [f"u{number % 40}" for number in range(count)]})


@pytest.fixture(scope="module")
def fit_tiny(tiny_backbone: Path) -> FitTiny:
    """`ratecast.fit` with the tiny backbone, few steps and no output."""

    def fit_model(source: Any = None, *, out: Path, **settings: Any) -> Predictor:
        defaults: dict[str, Any] = {
            "backbone": str(tiny_backbone),
            "max_tokens": 32,
            "steps": 20,
            "batch_reviews": 8,
            "learning_rate": 1e-3,
            "blend": False,
        }
        return ratecast.fit(source, out=out, **({"reporter": SilentReporter()} | defaults | settings))

    return fit_model


@pytest.fixture(scope="module")
def model(fit_tiny: FitTiny, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return fit_tiny(frame_of(300), out=tmp_path_factory.mktemp("fit") / "model")


def test_folder_holds_everything(model: Predictor) -> None:
    names = {path.name for path in model.folder.iterdir()}
    assert {"model.json", "model.onnx", "model.safetensors", "tokenizer.json", "README.md", "report.html"} <= names
    assert {"config.json", "metrics.json", "data.json", "split.json"} <= names
    assert [path.name for path in model.folder.parent.iterdir()] == ["model"]


def test_contest_has_every_baseline_and_the_model_last(model: Predictor) -> None:
    names = [entry.name for entry in model.contest().entries]
    assert names == ["constant", "tfidf-logistic", "tfidf-ridge", "backbone before fine-tuning", MODEL_NAME]


def test_parts_share_no_review(model: Predictor) -> None:
    split = json.loads((model.folder / "split.json").read_text())
    parts = [set(split[name]) for name in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 300


def test_configuration_is_kept_and_can_be_used_again(model: Predictor) -> None:
    config = FitConfig.from_mapping(json.loads((model.folder / "config.json").read_text()))
    assert config.train.steps == 20


def test_prediction_of_strings_reviews_and_frames_is_one(model: Predictor) -> None:
    texts = ["the food is awful", "the food is great"]
    from_texts = model.predict(texts)
    frame = pd.DataFrame({"review": texts})
    for same in ([Review(text=text) for text in texts], pl.DataFrame({"review": texts}), frame):
        np.testing.assert_allclose(model.predict(same).probabilities, from_texts.probabilities)
    first = from_texts[0]
    assert 1 <= first.rating <= 5
    assert sum(first.probabilities.values()) == pytest.approx(1)
    assert list(first.probabilities) == [1, 2, 3, 4, 5]


def test_title_is_read_too(model: Predictor) -> None:
    plain, titled = model.predict([Review(text="the food"), Review(text="the food", title="awful")])
    assert plain.rating != titled.rating


def test_odd_texts_are_predicted_with_a_warning(model: Predictor) -> None:
    found = model.predict(["", " \n", "the " * 3000, "good", "\x00", "😀"])
    assert [prediction.warnings[:1] for prediction in found][:4] == [
        ("the text is empty",),
        ("the text is empty",),
        ("the middle of the text was left out: 32 tokens are read",),
        (),
    ]
    assert np.isfinite(found.rating).all()


def test_a_language_that_the_backbone_lacks_is_told_when_fitting(fit_tiny: FitTiny, tmp_path: Path) -> None:
    told: list[str] = []

    class Told(SilentReporter):
        def tell(self, message: str) -> None:
            told.append(message)

    texts = [f"{'好' * (number % 5)}看{chr(0x4E00 + number)}{chr(0x5E00 + number)}" for number in range(120)]
    ratings = [number % 5 + 1 for number in range(120)]
    model = fit_tiny(texts=texts, ratings=ratings, out=tmp_path / "model", steps=2, reporter=Told())
    (warning,) = [line for line in told if line.startswith("warning: ")]
    assert "100% of the tokens of these reviews, which are mostly Chinese, are unknown to the backbone" in warning
    assert any(warning.removeprefix("warning: ") in note for note in model.notes())


def test_assessment_repeats_the_test_metrics(model: Predictor) -> None:
    split = json.loads((model.folder / "split.json").read_text())
    held_out = frame_of(300)[sorted(map(int, split["test"]))]
    loaded = load_reviews(held_out, need_rating=True, scale=model.scale)
    found = assess(ratecast.load(model.folder), loaded).contest.model.metrics
    assert found.rmse == pytest.approx(model.contest().model.metrics.rmse, abs=1e-6)


def test_same_seed_gives_the_same_model(fit_tiny: FitTiny, model: Predictor, tmp_path: Path) -> None:
    again = fit_tiny(frame_of(300), out=tmp_path / "model")
    texts = ["the food is awful", "the phone is great"]
    # The order in which threads add up differs in the last digits, and the fit of the blend ends where its tolerance lets it.
    np.testing.assert_allclose(again.probabilities(texts), model.probabilities(texts), atol=1e-4)


@pytest.mark.parametrize(
    ("ratings", "settings", "describe"),
    [
        (np.linspace(0, 100, 300), {}, "0..100 (continuous)"),
        (np.tile([0.0, 1.0], 150), {}, "0,1"),
        (np.tile([1.0, 1.5, 2.0, 4.5, 5.0], 60), {}, "1..5/0.5"),
        (np.tile([1.0, 2.0, 4.0], 100), {"scale": "1..5", "head": "regression"}, "1..5"),
    ],
)
def test_any_scale(fit_tiny: FitTiny, tmp_path: Path, ratings: np.ndarray, settings: dict[str, str], describe: str) -> None:
    texts = frame_of(300)["review"].to_list()
    model = fit_tiny(texts=texts, ratings=ratings, out=tmp_path / "model", steps=3, **settings)
    assert model.scale.describe() == describe
    found = model.predict(texts[:20])
    assert ((found.rating >= model.scale.low) & (found.rating <= model.scale.high)).all()
    columns = list(found.columns())
    assert columns[:5] == ["predicted_rating", "predicted_median", "predicted_mode", "predicted_low", "predicted_high"]
    assert columns[5] == ("q_5" if model.scale.is_continuous else f"p_{model.scale.labels[0]}")
    if model.scale.is_continuous:
        with pytest.raises(ConfigError, match="qwk compares levels"):
            model.predict(pl.DataFrame({"nothing": [1.5]}), optimise="qwk")  # told before the frame is read


def test_weights_are_part_of_what_decides_a_run(fit_tiny: FitTiny, tmp_path: Path) -> None:
    texts, ratings = frame_of(100)["review"].to_list(), frame_of(100)["stars"].to_numpy()
    settings: dict[str, Any] = {"texts": texts, "ratings": ratings, "steps": 1, "class_weights": "balanced"}
    once, again = (fit_tiny(out=tmp_path / "model", weights=np.full(100, weight), **settings) for weight in (1.0, 2.0))
    assert once.manifest.about["fingerprint"] != again.manifest.about["fingerprint"]


def test_damage_to_the_folder_is_found(model: Predictor, fit_tiny: object, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(model.folder, tmp_path / "copy"))
    content = bytearray((copy / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "model.onnx").write_bytes(content)
    with pytest.raises(ModelFolderError, match=r"model\.onnx is damaged"):
        ratecast.load(copy)


def test_only_what_is_loaded_is_hashed(model: Predictor, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(model.folder, tmp_path / "copy"))
    (copy / "model.safetensors").unlink()
    (copy / "tfidf-ridge.safetensors").write_bytes(b"")
    loaded = ratecast.load(copy)
    assert loaded.predict(["good"])[0].rating > 0
    with pytest.raises(ModelFolderError, match=r"tfidf-ridge\.safetensors is damaged"):
        loaded.baselines()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"texts": ["good"] * 3, "ratings": [1, 2, 3]}, DataError, "3"),
        ({"texts": [f"good {n}" for n in range(50)], "ratings": [4.0] * 50}, RatecastError, "only the rating 4"),
        ({"texts": ["good"]}, DataError, "both texts and ratings"),
        ({}, DataError, "either a table of reviews, or both"),
        ({"texts": "good", "ratings": [1]}, DataError, "one string"),
        ({"source": frame_of(60), "weights": [1.0] * 60}, DataError, "in a column of it: name it as weight_column"),
        ({"texts": [f"{n}" for n in range(9)], "ratings": range(9), "weights": [-1.0] * 9}, DataError, "'weight' holds '-1'"),
        ({"source": frame_of(60), "weight_column": "user"}, DataError, "the weight column 'user' holds 'u0' in row 0"),
        ({"source": frame_of(60), "head": "coral", "label_smoothing": 0.1}, ConfigError, "no labels to smooth"),
        ({"source": "absent.csv"}, DataError, "absent.csv"),
        ({"source": frame_of(60), "head": "gadzooks"}, ConfigError, "unknown head"),
        ({"source": frame_of(60), "learning": 1}, ConfigError, "unknown setting 'learning'"),
        ({"source": frame_of(60), "time_budget": "soon"}, ConfigError, "cannot read the duration 'soon'"),
        ({"source": frame_of(60), "trained_layers": 9}, ConfigError, "has only 2"),
        ({"source": frame_of(60), "reinitialised_layers": 9}, ConfigError, "has only 2"),
        ({"source": frame_of(60), "synonyms": 0.1, "synonyms_file": "absent.dat"}, ConfigError, r"absent\.dat: No such file"),
    ],
)
def test_bad_input_writes_nothing(
    fit_tiny: FitTiny, tmp_path: Path, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        fit_tiny(out=tmp_path / "model", **arguments)
    assert not list(tmp_path.iterdir())


class Tasks(SilentReporter):
    """Keeps the names of the tasks whose progress is shown, and what is told."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def tell(self, message: str) -> None:
        """Keeps it."""
        self.seen.append(message)

    @contextmanager
    def track(self, task: str, total: int) -> Iterator[Advance]:
        """Keeps the name."""
        self.seen.append(task)
        with super().track(task, total) as advance:
            yield advance


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"head": "gadzooks"}, ConfigError, "unknown head"),
        ({"head": "coral", "label_smoothing": 0.1}, ConfigError, "no labels to smooth"),
        ({"backbone": "./absent"}, BackboneError, r"there is no folder or file \./absent"),
        ({"backbone": str(Path(__file__).parent)}, BackboneError, r"holds no config\.json"),
        ({"back_translation": "./absent,./back"}, BackboneError, r"there is no folder or file \./absent"),
        ({"trained_layers": 3}, ConfigError, "trained_layers is 3, but the backbone has only 2"),
        ({"pooled_layers": 3}, ConfigError, "pooled_layers is 3, but the backbone has only 2"),
        ({"reinitialised_layers": 3}, ConfigError, "reinitialised_layers is 3, but the backbone has only 2"),
        ({"max_tokens": 1000}, ConfigError, "max_tokens is 1000, but the backbone .* has only 160 positions"),
    ],
)
def test_what_cannot_be_trained_is_told_before_any_work(
    fit_tiny: FitTiny, tmp_path: Path, settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    reporter = Tasks()
    with pytest.raises(error, match=message):
        fit_tiny(frame_of(60), out=tmp_path / "model", reporter=reporter, **settings)
    assert not [line for line in reporter.seen if line.startswith(("split", "baselines"))]


def test_without_time_to_train_the_backbone_is_not_asked_for(tmp_path: Path) -> None:
    config = FitConfig().with_values(backbone="./absent", head="gadzooks", time_budget="5s")
    job = prepare_job(frame_of(60), out=tmp_path / "model", config=config, reporter=SilentReporter())
    assert len(job.parts["train"]) == 39


@pytest.mark.parametrize(
    ("marks", "told", "test"),
    [
        (["train", "train", "test"], "divided as the column 'split' says", 20),
        (["a", "b", "c"], "divided at random: the column 'split' does not say of all reviews whether they are for train", 6),
    ],
)
def test_how_a_split_column_is_used_is_told(tmp_path: Path, marks: list[str], told: str, test: int) -> None:
    reporter = Tasks()
    frame = frame_of(60).with_columns(split=pl.Series(marks * 20))
    config = FitConfig().with_values(time_budget="5s")
    job = prepare_job(frame, out=tmp_path / "model", config=config, reporter=reporter)
    assert any(line.startswith(told) for line in reporter.seen)
    assert len(job.parts["test"]) == test
    reporter.seen.clear()
    prepare_job(frame, out=tmp_path / "model", config=config.with_values(by="random"), reporter=reporter)
    assert not any(line.startswith("divided") for line in reporter.seen)


def test_texts_that_no_encoding_holds_are_fitted(tmp_path: Path) -> None:
    texts = [f"{text} \ud83d" for text in frame_of(60)["review"]]
    config = FitConfig().with_values(time_budget="5s")
    given: dict[str, Any] = {"ratings": frame_of(60)["stars"].to_numpy(), "weights": np.ones(60)}
    job = prepare_job(None, texts, **given, out=tmp_path / "model", config=config, reporter=SilentReporter())
    assert all(text.endswith(" \ufffd") for part in job.parts.values() for text in part.text)


@pytest.mark.parametrize("scale", [None, "0..2000"])
def test_the_bins_of_a_continuous_scale_are_those_of_the_training_ratings(tmp_path: Path, scale: str | None) -> None:
    ratings = np.random.default_rng(0).exponential(100, 300)
    config = FitConfig().with_values(time_budget="5s", scale=scale)
    texts = frame_of(300)["review"].to_list()
    job = prepare_job(None, texts, ratings, out=tmp_path / "model", config=config, reporter=SilentReporter())
    low, high = (ratings.min(), ratings.max()) if scale is None else (0.0, 2000.0)
    assert job.scale == RatingScale.continuous(job.parts["train"].rated(), low, high)
    assert job.scale != RatingScale.continuous(ratings, low, high)


def test_output_that_holds_something_else_is_refused_at_once(fit_tiny: FitTiny, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="not a model"):
        fit_tiny("absent.csv", out=tmp_path)


def test_fingerprint_has_the_thesaurus(tmp_path: Path) -> None:
    reviews = Reviews.from_texts(["good", "bad"], np.array([5.0, 1.0]))
    parts = {"train": reviews, "validation": reviews, "test": reviews}
    config = FitConfig().with_values(synonyms=0.1, synonyms_file=str(tmp_path / "th.dat"))
    found = set()
    for content in ("good|1\n(adj)|fine\n", "good|1\n(adj)|well\n", "good|1\n(adj)|fine\n"):
        (tmp_path / "th.dat").write_text(f"UTF-8\n{content}", encoding="utf-8")
        found.add(fingerprint(parts, config))
    assert len(found) == 2


@pytest.mark.slow
def test_back_translation_is_told(fit_tiny: FitTiny, tiny_translator: Callable[..., Path], tmp_path: Path) -> None:
    models = [str(tiny_translator(kind)) for kind in ("t5", "bart")]
    found = fit_tiny(frame_of(40), out=tmp_path / "model", steps=3, back_translation=",".join(models))
    (note,) = [note for note in found.notes() if "another language" in note]
    training = len(json.loads((found.folder / "split.json").read_text())["train"])
    assert note.startswith(f"{training} of {training} training reviews were read half of the time")
    assert note.endswith(f"through {models[0]} and {models[1]}.")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.slow
def test_a_distilled_model_tells_of_its_teachers_and_holds_only_itself(
    fit_tiny: FitTiny, model: Predictor, tmp_path: Path
) -> None:
    distilled = fit_tiny(frame_of(300), out=tmp_path / "model", ensemble=2)
    names = [{path.name for path in folder.iterdir()} for folder in (distilled.folder, model.folder)]
    assert names[0] == names[1]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    metrics = json.loads((distilled.folder / "metrics.json").read_text())
    assert metrics["ensemble"]["seeds"] == [0, 1]
    numbers = [*metrics["ensemble"]["rmse"], metrics["ensemble"]["mean_rmse"], metrics["training"]["best_score"]]
    (note,) = [note for note in distilled.notes() if "distilled" in note]
    assert re.findall(r"\d\.\d{3}", note) == [f"{number:.3f}" for number in numbers]
    card = (distilled.folder / "README.md").read_text()
    assert note in card
    assert "- distilled from: 2 networks" in card
    assert note in (distilled.folder / "report.html").read_text()
    assert json.loads((model.folder / "metrics.json").read_text())["ensemble"] is None
    entry = {entry.name: entry for entry in distilled.contest().entries}[MODEL_NAME]
    assert entry.seconds is not None
    assert entry.seconds > metrics["ensemble"]["seconds"] + metrics["training"]["seconds"]


def test_other_weights_in_the_same_place_are_another_run(tiny_backbone: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_backbone, tmp_path / "backbone")
    config = FitConfig().with_values(backbone=str(tmp_path / "backbone"), max_tokens=32)
    job = prepare_job(frame_of(60), out=tmp_path / "model", config=config, reporter=SilentReporter())
    before = _run_fingerprint(job)
    assert _run_fingerprint(job) == before
    weights = load_file(tmp_path / "backbone" / "model.safetensors")
    save_file({name: weight + 1 for name, weight in weights.items()}, tmp_path / "backbone" / "model.safetensors")
    assert _run_fingerprint(job) != before
