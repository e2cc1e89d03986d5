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
