"""The search on a function whose minimum is known."""

import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from ratecast.errors import ConfigError, OutputError
from ratecast.progress import SilentReporter
from ratecast.tuning.search import STUDY_FILE, OnEvaluation, Search, Trial

SPACE: dict[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(1e-5, 1e-1, log=True),
    "max_tokens": CategoricalDistribution([None, 96, 128]),
}
START = {"learning_rate": 1e-5, "max_tokens": None}


class Recorder(SilentReporter):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def tell(self, message: str) -> None:
        """Keep it."""
        self.lines.append(message)


def bowl(settings: Mapping[str, Any], on_evaluation: OnEvaluation) -> float:
    """Lowest, 1, at a learning rate of 0.001; comes down over ten evaluations."""
    end = 1 + (math.log10(settings["learning_rate"]) + 3) ** 2
    for tenth in range(11):
        on_evaluation(tenth / 10, end + 1 - tenth / 10)
    return end


def unwatched(settings: Mapping[str, Any], on_evaluation: OnEvaluation) -> float:
    """The same, without evaluations on the way, so that none is stopped early."""
    return bowl(settings, lambda progress, rmse: None)


def search_in(folder: Path, *, resume: bool = False, fingerprint: str = "same", seed: int = 0) -> Search:
    return Search(folder, SPACE, START, fingerprint=fingerprint, seed=seed, resume=resume)


def settings_of(search: Search) -> list[Mapping[str, Any]]:
    return [trial.settings for trial in search.trials()]


def test_the_first_trial_is_the_start_and_the_best_is_no_worse(tmp_path: Path) -> None:
    search = search_in(tmp_path / "s")
    assert search.run(unwatched, trials=20, reporter=SilentReporter()) == 20
    first, best = search.trials()[0], search.best()
    assert first.settings == START
    assert first.rmse == pytest.approx(5)
    assert best is not None
    assert best.rmse is not None
    assert best.rmse < 1.2
    assert best.rmse == min(trial.rmse for trial in search.trials() if trial.rmse is not None)
    assert max(search.importances(), key=search.importances().__getitem__) == "learning_rate"
    assert sum(search.importances().values()) == pytest.approx(1)


