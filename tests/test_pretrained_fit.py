"""Fitting with pretraining on the training texts before it."""

import json
from pathlib import Path
from typing import Any

import pytest

import ratecast
from ratecast import fitting
from ratecast.errors import ConfigError
from ratecast.pretraining import pretrain_texts
from ratecast.progress import SilentReporter

Reviews = tuple[list[str], list[float]]


class Listener(SilentReporter):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def tell(self, message: str) -> None:
        self.told.append(message)


def settings_of(backbone: Path, **settings: Any) -> dict[str, Any]:
    return {
        "backbone": str(backbone),
        "max_tokens": 48,
        "epochs": 1.0,
        "threads": 1,
        "blend": False,
        "pretrain": "10s",
    } | settings


@pytest.mark.slow
def test_the_backbone_is_pretrained_on_training_texts_alone_and_resumed(
    tiny_backbone: Path, tiny_reviews: Reviews, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    start: list[str] = []

    def pretrain(texts: list[str], **arguments: Any) -> Any:
        seen.append(texts)
        return pretrain_texts(texts, **arguments)

    def stop(job: Any, resume: bool, seconds_per_review: float) -> None:
        start.append(job.config.backbone.backbone)
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "pretrain_texts", pretrain)
    texts, ratings = tiny_reviews
    arguments: dict[str, Any] = {"texts": texts, "ratings": ratings, "out": tmp_path / "model", **settings_of(tiny_backbone)}
    with monkeypatch.context() as stopped:
        stopped.setattr(fitting, "_finetune", stop)
        with pytest.raises(KeyboardInterrupt):
            ratecast.fit(reporter=SilentReporter(), **arguments)
    assert (Path(start[0]) / "model.safetensors").is_file()
    listener = Listener()
    ratecast.fit(reporter=listener, resume=True, **arguments)
    assert "pretrained already" in listener.told
    assert len(seen) == 1
    split = json.loads((tmp_path / "model" / "split.json").read_text())
    rows = sorted(int(row) for row in split["train"])
    assert sorted(seen[0]) == sorted(texts[row] for row in rows)
    assert not {texts[int(row)] for row in (*split["validation"], *split["test"])} & set(seen[0])

    folder = tmp_path / "model"
    facts = json.loads((folder / "pretraining.json").read_text())
    assert facts["after"] < facts["before"]
    assert json.loads((folder / "config.json").read_text())["backbone"]["backbone"] == str(tiny_backbone)
    notes = json.loads((folder / "metrics.json").read_text())["notes"]
    assert any(note.startswith("The backbone was pretrained on the training texts: held-out perplexity") for note in notes)
    assert not (tmp_path / "model.training").exists()


def test_too_few_texts_are_not_pretrained_on_and_the_fit_goes_on(
    tiny_backbone: Path, tiny_reviews: Reviews, tmp_path: Path
) -> None:
    texts, ratings = tiny_reviews[0][:40], tiny_reviews[1][:40]
    listener = Listener()
    out = tmp_path / "model"
    model = ratecast.fit(texts=texts, ratings=ratings, out=out, reporter=listener, **settings_of(tiny_backbone, steps=2))
    assert any(line.startswith("the backbone is not pretrained: ") for line in listener.told)
    assert any(note.startswith("The backbone was not pretrained: ") for note in model.notes())
    assert json.loads((out / "config.json").read_text())["backbone"]["backbone"] == str(tiny_backbone)


def test_pretraining_must_leave_time(tmp_path: Path, tiny_backbone: Path) -> None:
    with pytest.raises(ConfigError, match="pretrain is 3m, which leaves nothing of the time budget of 3m"):
        ratecast.FitConfig().with_values(pretrain="3m", time_budget="3m")
    with pytest.raises(ConfigError, match="pretrain: cannot read the duration 'soon'"):
        ratecast.FitConfig().with_values(pretrain="soon")


def test_a_search_does_not_pretrain(tmp_path: Path, tiny_reviews: Reviews) -> None:
    pytest.importorskip("optuna")
    with pytest.raises(ConfigError, match="a search cannot pretrain: run ratecast pretrain before it"):
        ratecast.tune("reviews.csv", out=tmp_path / "model", trials=2, pretrain="1m")
