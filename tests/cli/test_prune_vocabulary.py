from pathlib import Path

import pytest

from ratecast.cli import run


def test_a_smaller_backbone_is_written_and_described(
    tiny_backbone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "reviews.csv"
    table.write_text("body,stars\nthe movie was great,5\nthe movie was poor,1\n", encoding="utf-8")
    out = tmp_path / "small"
    arguments = ["prune-vocabulary", str(table), "--backbone", str(tiny_backbone), "--out", str(out), "--text-column", "body"]
    assert run(arguments) == 0
    shown = capsys.readouterr()
    assert "tokens before" in shown.out
    assert "0 of 2 reviews" in shown.out
    assert f"ratecast fit ... --backbone {out}" in shown.out
    assert "text from 'body'" in shown.err
    assert (out / "model.safetensors").is_file()
    assert run([*arguments, "--minimum-count", "2"]) == 0
    assert "2 of 2 reviews" in capsys.readouterr().out


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["prune-vocabulary", "a.csv", "--backbone", "./absent", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == (
        "ratecast: error: there is no folder or file ./absent; give a folder that save_pretrained wrote, a GGUF file, or a "
        "name on the hub\n"
    )
