import contextlib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratecast.config import BackboneConfig, FitConfig, SplitConfig, TrainConfig, parse_duration, setting_names
from ratecast.errors import ConfigError


def test_settings_have_unique_names() -> None:
    names = [name for _, name in setting_names(FitConfig)]
    assert len(names) == len(set(names))
    assert ("train", "learning_rate") in set(setting_names(FitConfig))
    assert (None, "time_budget") in set(setting_names(FitConfig))


def test_no_setting_is_forgotten() -> None:
    assert {name for stage, name in setting_names(FitConfig) if stage == "train"} == {part.name for part in fields(TrainConfig)}


def test_mapping_round_trip() -> None:
    config = FitConfig(
        train=TrainConfig(learning_rate=1e-4, steps=7),
        split=SplitConfig(by="user"),
        backbone=BackboneConfig(trained_layers=2),
        time_budget="10m",
    )
    assert FitConfig.from_mapping(config.to_mapping()) == config


def test_toml(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('seed = 3\ntime_budget = "90s"\n[train]\nepochs = 2\n[split]\nby = "time"\n', encoding="utf-8")
    config = FitConfig.from_toml(path)
    assert (config.seed, config.time_budget_seconds, config.train.epochs, config.split.by) == (3, 90.0, 2.0, "time")
    assert isinstance(config.train.epochs, float)


@pytest.mark.parametrize("content", [None, b"seed = ", b"\xff\xfe"], ids=["missing", "not TOML", "not UTF-8"])
def test_unreadable_toml(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "settings.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"cannot read the settings in .*settings\.toml"):
        FitConfig.from_toml(path)


def test_all_faults_are_told_at_once() -> None:
    mapping = {
        "train": {"learning_rat": 1e-4, "epochs": "many"},
        "split": {"by": "author"},
        "seed": True,
        "track": 5,
        "backbone": {"max_tokens": 1.5, "dropout": 2.0},
        "strengthen": {"ensemble": 0},
        "time_budget": "soon",
    }
    with pytest.raises(ConfigError) as caught:
        FitConfig.from_mapping(mapping)
    message = str(caught.value)
    for part in (
        "unknown setting 'train.learning_rat'; did you mean 'learning_rate'?",
        "train.epochs must be a number, found 'many'",
        "split.by must be one of random, user, item, time, column, found 'author'",
        "seed must be a whole number, found True",
        "track must be a table of settings, found 5",
        "backbone.max_tokens must be a whole number, found 1.5",
        "dropout must be at least 0 and below 1, found 2.0",
        "ensemble must be above 0, found 0",
        "cannot read the duration 'soon'",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate must be above 0, found 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0, found nan"),
        ({"batch_reviews": -1}, "batch_reviews must be above 0"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1"),
        ({"max_tokens": 4}, "max_tokens must be at least 8"),
        ({"trained_layers": -1}, "trained_layers must be 0 or more"),
        ({"label_smoothing": 1.0}, "label_smoothing must be at least 0 and below 1"),
        ({"class_weights": "balance"}, "class_weights must be one of none, balanced"),
        ({"weight_decay": -0.1}, "weight_decay must be 0 or more"),
        ({"layer_decay": 0.0}, "layer_decay must be above 0"),
        ({"layer_decay": 1.5}, "layer_decay must be at most 1, found 1.5"),
        ({"average_decay": 1.0}, "average_decay must be at least 0 and below 1"),
        ({"dropout_samples": 0}, "dropout_samples must be above 0"),
        ({"r_drop": -1.0}, "r_drop must be 0 or more"),
        ({"r_drop": 1.0, "dropout": 0.0}, "compare dropout masks, but dropout is 0"),
        ({"dropout_samples": 2, "dropout": 0.0}, "compare dropout masks, but dropout is 0"),
        ({"reinitialised_layers": -1}, "reinitialised_layers must be 0 or more"),
        ({"reinitialised_layers": 2, "trained_layers": 1}, "reinitialised_layers must be at most trained_layers=1, found 2"),
        ({"pooled_layers": 3, "trained_layers": 1}, "pooled_layers must be at most 2 with trained_layers=1, found 3"),
        ({"adversarial": -0.1}, "adversarial must be 0 or more"),
        ({"word_deletion": 1.0}, "word_deletion must be at least 0 and below 1"),
        ({"word_deletion": 0.1, "trained_layers": 2}, "trained_layers=2 computes the frozen layers once: leave"),
        ({"synonyms": 0.1, "synonyms_file": "x", "trained_layers": 0}, "trained_layers=0 computes the frozen layers once"),
        ({"synonyms": 0.1}, "synonyms needs a thesaurus: set synonyms_file"),
        ({"back_translation": "there"}, "back_translation must name two translation models, .*; found 'there'"),
        ({"back_translation": "a,b,c"}, "back_translation must name two"),
        ({"back_translation": "a, "}, "back_translation must name two"),
        ({"back_translation": "a,b", "trained_layers": 1}, "trained_layers=1 computes the frozen layers once: leave"),
        ({"ensemble": 0}, "ensemble must be above 0, found 0"),
        ({"window_pooling": "mean"}, "window_pooling is for reviews that are read in several windows: set windows above 1"),
        ({"overlap_fraction": 0.5}, "overlap_fraction is for reviews that are read in several windows"),
        ({"validation_fraction": 0.5, "test_fraction": 0.45}, "leave less than a tenth"),
        ({"validation_fraction": 0.0}, "validation_fraction must be above 0"),
        ({"time_budget": "soon"}, "cannot read the duration 'soon'"),
        (
            {"by": "users", "epochs": "4", "time_budget": 600},
            "by must be one of random, .*epochs must be a number, found '4'",
        ),
        ({"by": "users", "ensemble": 0}, "by must be one of random, .*ensemble must be above 0"),
        ({"learning_rat": 1.0, "sed": 1}, "did you mean 'learning_rate'.*did you mean 'seed'"),
    ],
)
def test_impossible_values(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FitConfig().with_values(**values)


def test_with_values_changes_only_what_is_given() -> None:
    config = FitConfig(train=TrainConfig(epochs=9.0)).with_values(learning_rate=1e-4, seed=5, text_column="body")
    assert (config.train.learning_rate, config.train.epochs, config.seed, config.columns.text_column) == (1e-4, 9.0, 5, "body")
    assert config.with_values() == config


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("1.5h", 5400), ("1h30m", 5400), (" 2 M ", 120), ("1h 5m 10s", 3910), (".5m", 30)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "45", "0s", "-5m", "10 minutes", "ten", "1d", "1..5m", "5m1h", "5m10", "1.5.2h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ConfigError, match="cannot read the duration"):
        parse_duration(text)


@given(st.text(alphabet="0123456789.smh -x", max_size=8))
def test_a_duration_is_positive_or_refused(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert parse_duration(text) > 0
