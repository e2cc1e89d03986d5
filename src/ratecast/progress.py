"""How long work tells what it is doing: nothing below the command line prints; it tells a `Reporter`."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final, Protocol

_FIRST_SECONDS: Final = 1.0
"""What is done by then was done by an earlier run, and tells nothing of the speed."""
_LINE_SECONDS: Final = 60.0
"""Time between two lines where no bar can be drawn."""
Advance = Callable[[int, str], None]
"""Called with the number of units done since the last call and a short note that is shown beside the bar."""


class Reporter(Protocol):
    """Where messages and progress go."""

    def tell(self, message: str) -> None:
        """Show one line of text."""

    def track(self, task: str, total: int) -> AbstractContextManager[Advance]:
        """Show a progress bar of ``total`` units, with the time left, while the context is open."""


class SilentReporter:
    """Shows nothing."""

    def tell(self, message: str) -> None:
        """Do nothing."""

    @contextmanager
    def track(self, task: str, total: int) -> Iterator[Advance]:
        """Do nothing."""
        yield lambda units, note: None


class _Lines:
    """Tells once a minute how far some work is."""

    def __init__(self, task: str, total: int, tell: Callable[[str], None]) -> None:
        self._task, self._total, self._tell = task, total, tell
        self._started = self._told = time.monotonic()
        self._done = self._before = 0

    def advance(self, units: int, note: str) -> None:
        """Take account of what is done."""
        self._done += units
        now = time.monotonic()
        if now - self._started < _FIRST_SECONDS:
            self._before = self._done
        if now - self._told < _LINE_SECONDS or not 0 < self._done < self._total:
            return
        self._told = now
        left = (now - self._started) * (self._total - self._done) / max(1, self._done - self._before)
        more = f", {note}" if note else ""
        self._tell(f"{self._task}: {100 * self._done // self._total} %, about {max(1, round(left / 60))} min left{more}")


class ConsoleReporter:
    """Shows messages and progress bars on standard error."""

    def __init__(self) -> None:
        from rich.console import Console

        # In a notebook Rich would show each line as a piece of HTML of its own, or, as the kernel sets FORCE_COLOR, write every
        # frame of a progress bar into the output.
        is_terminal = None if sys.stderr is not None and sys.stderr.isatty() else False
        self._console = Console(stderr=True, highlight=False, soft_wrap=True, force_jupyter=False, force_terminal=is_terminal)

    def tell(self, message: str) -> None:
        """Show one line of text."""
        self._console.print(message, markup=False)

    @contextmanager
    def track(self, task: str, total: int) -> Iterator[Advance]:
        """Show a bar that disappears when done; without a terminal a line now and then, of work that takes long."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        if not self._console.is_terminal:  # Rich would leave an empty line for each bar
            yield _Lines(task, total, self.tell).advance
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            task_id = progress.add_task(task, total=total, note="")
            yield lambda units, note: progress.update(task_id, advance=units, note=note)
