"""A model made as small and fast as a limit allows, with a tiny one."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from interruption import StoppedError
from ratecast.assessment import MODEL_NAME
from ratecast.compress import compress, quantise, students
from ratecast.compress.candidates import candidate_at, quantised, set_apart
from ratecast.config import CompressConfig, DistillConfig
from ratecast.errors import ConfigError, ModelFolderError, RatecastError
from ratecast.evaluate.contest import TEACHER
from ratecast.model.graph import OnnxGraph
from ratecast.model.reference import EXACT_FILE
from ratecast.model.store import read_manifest
from ratecast.predict import Predictor, load
from ratecast.progress import Advance, SilentReporter

Rated = tuple[list[str], list[float]]
SMALL: dict[str, Any] = {"threads": 1, "steps": 6, "batch_reviews": 8, "time_budget": None}


class Told(SilentReporter):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def tell(self, message: str) -> None:
        """Keep a line."""
        self.lines.append(message)


class Stopping(SilentReporter):
    """Stops, as a killed process does, when a task begins."""

    def __init__(self, task: str) -> None:
        self._task = task

    @contextmanager
    def track(self, task: str, total: int) -> Iterator[Advance]:
        """Stop or go on."""
        if task == self._task:
            raise StoppedError
        with super().track(task, total) as advance:
            yield advance


def frame_of(tiny_reviews: Rated) -> pl.DataFrame:
    texts, ratings = tiny_reviews
    return pl.DataFrame({"text": texts, "rating": ratings})


def compressed(model: Path, reviews: Rated, out: Path, **settings: Any) -> Predictor:
    return compress(model, frame_of(reviews), out=out, **({"reporter": SilentReporter()} | SMALL | settings))


@pytest.fixture(scope="module")
def told() -> Told:
    return Told()


@pytest.fixture(scope="module")
def small(tiny_model: Path, tiny_reviews: Rated, told: Told, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return compressed(tiny_model, tiny_reviews, tmp_path_factory.mktemp("compressed") / "small", max_loss="20%", reporter=told)


def test_it_is_a_whole_model(small: Predictor, tiny_model: Path) -> None:
    found = small.predict(["the movie was great", "", "great " * 3000])
    assert np.isfinite(found.rating).all()
    assert found.interval is not None
    assert small.manifest.about["compressed_from"] == str(tiny_model)
    names = {path.name for path in small.folder.iterdir()}
    assert {"frontier.html", "frontier.json", "report.html", "metrics.json", "README.md", "split.json"} <= names
    assert not any("weights" in part.kind for part in small.manifest.components)


def test_every_kind_of_member_was_tried(small: Predictor, told: Told) -> None:
    found = json.loads((small.folder / "frontier.json").read_text())
    names = {member["name"] for member in found["members"]}
    assert {"backbone", "backbone-int8", "static", "layers-1", "layers-1-int8", "tfidf-logistic", "tfidf-ridge"} <= names
    table = [line for line in told.lines if "(the whole model" in line]
    assert len(table) == 1
    assert "+0.0 %" in table[0]
    page = (small.folder / "frontier.html").read_text()
    assert "The frontier" in page
    assert "<svg" in page


def test_the_frontier_falls_and_the_choice_keeps_to_the_limit(small: Predictor) -> None:
    found = json.loads((small.folder / "frontier.json").read_text())
    best = found["frontier"]
    assert [point["batch_ms"] for point in best] == sorted(point["batch_ms"] for point in best)
    assert [point["rmse"] for point in best] == sorted((point["rmse"] for point in best), reverse=True)
    assert found["chosen"]["loss"] + found["chosen"]["loss_error"] <= 0.2
    quicker = [point for point in best if point["batch_ms"] < found["chosen"]["batch_ms"]]
    assert all(point["loss"] + point["loss_error"] > 0.2 for point in quicker)


def test_it_is_judged_beside_the_whole_model(small: Predictor, tiny_model: Path, tiny_reviews: Rated) -> None:
    entries = {entry.name: entry for entry in small.contest().entries}
    rows = [int(name) for name in json.loads((tiny_model / "split.json").read_text())["test"]]
    texts, ratings = np.array(tiny_reviews[0], dtype=object)[rows], np.array(tiny_reviews[1])[rows]
    for name, model in ((TEACHER, load(tiny_model)), (MODEL_NAME, small)):
        error = model.predict(list(texts)).rating - ratings
        assert entries[name].metrics.rmse == pytest.approx(np.sqrt((error**2).mean()), abs=1e-6)
    assert any("On the test reviews it has an RMSE of" in note for note in small.notes())


def test_a_limit_that_nothing_meets_says_what_comes_closest_and_can_be_widened(
    tiny_model: Path, tiny_reviews: Rated, tmp_path: Path
) -> None:
    with pytest.raises(RatecastError, match=r"nothing keeps to at most 1e-06 ms for one review; closest is .* ms for"):
        compressed(tiny_model, tiny_reviews, tmp_path / "small", target_ms=1e-6)
    assert not (tmp_path / "small").exists()
    made = tmp_path / "small.training" / "networks"
    before = {path.name: (path / "model.json").stat().st_mtime_ns for path in made.iterdir()}
    assert before.keys() >= {"backbone", "backbone-int8", "static", "layers-1"}
    measured = (tmp_path / "small.training" / "measured" / "1 threads").iterdir()
    times = {path.stem: np.load(path)["single_ms"] for path in measured}
    assert times.keys() >= before.keys()
    small = compressed(tiny_model, tiny_reviews, tmp_path / "small", target_ms=1e6, resume=True)
    members = {member["name"]: member for member in json.loads((small.folder / "frontier.json").read_text())["members"]}
    assert all(members[name]["single_ms"] == pytest.approx(time, rel=1e-3) for name, time in times.items())
    assert small.predict(["great"]).rating.shape == (1,)
    assert not (tmp_path / "small.training").exists()


def test_an_interrupted_run_keeps_what_it_made(tiny_model: Path, tiny_reviews: Rated, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        compressed(tiny_model, tiny_reviews, tmp_path / "small", reporter=Stopping("making layers-1"))
    made = tmp_path / "small.training" / "networks"
    stamp = (made / "static" / "static.safetensors").stat().st_mtime_ns
    with pytest.raises(StoppedError):
        compressed(tiny_model, tiny_reviews, tmp_path / "small", resume=True, reporter=Stopping("combining"))
    assert (made / "static" / "static.safetensors").stat().st_mtime_ns == stamp
    (tmp_path / "small.training" / "measured" / "1 threads" / "static.npz").write_bytes(b"cut off")
    with pytest.raises(ModelFolderError, match=r"static.npz is damaged"):
        compressed(tiny_model, tiny_reviews, tmp_path / "small", resume=True)
    with pytest.raises(ConfigError, match="of other reviews, settings or another model"):
        compressed(tiny_model, tiny_reviews, tmp_path / "small", resume=True, seed=1)


def test_what_cannot_be_made_is_left_out(
    tiny_model: Path, tiny_reviews: Rated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = students.make_student

    def make_student(lesson: Any, config: DistillConfig, *rest: Any, **more: Any) -> students.Student:
        if config.student == "layers":
            raise ConfigError("kept_layers is 1; 2 to 2 can stay")
        return make(lesson, config, *rest, **more)

    monkeypatch.setattr("ratecast.compress.making.make_student", make_student)
    told = Told()
    small = compressed(tiny_model, tiny_reviews, tmp_path / "small", max_loss="50%", blend=False, reporter=told)
    assert any(line.startswith("layers-1 is left out: kept_layers is 1") for line in told.lines)
    found = json.loads((small.folder / "frontier.json").read_text())
    assert not any(" + " in point["name"] for point in found["frontier"] if point["name"] != found["whole"]["name"])


def test_the_exact_network_is_kept_by_a_resumed_run_too(tiny_model: Path, tiny_reviews: Rated, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        compressed(tiny_model, tiny_reviews, tmp_path / "small", reporter=Stopping("making static"))
    with pytest.raises(StoppedError):
        compressed(
            tiny_model, tiny_reviews, tmp_path / "small", resume=True, keep_exact=True, reporter=Stopping("making static")
        )
    made = tmp_path / "small.training" / "networks"
    assert EXACT_FILE in candidate_at(made / "backbone-int8-and-exact", "backbone-int8").component.files


def test_students_read_less_where_many_reviews_are_longer(
    tiny_model: Path, tiny_reviews: Rated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ratecast.compress.candidates._TOKENS", (8,))
    monkeypatch.setattr("ratecast.compress.making._STUDENT_TOKENS", 8)
    with pytest.raises(StoppedError):
        compressed(tiny_model, tiny_reviews, tmp_path / "small", reporter=Stopping("combining"))
    made = tmp_path / "small.training" / "networks"
    whole, student = (
        candidate_at(made / name, name).component.settings["text"]["max_tokens"] for name in ("backbone", "layers-1")
    )
    assert student == 8 < whole


def test_deterministic_tries_no_integers(tiny_model: Path, tiny_reviews: Rated, tmp_path: Path) -> None:
    small = compressed(tiny_model, tiny_reviews, tmp_path / "small", deterministic=True, target_ms=1e6)
    found = json.loads((small.folder / "frontier.json").read_text())
    assert not any("int8" in member["name"] for member in found["members"])
    assert small.chain.blend.members  # the most accurate, whatever it takes


def test_deterministic_refuses_a_model_of_integers(tiny_model: Path, tiny_reviews: Rated, tmp_path: Path) -> None:
    quantise(tiny_model, tiny_reviews[0], out=tmp_path / "int8")
    with pytest.raises(ConfigError, match="was quantised, so that its answers depend on the processor"):
        compressed(tmp_path / "int8", tiny_reviews, tmp_path / "small", deterministic=True, target_ms=1e6)


def test_a_model_of_integers_can_keep_the_exact_network(tiny_model: Path, tiny_reviews: Rated, tmp_path: Path) -> None:
    manifest = read_manifest(tiny_model)
    part = next(part for part in manifest.components if part.kind == "onnx")
    source = set_apart(tiny_model, part, manifest.scale, tmp_path / "whole", name=part.name)
    made = quantised(source, tiny_reviews[0], tmp_path / "int8", keep_exact=True)
    assert EXACT_FILE in made.component.files
    (tmp_path / "written").mkdir()
    written = made.write(tmp_path / "written", prefix="first.")
    assert f"first.{EXACT_FILE}" in written.files
    OnnxGraph.load(tmp_path / "written", written, len(manifest.scale))


def test_two_networks_in_one_folder(tiny_model: Path, tmp_path: Path) -> None:
    manifest = read_manifest(tiny_model)
    graph = next(part for part in manifest.components if part.kind == "onnx")
    candidate = set_apart(tiny_model, graph, manifest.scale, tmp_path / "apart", name="first")
    folder = tmp_path / "both"
    folder.mkdir()
    texts = ["the movie was great", "bad"]
    expected = candidate.load().probabilities(texts)
    first, full = candidate.write(folder, prefix="first."), candidate.write(folder)
    assert not set(first.files) & set(full.files)
    for part in (first, full):
        found = type(candidate)(folder=folder, component=part, scale=manifest.scale).load().probabilities(texts)
        np.testing.assert_array_equal(found, expected)


def test_a_damaged_candidate_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    manifest = read_manifest(tiny_model)
    graph = next(part for part in manifest.components if part.kind == "onnx")
    set_apart(tiny_model, graph, manifest.scale, tmp_path / "apart", name="first")
    (tmp_path / "apart" / "model.onnx").write_bytes(b"cut off")
    with pytest.raises(ModelFolderError, match="damaged"):
        candidate_at(tmp_path / "apart", "first").load()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_loss": "much"}, "cannot read the share 'much'; write 1% or 0.01"),
        ({"max_loss": "-1%"}, "cannot read the share"),
        ({"target_ms": 0.0}, "target_ms must be above 0"),
        ({"use": "user"}, "use is the teacher's"),
    ],
)
def test_faulty_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CompressConfig().with_values(**settings)


def test_the_model_itself_is_not_overwritten(tiny_model: Path, tiny_reviews: Rated) -> None:
    with pytest.raises(ConfigError, match="is the model itself"):
        compressed(tiny_model, tiny_reviews, tiny_model)
