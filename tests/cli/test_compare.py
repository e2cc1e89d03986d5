import json
import shutil
from pathlib import Path

import pytest

import ratecast
from ratecast.cli import run
from ratecast.comparison import compare, shared_scale
from ratecast.data import load_reviews
from ratecast.data.table import build_table
from ratecast.data.write import write_table
from ratecast.errors import DataError, ScaleError
from ratecast.evaluate.metrics import quadratic_weighted_kappa


def altered(
    model: Path,
    folder: Path,
    *,
    max_tokens: int | None = None,
    scale: str | None = None,
    thresholds: list[float] | None = None,
) -> Path:
    """A copy of the model that reads fewer tokens, predicts on another scale of five levels or decides for QWK otherwise."""
    shutil.copytree(model, folder)
    manifest = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    if max_tokens:
        graph = next(part for part in manifest["components"] if part["kind"] == "onnx")
        graph["settings"]["text"]["max_tokens"] = max_tokens
    if thresholds:
        next(part for part in manifest["components"] if part["kind"] == "thresholds")["settings"]["thresholds"] = thresholds
    if scale:
        manifest["scale"] = ratecast.RatingScale.parse(scale).to_json()
    (folder / "model.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


@pytest.fixture
def rated(tiny_reviews: tuple[list[str], list[float]], tmp_path: Path) -> Path:
    """A table of the tiny reviews, ten of them twice."""
    texts, ratings = tiny_reviews
    path = tmp_path / "held_out.csv"
    write_table(build_table({"body": texts + texts[:10], "stars": ratings + ratings[:10]}), path)
    return path


@pytest.fixture
def short(tiny_model: Path, tmp_path: Path) -> Path:
    """The tiny model, reading eight tokens of each review."""
    return altered(tiny_model, tmp_path / "short", max_tokens=8)


def test_both_tables_and_the_verdict_are_printed(
    tiny_model: Path, short: Path, rated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compare", str(tiny_model), str(short), str(rated)]) == 0
    captured = capsys.readouterr()
    models, differences, verdict = captured.out.split("\n\n")
    assert [row.split()[0] for row in models.splitlines()[:3]] == ["Model", "tiny", "short"]
    header, *rows = differences.splitlines()
    best, other = header.split()[0], header.split()[2]
    assert {best, other} == {"tiny", "short"}
    assert [row.split()[0] for row in rows][:3] == ["RMSE", "MSE", "MAE"]
    assert verdict.startswith(f"{best} is ")
    assert "constant" not in captured.out
    assert "130 read, 130 kept" in captured.err


def test_the_numbers_are_those_of_the_library(tiny_model: Path, short: Path, rated: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    assert run(["compare", str(rated), str(short), str(tiny_model), "--metric", "mae", "--out", str(out)]) == 0
    content = json.loads(out.read_text(encoding="utf-8"))
    models = {"short": ratecast.load(short), "tiny": ratecast.load(tiny_model)}
    loaded = load_reviews(rated, need_rating=True, drop_duplicates=False, scale=models["tiny"].scale)
    expected = compare(models, loaded, metric="mae")
    assert content["verdict"] == expected.verdict() == ratecast.compare(models, rated, metric="mae").verdict()
    assert content["metric"] == "mae"
    assert content["best"] == expected.winner.name


def test_qwk_is_that_of_the_ratings_that_a_model_decides_for_it(tiny_model: Path, rated: Path, tmp_path: Path) -> None:
    generous = ratecast.load(altered(tiny_model, tmp_path / "generous", thresholds=[1.1, 1.2, 1.3, 2.0]))
    loaded = load_reviews(rated, need_rating=True, drop_duplicates=False, scale=generous.scale)
    decided = generous.predict(loaded.reviews, optimise="qwk").rating
    kappa = quadratic_weighted_kappa(loaded.reviews.rated(), decided, generous.scale)
    found = compare({"generous": generous, "tiny": ratecast.load(tiny_model)}, loaded, metric="qwk")
    assert found.entries[0].metrics.qwk == pytest.approx(kappa)
    assert found.entries[0].metrics.qwk != found.entries[1].metrics.qwk
    assert "QWK is that of the ratings that each model decides for it" in found.warnings[-1]
    assert found.entries[0].metrics.rmse == found.entries[1].metrics.rmse


def test_a_page_is_written_for_three_models(
    tiny_model: Path, short: Path, rated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    third = altered(tiny_model, tmp_path / "third", max_tokens=16)
    report = tmp_path / "report.html"
    assert run(["compare", str(tiny_model), str(short), str(third), str(rated), "--out", str(report)]) == 0
    shown = capsys.readouterr().out
    assert "98.33 % interval" in shown
    assert "(Bonferroni)" in shown
    text = report.read_text(encoding="utf-8")
    assert "(Bonferroni)" in text
    assert "130 read, 130 kept" in text


def test_models_of_one_name_are_called_by_their_paths(
    tiny_model: Path, rated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    altered(tiny_model, tmp_path / "new" / "model")
    altered(tiny_model, tmp_path / "old" / "model")
    monkeypatch.chdir(tmp_path)
    assert run(["compare", "new/model", "old/model", str(rated)]) == 0
    assert "The data cannot tell new/model and old/model apart: both have the same RMSE" in capsys.readouterr().out


def test_reviews_that_a_model_learned_from_are_told(
    tiny_model: Path, short: Path, rated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split = json.loads((tiny_model / "split.json").read_text(encoding="utf-8"))
    ids = {int(name) for name in split["train"] + split["validation"]}
    learned = len(ids) + len(ids & set(range(10)))  # the table has ten reviews twice
    manifest = json.loads((short / "model.json").read_text(encoding="utf-8"))
    manifest["components"] = [part for part in manifest["components"] if part["kind"] != "learned"]
    (short / "model.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert run(["compare", str(tiny_model), str(short), str(rated)]) == 0
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert notes[0].startswith(f"note: tiny learned from {learned} of these 130 reviews when it was fitted")
    assert notes[1:] == [
        "note: short is of an earlier version of ratecast, which did not record whether it learned from these reviews"
    ]


def test_what_cannot_be_compared_is_told_in_one_line(
    tiny_model: Path, short: Path, rated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = altered(tiny_model, tmp_path / "other", scale="0..4")
    tiny, table = str(tiny_model), str(rated)
    for arguments, message in (
        ([tiny, table], f"expected two model folders or more and a table of rated reviews, found the models {tiny} and"),
        ([tiny, str(short)], "and the tables none"),
        ([tiny, tiny, table], "is given twice"),
        ([tiny, str(other), table], "different scales (tiny on 1..5, other on 0..4); fit them with the same one"),
        ([tiny, str(short), table, "--metric", "r2"], "the metric 'r2' is unknown; choose one of rmse, mse"),
        ([tiny, str(short), table, "--out", "report.pdf"], "use a name that ends in .html or .json"),
        ([tiny, str(short), table, "--out", str(tmp_path / "absent" / "a.html")], "create it first"),
    ):
        assert run(["compare", *arguments]) == 2
        captured = capsys.readouterr()
        assert message in captured.err
        assert captured.out == ""


def test_continuous_scales_with_other_bins_are_refused_by_name(tiny_model: Path, tmp_path: Path) -> None:
    models = {}
    for name, bend in (("a", 1.0), ("b", 2.0)):
        model = ratecast.load(altered(tiny_model, tmp_path / name))
        levels, edges = (10.0, 30.0, 50.0, 70.0, 90.0), (0.0, 20.0 + bend, 40.0, 60.0, 80.0, 100.0)
        scale = ratecast.RatingScale(levels=levels, low=0.0, high=100.0, edges=edges)
        object.__setattr__(model.manifest, "scale", scale)
        models[name] = model
    with pytest.raises(ScaleError, match=r"bins from different training ratings \(a on 0\.\.100 \(continuous\), b on"):
        shared_scale(models)
    with pytest.raises(DataError, match="two models or more to compare, found a"):
        shared_scale({"a": models["a"]})
