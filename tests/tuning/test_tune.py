"""From a table to a model with the best settings, with a tiny backbone."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import ratecast
from ratecast import FitConfig, Predictor
from ratecast.errors import ConfigError
from ratecast.fitting import prepare_job
from ratecast.job import Clock
from ratecast.progress import SilentReporter
from ratecast.records import Reviews
from ratecast.scale import RatingScale
from ratecast.train.finetuned import FineTuned
from ratecast.train.loop import Run
from ratecast.train.optim import with_learning_rate
from ratecast.tuning import SEARCH_SHARE, _divided, _sample, _search
from ratecast.tuning.space import flat

TuneTiny = Callable[..., Predictor]


class Recorder(SilentReporter):
    """Keeps what is told, and interrupts the command at the line that holds the given words."""

    def __init__(self, until: str | None = None) -> None:
        self.lines: list[str] = []
        self._until = until

    def tell(self, message: str) -> None:
        """Keep it."""
        self.lines.append(message)
        if self._until is not None and self._until in message:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def table(tiny_reviews: tuple[list[str], list[float]]) -> pl.DataFrame:
    texts, ratings = tiny_reviews
    return pl.DataFrame({"text": texts, "rating": ratings})


@pytest.fixture(scope="module")
def tune_tiny(tiny_backbone: Path, table: pl.DataFrame) -> TuneTiny:
    """`ratecast.tune` with the tiny backbone and one pass a trial."""

    def tune(source: pl.DataFrame = table, *, out: Path, **settings: Any) -> Predictor:
        defaults: dict[str, Any] = {
            "backbone": str(tiny_backbone),
            "epochs": 1.0,
            "threads": 1,
            "blend": False,
            "validation_fraction": 0.2,
            "evaluations_per_epoch": 4,
            "reporter": SilentReporter(),
        }
        return ratecast.tune(source, out=out, **(defaults | settings))

    return tune


@pytest.fixture(scope="module")
def told() -> Recorder:
    return Recorder()


@pytest.fixture(scope="module")
def model(tune_tiny: TuneTiny, told: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """Tuned with two settings of its own: one other than the default, one given as it is by default."""
    out = tmp_path_factory.mktemp("tune") / "model"
    return tune_tiny(out=out, trials=7, batch_reviews=4, dropout=0.1, reporter=told)


def found_in(model: Predictor) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((model.folder / "tuning.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.slow
def test_the_model_has_the_best_settings_which_are_no_worse_than_the_default(model: Predictor) -> None:
    found = found_in(model)
    trials, best = found["trials"], found["trials"][found["best"]]
    complete = [trial["rmse"] for trial in trials if trial["ended"] == "complete"]
    assert len(trials) == 7
    assert best["rmse"] == min(complete) <= trials[0]["rmse"]
    assert trials[0]["settings"].items() <= flat(with_learning_rate(FitConfig())).items()
    config = FitConfig.from_mapping(json.loads((model.folder / "config.json").read_text(encoding="utf-8")))
    for name in ("learning_rate", "head_learning_rate", "weight_decay", "warmup_fraction"):
        assert getattr(config.train, name) == best["settings"][name]
    assert config.backbone.head == best["settings"]["head"]


@pytest.mark.slow
def test_the_final_fit_reaches_what_its_trial_did(model: Predictor) -> None:
    """Without a time budget both are the same training."""
    found = found_in(model)
    metrics = json.loads((model.folder / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["training"]["best_score"] == pytest.approx(found["trials"][found["best"]]["rmse"], abs=1e-6)


@pytest.mark.slow
def test_given_settings_stay_and_are_told(model: Predictor, told: Recorder) -> None:
    found = found_in(model)
    assert found["fixed"] == {"batch_reviews": 4, "dropout": 0.1}
    assert all(not {"batch_reviews", "dropout"} & set(trial["settings"]) for trial in found["trials"])
    assert "fixed as given: dropout=0.1, batch_reviews=4" in told.lines
    assert sum(line.startswith("trial ") for line in told.lines) == 7


@pytest.mark.slow
def test_the_folder_has_the_report_and_nothing_is_left_beside_it(model: Predictor) -> None:
    html = (model.folder / "tuning.html").read_text(encoding="utf-8")
    assert html.count('<svg class="plot"') == 2  # the course, and the importances
    assert html.count('<th scope="row">') == 7
    assert "http" not in html.replace("http://www.w3.org", "")
    assert any("in 7 trials on the validation reviews" in note for note in model_notes(model))
    assert [path.name for path in model.folder.parent.iterdir()] == ["model"]
    assert model.predict(["very good"])[0].rating > 0


def model_notes(model: Predictor) -> list[str]:
    notes: list[str] = json.loads((model.folder / "metrics.json").read_text(encoding="utf-8"))["notes"]
    return notes


@pytest.mark.slow
def test_test_reviews_take_no_part(tune_tiny: TuneTiny, table: pl.DataFrame, tmp_path: Path) -> None:
    """With other ratings on the test reviews, every trial has the same RMSE."""
    found = []
    part = np.tile(["train", "train", "train", "validation", "test"], 24)
    for shift in (0, 2):
        changed = (table["rating"] - 1 + np.where(part == "test", shift, 0)) % 5 + 1
        given = table.with_columns(rating=changed, part=pl.Series(part))
        out = tmp_path / str(shift)
        found.append(found_in(tune_tiny(given, out=out, trials=2, by="column", split_column="part", scale="1..5")))
    assert [trial["rmse"] for trial in found[0]["trials"]] == [trial["rmse"] for trial in found[1]["trials"]]


@pytest.mark.slow
def test_an_interrupted_search_goes_on_and_ends_as_if_it_had_not_been(
    tune_tiny: TuneTiny, model: Predictor, table: pl.DataFrame, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"out": tmp_path / "model", "trials": 7, "batch_reviews": 4, "dropout": 0.1}
    first = Recorder(until="trial 3 of 7")
    with pytest.raises(KeyboardInterrupt):
        tune_tiny(**settings, reporter=first)
    assert first.lines[-1] == "stopped: the same command with --resume keeps the 3 trials that are done"
    for other in ({"batch_reviews": 8}, {"source": table[:100]}):
        with pytest.raises(ConfigError, match="made with other data or settings"):
            tune_tiny(**(settings | other), resume=True)
    second = Recorder()
    again = found_in(tune_tiny(**settings, resume=True, reporter=second))
    assert [line[:12] for line in second.lines if line.startswith("trial ")] == [f"trial {n} of 7" for n in (4, 5, 6, 7)]
    whole = found_in(model)
    assert [trial["settings"] for trial in again["trials"]] == [trial["settings"] for trial in whole["trials"]]
    assert again["best"] == whole["best"]


@pytest.mark.slow
def test_an_interrupted_final_fit_goes_on_without_a_search(tune_tiny: TuneTiny, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"out": tmp_path / "model", "trials": 2}
    with pytest.raises(KeyboardInterrupt):
        tune_tiny(**settings, reporter=Recorder(until="plan: "))
    second = Recorder()
    found = found_in(tune_tiny(**settings, resume=True, reporter=second))
    assert not any(line.startswith("trial ") for line in second.lines)
    assert len(found["trials"]) == 2


@pytest.mark.slow
def test_what_another_fit_left_is_not_gone_on_with(
    tune_tiny: TuneTiny, tiny_backbone: Path, table: pl.DataFrame, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"backbone": str(tiny_backbone), "evaluations_per_epoch": 1, "epochs": 2.0, "threads": 1}
    with pytest.raises(KeyboardInterrupt):  # at the first evaluation
        ratecast.fit(
            table, out=tmp_path / "model", checkpoint_seconds=1e-6, **settings, reporter=Recorder(until="training loss")
        )
    assert list((tmp_path / "model.training").glob("checkpoint*"))
    assert len(found_in(tune_tiny(out=tmp_path / "model", trials=2, resume=True))["trials"]) == 2


@pytest.mark.slow
def test_ensembles_and_back_translation_are_left_to_the_final_fit(
    tune_tiny: TuneTiny, tiny_translator: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ratecast.train import finetune as module

    seen: list[tuple[int, str | None]] = []
    original = module.finetune

    def finetune(parts: dict[str, Reviews], scale: RatingScale, run: Run, **named: Any) -> FineTuned | None:
        seen.append((run.config.strengthen.ensemble, run.config.strengthen.back_translation))
        return original(parts, scale, run, **named)

    monkeypatch.setattr(module, "finetune", finetune)
    models = f"{tiny_translator('t5')},{tiny_translator('bart')}"
    model = tune_tiny(out=tmp_path / "model", trials=2, ensemble=2, back_translation=models)
    assert seen == [(1, None), (1, None), (2, models)]
    assert len([note for note in model.notes() if "distilled" in note or "another language" in note]) == 2


def test_a_time_budget_is_divided_and_kept(tune_tiny: TuneTiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ratecast.job.writing_seconds", lambda: 25.0)
    told, started = Recorder(), time.monotonic()
    tune_tiny(out=tmp_path / "model", trials=2, time_budget="90s", epochs=None, reporter=told)
    assert time.monotonic() - started < 90
    assert any("19 s for each trial" in line for line in told.lines)
    assert (tmp_path / "model" / "tuning.html").exists()


def test_trials_within_a_time_budget_are_judged_on_a_sample() -> None:
    reviews = Reviews.from_texts([f"good {number}" for number in range(900)], np.repeat([1.0, 2.0, 3.0], 300))
    sample = _sample(reviews, 0)
    assert len(set(sample.text)) == 500
    assert np.bincount(sample.rated().astype(int))[1:].min() > 120  # not the first ones of a sorted table
    assert set(_sample(reviews, 0).text) == set(sample.text) != set(_sample(reviews, 1).text)
    assert list(_sample(reviews.take(np.arange(50)), 0).text) == list(reviews.text[:50])


def test_a_search_is_known_again_where_a_trial_is_reckoned_to_have_a_little_more_time(
    tiny_backbone: Path, tiny_reviews: tuple[list[str], list[float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[str] = []
    monkeypatch.setattr("ratecast.tuning.search.Search", lambda *_, fingerprint, **__: known.append(fingerprint))
    config = FitConfig().with_values(backbone=str(tiny_backbone), time_budget="90s")
    texts, ratings = tiny_reviews
    job = prepare_job(None, texts, ratings, out=tmp_path / "model", config=config, reporter=Recorder())
    for asked, seconds in ((None, 19.0), (None, 19.4), (5, 19.0)):
        _search(job, tmp_path, {}, asked=asked, seconds=seconds, resume=False)
    assert known[0] == known[1] != known[2]


def test_the_time_is_divided_equally(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ratecast.job.writing_seconds", lambda: 25.0)
    hour = FitConfig().with_values(time_budget="1h")
    count, seconds = _divided(hour, None)
    assert count == 11  # of three minutes each
    assert seconds == pytest.approx(SEARCH_SHARE * (3600 * 0.97 - 25) / 11)  # 3 % in reserve, 25 s to write the folder
    assert _divided(hour, 50)[0] == 50
    assert _divided(FitConfig().with_values(time_budget="10m"), None)[0] == 3
    assert _divided(FitConfig().with_values(time_budget="10h"), None)[0] == 20
    assert _divided(FitConfig(), 3) == (3, None)
    assert Clock(started=0.0, budget_seconds=None).fitting_seconds == float("inf")


@pytest.mark.parametrize(
    ("settings", "trials", "message"),
    [
        ({}, None, "a search has to end: give a time budget"),
        ({"time_budget": "1h"}, 1, "needs 2 trials or more, found 1"),
        ({"time_budget": "30s"}, None, r"3 trials within a time budget of 30s would have 1 s each.*or fewer trials$"),
        ({"time_budget": "1m"}, 2, "10 s each, and 12 s are needed; give more time$"),
    ],
)
def test_a_search_that_cannot_work_is_refused_before_anything_is_read(
    tmp_path: Path, settings: dict[str, Any], trials: int | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ratecast.job.writing_seconds", lambda: 25.0)
    with pytest.raises(ConfigError, match=message):
        ratecast.tune("absent.csv", out=tmp_path / "model", trials=trials, **settings)
    assert not list(tmp_path.iterdir())