def test_trials_behind_the_median_are_stopped_early(tmp_path: Path) -> None:
    evaluations: dict[float, int] = {}

    def counted(settings: Mapping[str, Any], on_evaluation: OnEvaluation) -> float:
        def count(progress: float, rmse: float) -> None:
            evaluations[settings["learning_rate"]] = evaluations.get(settings["learning_rate"], 0) + 1
            on_evaluation(progress, rmse)

        return bowl(settings, count)

    reporter = Recorder()
    search = search_in(tmp_path / "s")
    search.run(counted, trials=20, reporter=reporter)
    stopped = [trial for trial in search.trials() if trial.ended == "stopped early"]
    assert stopped
    assert all(trial.ended == "complete" for trial in search.trials()[:4])
    for trial in stopped:
        done = evaluations[trial.settings["learning_rate"]]
        assert 3 <= done < 11  # never before two tenths, and before the end
        reached = 1 + (math.log10(trial.settings["learning_rate"]) + 3) ** 2 + 1 - (done - 1) / 10
        assert trial.rmse == pytest.approx(reached)
        earlier = [other for other in search.trials()[: trial.number] if other.ended == "complete"]
        at_same = sorted(other.rmse + 1 - (done - 1) / 10 for other in earlier if other.rmse is not None)
        assert reached > at_same[(len(at_same) - 1) // 2]
    best = search.best()
    assert best is not None
    assert best.ended == "complete"
    assert sum("when stopped early" in line for line in reporter.lines) == len(stopped)


def test_coarse_and_fine_evaluations_are_compared_at_the_same_progress(tmp_path: Path) -> None:
    """A trial evaluated twice only has values at every tenth, each the best that it had reached by then."""

    def coarse(settings: Mapping[str, Any], on_evaluation: OnEvaluation) -> float:
        for progress, rmse in ((0.0, 3.0), (0.5, 2.0), (1.0, 2.5)):
            on_evaluation(progress, rmse)
        return 2.0

    search = search_in(tmp_path / "s")
    search.run(coarse, trials=1, reporter=SilentReporter())
    values = search._study.trials[0].intermediate_values
    assert values == {0: 3.0} | dict.fromkeys(range(1, 11), 2.0)


def test_a_resumed_search_draws_what_it_would_have_drawn(tmp_path: Path) -> None:
    whole = search_in(tmp_path / "whole")
    whole.run(bowl, trials=10, reporter=SilentReporter())
    parts = search_in(tmp_path / "parts")
    parts.run(bowl, trials=4, reporter=SilentReporter())
    again = search_in(tmp_path / "parts", resume=True)
    assert again.run(bowl, trials=10, reporter=SilentReporter()) == 6
    assert settings_of(again) == settings_of(whole)
    assert again.seconds() == pytest.approx(sum(trial.seconds for trial in again.trials()))
    other = search_in(tmp_path / "other", seed=1)
    other.run(bowl, trials=10, reporter=SilentReporter())
    assert settings_of(other)[1:] != settings_of(whole)[1:]


def test_a_trial_that_was_cut_off_is_tried_again(tmp_path: Path) -> None:
    search = search_in(tmp_path / "s")
    search.run(bowl, trials=2, reporter=SilentReporter())
    cut_off: list[Mapping[str, Any]] = []

    def interrupted(settings: Mapping[str, Any], on_evaluation: OnEvaluation) -> float:
        cut_off.append(settings)
        on_evaluation(0.0, 3.0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search.run(interrupted, trials=5, reporter=SilentReporter())
    again = search_in(tmp_path / "s", resume=True)
    assert len(again.trials()) == 2
    again.run(bowl, trials=5, reporter=SilentReporter())
    assert settings_of(again)[2] == cut_off[0]
    assert [trial.number for trial in again.trials()] == [0, 1, 2, 3, 4]
    assert all(trial.ended != "failed" for trial in again.trials())


def test_a_first_trial_that_was_cut_off_is_the_first_again(tmp_path: Path) -> None:
    def interrupted(settings: Mapping[str, Any], on_evaluation: OnEvaluation) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search_in(tmp_path / "s").run(interrupted, trials=5, reporter=SilentReporter())
    again = search_in(tmp_path / "s", resume=True)
    again.run(bowl, trials=2, reporter=SilentReporter())
    assert settings_of(again)[0] == START


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_first_trial_that_was_cut_off_while_it_was_drawn_is_the_first_again(tmp_path: Path, seed: int) -> None:
    search_in(tmp_path / "s")._study.ask({"learning_rate": SPACE["learning_rate"]})  # killed before the second setting
    again = search_in(tmp_path / "s", resume=True, seed=seed)
    again.run(bowl, trials=1, reporter=SilentReporter())
    assert settings_of(again) == [START]


def test_a_trial_that_was_cut_off_before_it_was_told_is_tried_again(tmp_path: Path) -> None:
    search = search_in(tmp_path / "s")
    search.run(bowl, trials=1, reporter=SilentReporter())
    trial = search._study.ask(SPACE)
    trial.set_user_attr("failure", "")
    trial.set_user_attr("seconds", 1.0)
    again = search_in(tmp_path / "s", resume=True)
    assert len(again.trials()) == 1
    again.run(bowl, trials=2, reporter=SilentReporter())
    assert settings_of(again) == [START, trial.params]


KILLED = """
import sys, time
from pathlib import Path
from optuna.distributions import CategoricalDistribution, FloatDistribution
from ratecast.progress import SilentReporter
from ratecast.tuning.search import Search

space = {"learning_rate": FloatDistribution(1e-5, 1e-1, log=True), "max_tokens": CategoricalDistribution([None, 96, 128])}

def slow(settings, on_evaluation):
    number = len(search.trials())
    if number == 3:
        print("ready", flush=True)
        time.sleep(120)
    return 1.0 + number

start = {"learning_rate": 1e-5, "max_tokens": None}
search = Search(Path(sys.argv[1]), space, start, fingerprint="same", seed=0, resume=False)
search.run(slow, trials=9, reporter=SilentReporter())
"""


def test_a_killed_search_goes_on(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "s")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    cut_off = [json.loads(line) for line in (tmp_path / "s" / STUDY_FILE).read_text().splitlines()]
    assert cut_off
    with (tmp_path / "s" / STUDY_FILE).open("ab") as file:
        file.write(b'{"op_code":5,"wor')  # a line that was not written to its end
    (tmp_path / "s" / f"{STUDY_FILE}.lock").symlink_to(tmp_path / "s" / STUDY_FILE)  # and a lock that nobody holds
    began = time.monotonic()
    again = search_in(tmp_path / "s", resume=True)
    assert [trial.rmse for trial in again.trials()] == [1, 2, 3]
    assert again.run(unwatched, trials=5, reporter=SilentReporter()) == 2
    assert time.monotonic() - began < 25  # Optuna takes a lock away after 30 s
    assert len(again.trials()) == 5


def test_a_failed_trial_is_told_and_the_search_goes_on(tmp_path: Path) -> None:
    def failing(settings: Mapping[str, Any], on_evaluation: OnEvaluation) -> float | None:
        number = len(search.trials())
        if number == 1:
            raise RuntimeError("out of\nmemory")
        if number == 4:
            raise ConfigError("too few tokens")
        return {2: None, 3: math.nan}.get(number, 2.0)

    reporter = Recorder()
    search = search_in(tmp_path / "s")
    search.run(failing, trials=6, reporter=reporter)
    assert [trial.ended for trial in search.trials()] == ["complete", *["failed"] * 4, "complete"]
    assert [trial.failure for trial in search.trials()][1:5] == [
        "RuntimeError: out of memory",
        "the time was too short to begin",
        "the validation RMSE was nan",
        "ConfigError: too few tokens",
    ]
    assert "failed (RuntimeError: out of memory)" in reporter.lines[1]
    assert search.importances() == {}


def test_settings_that_cannot_be_end_the_search(tmp_path: Path) -> None:
    def wrong(settings: Mapping[str, Any], on_evaluation: OnEvaluation) -> float:
        raise ConfigError("unknown head")

    with pytest.raises(ConfigError, match="unknown head"):
        search_in(tmp_path / "s").run(wrong, trials=3, reporter=SilentReporter())


def test_without_a_complete_trial_there_is_no_best(tmp_path: Path) -> None:
    search = search_in(tmp_path / "s")
    assert search.best() is None
    search.run(lambda settings, on_evaluation: None, trials=2, reporter=SilentReporter())
    assert search.best() is None
    assert all(trial.rmse is None for trial in search.trials())


def test_the_time_ends_the_search(tmp_path: Path) -> None:
    reporter = Recorder()
    search = search_in(tmp_path / "s")
    assert search.run(bowl, trials=9, reporter=reporter, has_time=lambda: len(search.trials()) < 3) == 3
    assert reporter.lines[-1] == "the time for the search is over after 3 of 9 trials"


def test_trials_that_are_all_equal_say_nothing_of_the_settings(tmp_path: Path) -> None:
    search = search_in(tmp_path / "s")
    search.run(lambda settings, on_evaluation: 2.0, trials=6, reporter=SilentReporter())
    best = search.best()
    assert search.importances() == {}
    assert best is not None
    assert best.number == 0


def test_other_data_are_refused_and_a_new_search_drops_the_old(tmp_path: Path) -> None:
    search_in(tmp_path / "s").run(bowl, trials=2, reporter=SilentReporter())
    with pytest.raises(ConfigError, match="made with other data or settings"):
        search_in(tmp_path / "s", resume=True, fingerprint="other")
    assert search_in(tmp_path / "s", fingerprint="other").trials() == []


def test_a_damaged_search_is_told(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / STUDY_FILE).write_text("not a log\nat all\n")
    with pytest.raises(ConfigError, match="is damaged"):
        search_in(tmp_path / "s", resume=True)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        search_in(tmp_path / "file" / "s")


def test_nothing_of_optunas_settings_is_left_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    level = optuna.logging.get_verbosity()
    search_in(tmp_path / "s").run(bowl, trials=2, reporter=SilentReporter())
    assert optuna.logging.get_verbosity() == level
    assert capsys.readouterr() == ("", "")


def test_a_line_is_told_for_each_trial(tmp_path: Path) -> None:
    reporter = Recorder()
    search = search_in(tmp_path / "s")
    search.run(bowl, trials=2, reporter=reporter)
    assert reporter.lines[0] == "trial 1 of 2  RMSE 5.000  0 s  learning_rate=1e-05, max_tokens=auto  the best so far"
    assert len(reporter.lines) == 2
    assert isinstance(search.trials()[0], Trial)
