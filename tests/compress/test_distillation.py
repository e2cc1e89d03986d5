"""From a fitted model to smaller ones, with a tiny teacher."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import ratecast
from interruption import InterruptingReporter, StoppedError
from ratecast.assessment import MODEL_NAME
from ratecast.compress import distill
from ratecast.compress.division import divide
from ratecast.compress.teacher import Teacher
from ratecast.config import DistillConfig
from ratecast.data import load_reviews
from ratecast.errors import ConfigError, DataError, ModelFolderError
from ratecast.evaluate.contest import TEACHER
from ratecast.model.learned import learned_from
from ratecast.model.restore import restore_rater
from ratecast.model.store import read_manifest, sha256
from ratecast.predict import Predictor, load
from ratecast.progress import SilentReporter

Rated = tuple[list[str], list[float]]
SMALL: dict[str, Any] = {"threads": 1, "steps": 12, "batch_reviews": 8}


def frame_of(tiny_reviews: Rated) -> pl.DataFrame:
    texts, ratings = tiny_reviews
    return pl.DataFrame({"text": texts, "rating": ratings})


def distilled(teacher: Path, source: Any, out: Path, **settings: Any) -> Predictor:
    return distill(teacher, source, out=out, **({"reporter": SilentReporter()} | SMALL | settings))


@pytest.fixture(scope="module")
def static(tiny_model: Path, tiny_reviews: Rated, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return distilled(tiny_model, frame_of(tiny_reviews), tmp_path_factory.mktemp("distilled") / "static")


@pytest.fixture(scope="module")
def width(tiny_model: Path, tiny_reviews: Rated, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    out = tmp_path_factory.mktemp("distilled") / "width"
    return distilled(tiny_model, frame_of(tiny_reviews), out, student="width", kept_layers=1, blend=False)


def test_a_static_student_is_a_whole_model(static: Predictor, tiny_model: Path, tiny_reviews: Rated) -> None:
    assert static.chain.blend.members == ("static",)
    found = static.predict(["the movie was great", "", "great " * 3000])
    assert np.isfinite(found.rating).all()
    assert found.interval is not None
    assert found.warnings == ((), ("the text is empty",), ())
    about = static.manifest.about
    assert about["distilled_from"] == str(tiny_model)
    assert about["teacher_sha256"] == sha256(tiny_model / "model.json")
    names = {path.name for path in static.folder.iterdir()}
    assert {"static.safetensors", "static.words.json", "metrics.json", "README.md", "report.html", "split.json"} <= names
    assert not any(name.startswith("tfidf") for name in names), "the folder is small"


def test_the_teacher_is_in_the_table_with_what_it_says_of_the_test_reviews(
    static: Predictor, tiny_model: Path, tiny_reviews: Rated
) -> None:
    entries = {entry.name: entry for entry in static.contest().entries}
    assert {"constant", "tfidf-logistic", TEACHER, MODEL_NAME} <= entries.keys()
    split = {path: json.loads((path / "split.json").read_text()) for path in (tiny_model, static.folder)}
    assert split[static.folder] == split[tiny_model]
    rows = [int(name) for name in split[tiny_model]["test"]]
    texts, ratings = np.array(tiny_reviews[0], dtype=object)[rows], np.array(tiny_reviews[1])[rows]
    for name, model in ((TEACHER, load(tiny_model)), (MODEL_NAME, static)):
        error = model.predict(list(texts)).rating - ratings
        assert entries[name].metrics.rmse == pytest.approx(np.sqrt((error**2).mean()), abs=1e-6)


def test_a_pruned_student_is_really_smaller(width: Predictor, tiny_model: Path, tiny_backbone: Path) -> None:
    before, after = restore_rater(tiny_model), restore_rater(width.folder)
    layer: Any = after.rater.backbone.encoder.layer  # type: ignore[union-attr]
    assert len(layer) == 1
    assert layer[0].attention.self.query.weight.shape == (16, 32)
    assert layer[0].intermediate.dense.weight.shape == (32, 32)
    count = [sum(weight.numel() for weight in found.rater.parameters()) for found in (before, after)]
    sizes = [(folder / "model.onnx").stat().st_size for folder in (tiny_model, width.folder)]
    assert sizes[0] - sizes[1] > 3.9 * (count[0] - count[1]) > 0, "the graph lost the weights too, of four bytes each"
    note = next(note for note in width.notes() if "pruned" in note)
    assert f"{count[1]:,} of {count[0]:,} weights" in note


def test_a_restored_network_says_what_its_graph_says(width: Predictor, tiny_model: Path) -> None:
    from ratecast.model.rater import torch_probabilities

    texts = ["the movie was great", "poor and awful"]
    for folder in (tiny_model, width.folder):
        found = restore_rater(folder)
        expected = load(folder).chain.members(texts)["backbone"]
        np.testing.assert_allclose(torch_probabilities(found.rater, found.encoder, texts), expected, atol=1e-5)


def test_a_student_can_be_a_teacher(width: Predictor, static: Predictor, tiny_reviews: Rated, tmp_path: Path) -> None:
    again = distilled(width.folder, frame_of(tiny_reviews), tmp_path / "again")
    assert again.manifest.about["distilled_from"] == str(width.folder)
    with pytest.raises(ModelFolderError, match="holds no network to start from"):
        distilled(static.folder, frame_of(tiny_reviews), tmp_path / "none", student="layers")


def test_another_backbone_learns_from_the_teacher(
    tiny_model: Path, tiny_backbone: Path, tiny_reviews: Rated, tmp_path: Path
) -> None:
    settings = {"student": str(tiny_backbone), "blend": False}
    found = distilled(tiny_model, frame_of(tiny_reviews), tmp_path / "small", **settings)
    assert found.manifest.about["backbone"] == str(tiny_backbone)
    assert found.chain.blend.members == ("backbone",)


def test_a_pruned_student_can_read_less(tiny_model: Path, tiny_reviews: Rated, tmp_path: Path) -> None:
    small = distilled(tiny_model, frame_of(tiny_reviews), tmp_path / "small", student="layers", max_tokens=9, blend=False)
    graph = next(part for part in small.manifest.components if part.kind == "onnx")
    assert graph.settings["text"]["max_tokens"] == 9
    assert restore_rater(small.folder).encoder.settings.max_tokens == 9


def test_recovery_lowers_the_loss(tiny_model: Path, tiny_reviews: Rated, tmp_path: Path) -> None:
    settings = {"student": "layers", "layer_choice": "even", "steps": 40, "learning_rate": 1e-3}
    small = distilled(tiny_model, frame_of(tiny_reviews), tmp_path / "small", **settings)
    curve = json.loads((small.folder / "metrics.json").read_text())["training"]["curve"]
    losses = [point["training_loss"] for point in curve[1:]]
    assert losses[-1] < losses[0]


def test_an_interrupted_distillation_goes_on_exactly(tiny_model: Path, tiny_reviews: Rated, tmp_path: Path) -> None:
    settings = {"student": "width", "checkpoint_seconds": 1e-9, "blend": False}
    whole = distilled(tiny_model, frame_of(tiny_reviews), tmp_path / "whole", **settings)
    with pytest.raises(StoppedError):
        distilled(tiny_model, frame_of(tiny_reviews), tmp_path / "small", reporter=InterruptingReporter(5), **settings)
    left = {path.name.partition("-")[2] or path.name for path in (tmp_path / "small.training").iterdir()}
    assert {"targets.npy", "pruned.json", "checkpoint.safetensors"} <= left
    resumed = distilled(tiny_model, frame_of(tiny_reviews), tmp_path / "small", resume=True, **settings)
    texts = ["the movie was great", "poor and awful"]
    np.testing.assert_array_equal(resumed.probabilities(texts), whole.probabilities(texts))
    assert not (tmp_path / "small.training").exists()


def test_reviews_without_ratings_are_learnt_from(tiny_model: Path, tiny_reviews: Rated, tmp_path: Path) -> None:
    texts, ratings = tiny_reviews
    more = [f"{text} and that was {number}" for number, text in enumerate(texts[:30])]
    table = pl.DataFrame({"text": [*texts, *more], "rating": [*ratings, *[None] * 30]})
    further = tmp_path / "more.csv"
    pl.DataFrame({"text": [f"a hotel of {number} stars, {'very ' * number} good" for number in range(9)]}).write_csv(further)
    small = distilled(tiny_model, table, tmp_path / "small", unlabelled=str(further))
    learned = small.manifest.about["learned_reviews"]
    parts = json.loads((small.folder / "split.json").read_text())
    assert len(parts["train"]) < learned < len(parts["train"]) + 39 + 1
    assert sum(map(len, parts.values())) == 120


def test_reviews_that_the_teacher_knows_are_never_test_reviews(tiny_model: Path, tiny_reviews: Rated) -> None:
    texts, ratings = tiny_reviews
    teacher = Teacher(tiny_model, 1)
    scale = teacher.predictor.scale

    def parts_of(order: list[int]) -> tuple[bool, dict[str, set[str]]]:
        frame = pl.DataFrame({"text": [texts[row] for row in order], "rating": [ratings[row] for row in order]})
        loaded = load_reviews(frame, need_rating=False, scale=scale)
        found = divide(loaded.reviews, teacher, scale, DistillConfig(), SilentReporter())
        return found.is_teachers, {name: set(part.joined()) for name, part in found.parts.items()}

    split = json.loads((tiny_model / "split.json").read_text())
    own = {name: {texts[int(row)] for row in split[name]} for name in ("train", "validation", "test")}
    same, parts = parts_of(list(range(120)))
    assert same
    assert parts == own
    same, parts = parts_of(list(range(119, -1, -1)))  # the ids, which are row numbers, now name other reviews
    assert not same
    assert parts["validation"] | parts["test"] <= own["test"]
    assert min(len(parts["validation"]), len(parts["test"])) >= 3
    assert set.union(*parts.values()) == set(texts)
    known = [row for row in range(120) if texts[row] not in own["test"]]
    with pytest.raises(DataError, match="the teacher learned from all but 0 of these reviews"):
        parts_of(known)


def test_a_student_knows_what_its_teacher_learned_from(
    static: Predictor, tiny_model: Path, tiny_reviews: Rated, tmp_path: Path
) -> None:
    texts, ratings = [f"the hotel was {text}" for text in tiny_reviews[0]], tiny_reviews[1]
    small = distilled(tiny_model, pl.DataFrame({"text": texts, "rating": ratings}), tmp_path / "small")
    split = json.loads((tiny_model / "split.json").read_text())
    of_teacher = [tiny_reviews[0][int(row)] for row in split["train"]]
    own = json.loads((small.folder / "split.json").read_text())
    for learned in (of_teacher, [texts[int(row)] for row in own["train"]]):
        found = learned_from(small.folder, small.manifest, learned)
        assert found is not None
        assert found.mean() > 0.9


def test_it_answers_as_the_teacher_does(tiny_model: Path, tiny_reviews: Rated, tmp_path: Path) -> None:
    texts, ratings = tiny_reviews
    settings: dict[str, Any] = {"time_budget": "1s"}
    teacher = ratecast.fit(
        texts=texts, ratings=ratings, out=tmp_path / "qwk", optimise="qwk", coverage=0.8, reporter=SilentReporter(), **settings
    )
    small = distilled(teacher.folder, frame_of(tiny_reviews), tmp_path / "small")
    assert small.manifest.about["optimise"] == "qwk"
    assert small.intervals is not None
    assert small.intervals.coverage == 0.8
    other = distilled(teacher.folder, frame_of(tiny_reviews), tmp_path / "other", optimise="mae", coverage=0.7)
    assert other.manifest.about["optimise"] == "mae"


def test_another_cut_is_not_gone_on_with(tiny_model: Path, tiny_reviews: Rated, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        distilled(tiny_model, frame_of(tiny_reviews), tmp_path / "small", student="layers", reporter=InterruptingReporter(5))
    with pytest.raises(ConfigError, match="is of other data or settings"):
        distilled(tiny_model, frame_of(tiny_reviews), tmp_path / "small", student="width", resume=True)


def test_width_of_a_teacher_that_reads_windows(tiny_backbone: Path, tiny_reviews: Rated, tmp_path: Path) -> None:
    texts, ratings = [f"{text} " * 4 for text in tiny_reviews[0]], tiny_reviews[1]
    given: dict[str, Any] = {"backbone": str(tiny_backbone), "max_tokens": 12, "steps": 2, "blend": False, "threads": 1}
    frame = pl.DataFrame({"text": texts, "rating": ratings})
    for pooling in ("mean", "recurrent"):
        out = tmp_path / pooling
        ratecast.fit(
            texts=texts, ratings=ratings, out=out, windows=3, window_pooling=pooling, reporter=SilentReporter(), **given
        )
    small = distilled(tmp_path / "mean", frame, tmp_path / "small", student="width", blend=False, steps=2)
    assert "heads" in small.manifest.about["student"]
    with pytest.raises(ConfigError, match="whose windows hand on a summary cannot lose heads"):
        distilled(tmp_path / "recurrent", frame, tmp_path / "none", student="width")


def test_weights_that_stay_beside_the_network_are_not_cut(tiny_backbone: Path, tiny_reviews: Rated, tmp_path: Path) -> None:
    texts, ratings = tiny_reviews
    given: dict[str, Any] = {"backbone": str(tiny_backbone), "max_tokens": 32, "steps": 2, "blend": False, "threads": 1}
    ratecast.fit(texts=texts, ratings=ratings, out=tmp_path / "model", tune="bottleneck", reporter=SilentReporter(), **given)
    for student in ("layers", "width"):
        with pytest.raises(ModelFolderError, match="has weights of tune=bottleneck beside its network's own"):
            distilled(tmp_path / "model", frame_of(tiny_reviews), tmp_path / "small", student=student)


def test_copies_of_test_reviews_are_not_learnt_from(tiny_model: Path, tiny_reviews: Rated) -> None:
    texts, ratings = tiny_reviews
    teacher = Teacher(tiny_model, 1)
    test = {texts[int(row)] for row in json.loads((tiny_model / "split.json").read_text())["test"]}
    copies = [text.upper() for text in sorted(test)]
    frame = pl.DataFrame({"text": [*texts, *copies], "rating": [*ratings, *[None] * len(copies)]})
    loaded = load_reviews(frame, need_rating=False, scale=teacher.predictor.scale)
    found = divide(loaded.reviews, teacher, teacher.predictor.scale, DistillConfig(), SilentReporter())
    assert found.unlabelled == []


def test_what_cannot_be_used_is_told(tiny_model: Path, tiny_reviews: Rated, tmp_path: Path) -> None:
    frame, out = frame_of(tiny_reviews), tmp_path / "small"
    with pytest.raises(ModelFolderError, match="is no model folder"):
        distilled(tmp_path, frame, out)
    with pytest.raises(ConfigError, match="is the teacher itself"):
        distilled(tiny_model, frame, tiny_model)
    with pytest.raises(ConfigError, match="network has only 2 layers"):
        distilled(tiny_model, frame, out, student="layers", kept_layers=2)
    with pytest.raises(ConfigError, match="max_tokens is 5000, but the teacher's network reads"):
        distilled(tiny_model, frame, out, student="layers", max_tokens=5000)
    with pytest.raises(ConfigError, match="kept_layers is for the students layers and width"):
        distilled(tiny_model, frame, out, kept_layers=1)
    with pytest.raises(ConfigError, match=r"kept_heads must be above 0 and at most 1, found 1.5"):
        distilled(tiny_model, frame, out, student="width", kept_heads=1.5)
    with pytest.raises(ConfigError, match="scale is the teacher's"):
        distilled(tiny_model, frame, out, scale="1..10")
    with pytest.raises(DataError, match="no review has a rating"):
        distilled(tiny_model, frame.select("text"), out)
    assert not out.exists()
    assert read_manifest(tiny_model).chain, "the teacher is as it was"


def test_an_architecture_that_cannot_be_pruned_is_refused_by_name(
    tiny_backbone: Path, tiny_reviews: Rated, tmp_path: Path
) -> None:
    from architectures import write_tiny

    folder = tmp_path / "gpt2"
    folder.mkdir()
    write_tiny(folder, "gpt2", tiny_backbone)
    texts, ratings = tiny_reviews
    settings: dict[str, Any] = {"backbone": str(folder), "max_tokens": 32, "steps": 2, "blend": False, "threads": 1}
    ratecast.fit(texts=texts, ratings=ratings, out=tmp_path / "model", reporter=SilentReporter(), **settings)
    with pytest.raises(ratecast.RatecastError, match="heads or neurons out of a gpt2 backbone; known are bert"):
        distilled(tmp_path / "model", frame_of(tiny_reviews), tmp_path / "small", student="width")
    small = distilled(tmp_path / "model", frame_of(tiny_reviews), tmp_path / "small", student="layers", blend=False, steps=2)
    assert small.chain.blend.members == ("backbone",)
