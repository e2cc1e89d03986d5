"""How many reviews the members of a model besides its backbone rest on, within the time that there is."""

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import transformers

from ratecast import FitConfig
from ratecast.combine.out_of_fold import out_of_fold_probabilities
from ratecast.fitting import _tell_estimate, prepare_job, run_job
from ratecast.job import Clock, Job
from ratecast.members import fit_columns, fit_linear, fit_more, scoring_seconds
from ratecast.progress import Advance, SilentReporter
from ratecast.train.speed import Speed

GRADES = ("awful", "bad", "fine", "good", "great")


class Recorder(SilentReporter):
    """Keeps what is told and the names of the tasks."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def tell(self, message: str) -> None:
        """Keeps it."""
        self.lines.append(message)

    @contextmanager
    def track(self, task: str, total: int) -> Iterator[Advance]:
        """Keeps the name."""
        self.lines.append(task)
        with super().track(task, total) as advance:
            yield advance


def frame_of(count: int) -> pl.DataFrame:
    random = np.random.default_rng(0)
    levels = random.integers(0, 5, count)
    texts = [f"thing {row % 97} and {row} is {GRADES[level]}" for row, level in enumerate(levels)]
    return pl.DataFrame(
        {"text": texts, "stars": levels + 1, "user": [f"u{level // 2}{row % 9}" for row, level in enumerate(levels)]}
    )


def job_of(folder: Path, count: int, **settings: Any) -> tuple[Job, Recorder]:
    reporter = Recorder()
    config = FitConfig().with_values(**settings)
    return prepare_job(frame_of(count), out=folder / "model", config=config, reporter=reporter), reporter


def with_time(job: Job, seconds: float) -> Job:
    """The same job with a budget that leaves so many seconds for a linear model."""
    return replace(job, clock=Clock(started=time.monotonic(), budget_seconds=(seconds + 3) / 0.97))


def test_a_budget_below_the_least_is_told_and_gives_the_least_model(tmp_path: Path) -> None:
    job, reporter = job_of(tmp_path, 3000, time_budget="1s")
    made = fit_linear(job)["tfidf-logistic"]
    assert made.reviews == 300
    (told,) = (line for line in reporter.lines if line.startswith("a linear model takes about"))
    assert "the time budget of 1 s is exceeded" in told
    assert int(told.split()[5]) >= 3
    assert "the linear models learn from 300 of 2,400 training reviews: the time is short" in reporter.lines


def test_what_is_left_decides_on_how_many_reviews_the_linear_models_learn_from(tmp_path: Path) -> None:
    job, reporter = job_of(tmp_path, 3000, time_budget="1s")
    assert fit_linear(with_time(job, 120))["tfidf-logistic"].reviews == 2400
    assert not [line for line in reporter.lines if "exceeded" in line]


def test_time_that_no_backbone_takes_goes_to_more_reviews_for_the_linear_models(tmp_path: Path) -> None:
    job, reporter = job_of(tmp_path, 3000, time_budget="1s")
    few = fit_linear(job)
    assert few["tfidf-logistic"].reviews == 300
    assert fit_more(with_time(job, 0.0), few) == {}
    more = fit_more(with_time(job, 60), few)
    assert {more[name].reviews for name in ("tfidf-logistic", "tfidf-ridge")} == {2400}
    assert reporter.lines.count("the linear models are fitted again, in the time that is left without a backbone") == 1
    assert fit_more(with_time(job, 60), more) == {}


@pytest.mark.slow
def test_a_fit_whose_backbone_is_too_large_for_the_time_learns_words_from_more_reviews(
    tmp_path: Path, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ratecast.members._REVIEWS_PER_SECOND", 20)
    monkeypatch.setattr("ratecast.members._LEAST_REVIEWS", 500)
    monkeypatch.setattr("ratecast.job.writing_seconds", lambda: 12.0)
    large = tmp_path / "large"  # as large as MiniLM: its validation reviews alone take longer than the time
    shutil.copytree(tiny_backbone, large)
    sizes = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
    transformers.AutoModel.from_config(transformers.AutoConfig.from_pretrained(str(tiny_backbone), **sizes)).save_pretrained(
        str(large)
    )
    frame = frame_of(4000).with_columns(text=pl.col("text") + pl.lit(" and the rest of it is as it was" * 15))
    reporter = Recorder()
    config = FitConfig().with_values(backbone=str(large), time_budget="40s", validation_fraction=0.3)
    job = prepare_job(frame, out=tmp_path / "model", config=config, reporter=reporter)
    predictor = run_job(job, resume=False)
    assert job.clock.spent() < 40
    assert "the linear models are fitted again, in the time that is left without a backbone" in reporter.lines
    told = "fine-tuning the backbone on all 2,400 reviews would take about "
    assert [line for line in reporter.lines if line.startswith(told) and line.endswith(" more")]
    assert not (predictor.folder / "model.onnx").exists()
    assert predictor.predict(["thing 1 and 2 is great", "thing 1 and 2 is awful"]).rating[0] > 3


@pytest.mark.slow
def test_a_fit_whose_time_is_too_short_for_layers_trains_a_head_on_several_of_them(
    tmp_path: Path, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ratecast.train.planning.measure_speed", lambda *_: Speed(encoding=1e5, training=1.0, graph=1e6))
    job, reporter = job_of(tmp_path, 400, time_budget="5m", backbone=str(tiny_backbone), max_tokens=32, blend=False)
    predictor = run_job(job, resume=False)
    (plan,) = (line for line in reporter.lines if line.startswith("plan: "))
    assert plan.startswith("plan: the head alone, 10.0 passes over 260 reviews")
    assert [line for line in reporter.lines if line.startswith("fine-tuning the backbone on all 260 reviews would take")]
    told = "The backbone is as it was pretrained, its head alone has learnt: the time was too short to train its layers."
    assert told in predictor.notes()
    weights = next(part for part in predictor.manifest.components if part.kind == "weights")
    assert weights.settings["layers"] == 2  # both of the tiny backbone's
    assert predictor.predict(["thing 1 and 2 is great", "thing 1 and 2 is awful"]).rating[0] > 3


@pytest.mark.slow
def test_no_head_alone_is_trained_on_a_backbone_that_does_not_know_the_words(
    tmp_path: Path, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ratecast.train.planning.measure_speed", lambda *_: Speed(encoding=1e5, training=1.0, graph=1e6))
    frame = frame_of(400).with_columns(text=pl.col("text").str.replace_all("[a-z]", "\u597d"))  # "good", in Chinese
    reporter = Recorder()
    config = FitConfig().with_values(backbone=str(tiny_backbone), time_budget="5m", max_tokens=32)
    predictor = run_job(prepare_job(frame, out=tmp_path / "model", config=config, reporter=reporter), resume=False)
    assert not [line for line in reporter.lines if line.startswith("plan: ")]
    assert not predictor.has_network


def test_the_effects_of_columns_rest_on_as_many_reviews_as_the_time_allows(tmp_path: Path) -> None:
    job, reporter = job_of(tmp_path, 1200, time_budget="1s", use="user")
    baselines = fit_linear(job)
    columns = fit_columns(job, baselines)
    assert columns is not None
    assert len(columns.training) == len(columns.base) == 500
    assert "the effects of columns rest on 500 of 960 training reviews: the time is short" in reporter.lines
    penalty = baselines["tfidf-logistic"].model.penalty  # type: ignore[union-attr]
    np.testing.assert_array_equal(columns.base, out_of_fold_probabilities(columns.training, job.scale, penalty=penalty))
    unlimited = replace(job, clock=Clock(started=0.0, budget_seconds=None))
    without_limit = fit_columns(unlimited, fit_linear(unlimited))
    assert without_limit is not None
    assert len(without_limit.training) == 960
    assert fit_columns(replace(job, used=()), baselines) is None


@pytest.mark.slow
def test_columns_are_prepared_before_the_rest_of_the_time_is_planned(tmp_path: Path, tiny_backbone: Path) -> None:
    job, reporter = job_of(tmp_path, 200, use="user", backbone=str(tiny_backbone), max_tokens=32, steps=2)
    run_job(job, resume=False)
    (plan,) = (place for place, line in enumerate(reporter.lines) if line.startswith("plan: "))
    assert reporter.lines.index("columns") < plan


@pytest.mark.slow
def test_how_long_it_takes_is_told_first_where_nothing_limits_it(tmp_path: Path, tiny_backbone: Path) -> None:
    settings: dict[str, Any] = {"backbone": str(tiny_backbone), "max_tokens": 32, "epochs": 1}
    job, reporter = job_of(tmp_path / "free", 200, **settings)
    before = torch.get_rng_state()
    _tell_estimate(job)
    assert torch.equal(torch.get_rng_state(), before)
    reporter.lines.clear()
    run_job(job, resume=False)
    assert re.match(r"fine-tuning will take about \d+ s, after simple models of the words; --time-budget", reporter.lines[0])
    limited, reporter = job_of(tmp_path / "limited", 200, time_budget="40s", **settings)
    run_job(limited, resume=False)
    assert not [line for line in reporter.lines if line.startswith("fine-tuning will take")]


def test_scoring_is_timed(tmp_path: Path) -> None:
    job, _ = job_of(tmp_path, 300, time_budget="1s")
    assert 0 < scoring_seconds(job, fit_linear(job)) < 0.1


@pytest.mark.slow
def test_many_test_reviews_are_judged_by_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ratecast.data.split.LEAST_JUDGED", 60)
    job, reporter = job_of(tmp_path, 1000, time_budget="1s")
    model = run_job(job, resume=False)
    assert model.contest().model.metrics.reviews == 60
    assert "the model is judged on 60 of 100 test reviews: the time is short" in reporter.lines
    assert any("is about 60 of the 100 test reviews, drawn at random" in note for note in model.notes())
