import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import ratecast
from ratecast.cli import COMMANDS, create_app, main, run
from ratecast.errors import DataError


def fail_with(error: BaseException) -> Any:
    def fit(*sources: object, **settings: object) -> None:
        raise error

    return fit


def test_a_users_mistake_is_one_line_and_status_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("ratecast.fitting.fit", fail_with(DataError("found nothing;\n  expected reviews")))
    assert run(["fit", "a.csv", "--out", "model"]) == 2
    assert capsys.readouterr() == ("", "ratecast: error: found nothing; expected reviews\n")


def test_ctrl_c_is_status_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("ratecast.fitting.fit", fail_with(KeyboardInterrupt()))
    assert run(["fit", "a.csv", "--out", "model"]) == 130
    assert capsys.readouterr() == ("", "ratecast: interrupted\n")


def test_a_bug_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ratecast.fitting.fit", fail_with(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        run(["fit", "a.csv", "--out", "model"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], 'Unknown command "train"'),
        (["fit", "a.csv"], "--out"),
        (["fit", "--out", "model"], "SOURCE"),
        (["fit", "a.csv", "--out", "model", "--learning-rat", "1"], "Did you mean --learning-rate?"),
        (["fit", "a.csv", "--out", "model", "--epochs", "many"], '"many"'),
        (["fit", "a.csv", "--out", "model", "--by", "author"], '"user"'),
        (["fit", "a.csv", "--out", "model", "--epochs", "0"], "epochs must be above 0, found 0.0"),
        (["fit", "a.csv", "--out", "model", "--time-budget", "soon"], "cannot read the duration 'soon'"),
        (["evaluate", "model"], "SOURCE"),
        (["evaluate", "model", "a.csv", "--epochs", "2"], "--epochs"),
        (["compare", "a", "b", "c.csv"], "found the models none and the tables a, b, c.csv"),
        (["predict"], "MODEL"),
        (["inspect"], "PATH"),
        (["sample"], "OUT"),
    ],
)
def test_misuse_is_one_line_and_status_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("ratecast: error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"{ratecast.__version__}\n"


def test_help_names_every_command_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    for name in COMMANDS:
        assert any(len(line.split()) > 4 and line.strip("│ ").startswith(f"{name} ") for line in shown.splitlines()), name
    assert run([]) == 0
    assert capsys.readouterr().out == shown


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command_gives_an_example_that_its_parser_takes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    shown = capsys.readouterr().out
    examples = re.findall(rf"^ +(?:.*\| )?ratecast ({name} .*)$", shown.partition("For example:")[2], flags=re.MULTILINE)
    assert examples
    for example in examples:
        called, _, _ = create_app().parse_args(shlex.split(example))
        names = {name, example.split()[1]}  # the latter in a group of commands
        assert called.__name__ in {one.replace("-", "_") for one in names}


def test_main_exits_with_the_status() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["nonsense"])
    assert caught.value.code == 2


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ratecast", *arguments]


def test_help_is_quick() -> None:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run(command("--help"), stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - start)
    assert min(times) < 1.0


def test_ctrl_c_from_the_terminal(tiny_model: Path) -> None:
    process = subprocess.Popen(
        command("predict", str(tiny_model)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write("a text\n")
    process.stdin.flush()
    time.sleep(3)  # it now waits for more lines
    process.send_signal(signal.SIGINT)
    _, shown = process.communicate(timeout=30)
    assert (process.returncode, shown) == (130, "ratecast: interrupted\n")


def test_a_reader_that_goes_away_ends_it_quietly(tiny_model: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("good\n" * 2000, encoding="utf-8")
    receiver, sender = os.pipe()
    os.close(receiver)
    with texts.open(encoding="utf-8") as lines, os.fdopen(sender, "w") as output:
        done = subprocess.run(
            command("predict", str(tiny_model), "--json"),
            stdin=lines,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (141, "")
