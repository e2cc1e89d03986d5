"""A process that is killed in the middle of training, as far as a test in the same process can tell."""

from collections.abc import Iterator
from contextlib import contextmanager

from ratecast.progress import Advance


class StoppedError(Exception):
    """Stands for a killed process."""


class InterruptingReporter:
    """Stops the training after some steps, counted over all trainings that report to it."""

    def __init__(self, steps: float) -> None:
        self._left = steps

    def tell(self, message: str) -> None:
        """Nothing."""

    @contextmanager
    def track(self, task: str, total: int) -> Iterator[Advance]:
        """Counts the steps of training."""

        def advance(units: int, note: str) -> None:
            if task.endswith("training"):
                self._left -= 1
                if self._left < 0:
                    raise StoppedError

        yield advance
