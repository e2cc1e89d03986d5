import pytest

from ratecast.progress import ConsoleReporter, Reporter, SilentReporter


def use(reporter: Reporter) -> None:
    reporter.tell("columns [text] found: 'review' and 100 % of it")
    with reporter.track("training", 2) as advance:
        advance(1, "loss 0.5")
        advance(1, "")


def test_console_reporter_tells_on_standard_error_and_leaves_brackets_alone(capsys: pytest.CaptureFixture[str]) -> None:
    use(ConsoleReporter())
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "columns [text] found: 'review' and 100 % of it\n" in captured.err


def test_console_reporter_draws_no_bar_into_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    use(ConsoleReporter())
    assert capsys.readouterr().err.count("\n") == 1


def test_long_work_tells_how_far_it_is_in_a_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    moments = iter([0.0, 0.5, 30.0, 61.0, 90.0, 122.0, 300.0])
    monkeypatch.setattr("ratecast.progress.time.monotonic", lambda: next(moments))
    with ConsoleReporter().track("predicting", 1000) as advance:
        for units in (500, 50, 50, 50, 50, 300):
            advance(units, "12 reviews/s")
    assert capsys.readouterr().err.splitlines() == [
        "predicting: 60 %, about 4 min left, 12 reviews/s",
        "predicting: 70 %, about 3 min left, 12 reviews/s",
    ]


def test_console_reporter_draws_no_bar_in_a_notebook(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as ipykernel does
    use(ConsoleReporter())
    assert capsys.readouterr().err.count("\n") == 1


def test_console_reporter_draws_a_bar_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    use(ConsoleReporter())
    shown = capsys.readouterr().err
    assert "training" in shown
    assert "2/2" in shown


def test_silent_reporter_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    use(SilentReporter())
    assert capsys.readouterr() == ("", "")
