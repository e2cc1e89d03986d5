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
    assert "training" not in capsys.readouterr().err


def test_silent_reporter_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    use(SilentReporter())
    assert capsys.readouterr() == ("", "")
