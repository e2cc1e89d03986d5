import inspect
from typing import Any

import pytest
from cyclopts import App

from ratecast.cli.fit import fit
from ratecast.cli.settings import setting_flags
from ratecast.config import FitConfig, setting_names

SETTINGS = [name for _, name in setting_names(FitConfig)]


def given(arguments: list[str], *chosen: str) -> dict[str, Any]:
    """The settings that a command with the chosen flags gets for these arguments."""
    found: dict[str, Any] = {}

    @setting_flags(*chosen)
    def command(**settings: Any) -> None:
        found.update(settings)

    app = App(result_action="return_value", exit_on_error=False, print_error=False)
    app.default(command)
    app(arguments)
    return found


def test_fit_has_a_flag_for_every_setting_with_its_default_and_a_help_text() -> None:
    parameters = inspect.signature(fit).parameters
    for name in SETTINGS:
        about = parameters[name].annotation.__metadata__[0]
        assert about.help, name
        assert about.help[0].isupper(), name
        assert "\n" not in about.help, name
    assert parameters["learning_rate"].default is None


def test_help_groups_the_flags_by_stage(capsys: pytest.CaptureFixture[str]) -> None:
    app = App(help_format="plaintext")
    app.default(fit)
    app.help_print([])
    shown = capsys.readouterr().out
    titles = ("Columns", "Split", "Backbone and head", "Training", "Stronger fine-tuning", "Tracking", "Whole run")
    places = [shown.index(f" {title} ") for title in titles]
    assert places == sorted(places)
    assert places[3] < shown.index("--learning-rate") < places[4] < shown.index("--layer-decay") < places[5]
    for name in SETTINGS:
        assert f"--{name.replace('_', '-')}" in shown


def test_only_flags_really_given_are_passed_on() -> None:
    assert given([], "train", "split") == {}
    # Equal to the default, but given: it must override a file.
    assert given(["--learning-rate", "5e-5", "--by", "random"], "train", "split") == {"learning_rate": 5e-5, "by": "random"}


def test_values_have_the_types_of_their_settings() -> None:
    arguments = ["--epochs", "2", "--steps=7", "--train-embeddings", "--no-wandb", "--trained-layers", "none", "--seed", "3"]
    found = given(arguments, "train", "backbone", "track", "")
    assert found == {
        "epochs": 2.0,
        "steps": 7,
        "train_embeddings": True,
        "wandb": False,
        "trained_layers": None,
        "seed": 3,
    }
    assert isinstance(found["epochs"], float)


@pytest.mark.parametrize("text", ["-5..5", "-1,0,1", "1..5/0.5"])
def test_a_scale_may_begin_below_zero(text: str) -> None:
    assert given(["--scale", text], "columns") == {"scale": text}


def test_single_settings_may_be_chosen() -> None:
    assert given(["--text-column", "body"], "text_column", "seed") == {"text_column": "body"}
    with pytest.raises(Exception, match="Unknown option"):
        given(["--rating-column", "stars"], "text_column", "seed")
