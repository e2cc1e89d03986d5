from pathlib import Path

import numpy as np
import pytest

import ratecast
from ratecast.cli import run


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.csv"
    path.write_text("body\nthe movie was great\nthe movie was poor\n", encoding="utf-8")
    return path


def test_a_smaller_model_is_written_and_described(
    tiny_model: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "small"
    arguments = ["quantise", str(tiny_model), str(table), "--out", str(out), "--text-column", "body"]
    assert run([*arguments, "--kind", "float16", "--keep-exact"]) == 0
    assert "MB before" in capsys.readouterr().out
    assert ratecast.load(out).manifest.about["quantised"] == "float16"
    assert (out / "exact.onnx").is_file()
    texts = ["the movie was great", "poor"]
    small, whole = (ratecast.load(folder).predict(texts).rating for folder in (out, tiny_model))
    np.testing.assert_allclose(small, whole, atol=0.05)


def test_mistakes_are_one_line(tiny_model: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "small")
    assert run(["quantise", str(tmp_path / "none"), str(table), "--out", out]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert run(["quantise", str(tiny_model), str(table), "--out", out, "--kind", "int4"]) == 2
    assert "int4" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_told(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", str(tiny_model), "--text", "good", "--device", "cuda"]) == 2
    assert "onnxruntime-gpu" in capsys.readouterr().err
    assert run(["predict", str(tiny_model), "--text", "good", "--threads", "1"]) == 0
