"""A model folder whose chain begins with a cascade predicts as its parts say."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arro3.io import read_parquet

import ratecast
from ratecast.cli import run
from ratecast.combine.blend import Blend
from ratecast.combine.cascade import Cascade, doubt
from ratecast.errors import ModelFolderError
from ratecast.model.store import create_component, read_manifest, write_manifest
from ratecast.scale import FloatArray


@pytest.fixture(scope="module")
def cascaded(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model behind a linear one, with a threshold that some of the tiny reviews exceed."""
    folder = tmp_path_factory.mktemp("cascade") / "model"
    shutil.copytree(tiny_model, folder)
    manifest = read_manifest(folder)
    quick = Blend(members=("tfidf-logistic",), weights=np.ones(1), bias=np.zeros(5))
    full = ratecast.load(folder).chain.blend
    cascade = Cascade(first=quick, full=full, threshold=1.3, passed_fraction=0.5, first_ms=0.1, full_ms=3.0)
    part = create_component(folder, "cascade", "cascade", cascade.save(folder, "cascade"))
    kept = tuple(component for component in manifest.components if component.name != "blend")
    write_manifest(folder, replace(manifest, components=(*kept, part), chain=("cascade",)))
    return folder


def parts_of(cascaded: Path, texts: list[str]) -> tuple[FloatArray, FloatArray]:
    model = ratecast.load(cascaded)
    members = model.chain.members(texts)
    assert model.chain.cascade is not None
    return model.chain.cascade.first.apply(members), model.chain.cascade.full.apply(members)


def test_doubtful_reviews_are_passed_on(cascaded: Path, tiny_reviews: tuple[list[str], list[float]]) -> None:
    texts = [*tiny_reviews[0], ""]
    first, full = parts_of(cascaded, texts)
    model = ratecast.load(cascaded)
    found = model.predict(texts)
    expected = doubt(first, model.scale) > 1.3
    assert 0 < expected.sum() < len(texts)
    assert found.passed_on is not None
    np.testing.assert_array_equal(found.passed_on, expected)
    np.testing.assert_allclose(found.probabilities, np.where(expected[:, None], full, first), atol=1e-6)
    assert found[len(texts) - 1].warnings == ("the text is empty",)
    assert found[0].passed_on is bool(expected[0])
    assert found.columns()["passed_on"].dtype == np.bool_


def test_batches_of_any_size_agree(cascaded: Path, tiny_reviews: tuple[list[str], list[float]]) -> None:
    model = ratecast.load(cascaded)
    texts = tiny_reviews[0][:7]
    whole = model.predict(texts).probabilities
    single = np.concatenate([model.predict([text]).probabilities for text in texts])
    np.testing.assert_allclose(single, whole, atol=1e-6)


def test_it_says_what_it_costs(cascaded: Path) -> None:
    told = "\n".join(ratecast.load(cascaded).describe())
    assert "3 ms more" in told
    assert "1.6 ms on average" in told


def test_the_table_has_the_column(cascaded: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.parquet"
    source.write_text("text\nthe phone was great and the story was awful\n")
    assert run(["predict", str(cascaded), str(source), "--out", str(out)]) == 0
    assert read_parquet(out).read_all()["passed_on"].to_pylist() in ([True], [False])


@pytest.mark.parametrize(("kind", "wrong"), [("thresholds", {"settings": {"thresholds": [1.0]}}), ("onnx", {"files": {}})])
def test_a_component_of_wrong_values_is_told(tiny_model: Path, tmp_path: Path, kind: str, wrong: dict[str, Any]) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    manifest = read_manifest(folder)
    components = tuple(replace(part, **wrong) if part.kind == kind else part for part in manifest.components)
    assert components != manifest.components
    write_manifest(folder, replace(manifest, components=components))
    with pytest.raises(ModelFolderError, match="is damaged"):
        ratecast.load(folder)
