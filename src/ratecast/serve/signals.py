"""The signal to load models anew, before there is anything to load anew."""

import contextlib
import signal
from collections.abc import Iterator
from typing import Final

RELOAD: Final = getattr(signal, "SIGHUP", None)
"""The signal to load models anew; Windows has none."""


@contextlib.contextmanager
def early_reloads() -> Iterator[list[int]]:
    """The signals that come while models are loaded for the first time, instead of the end of the process."""
    asked: list[int] = []
    if RELOAD is None:
        yield asked
        return
    before = signal.signal(RELOAD, lambda number, _: asked.append(number))
    try:
        yield asked
    finally:
        signal.signal(RELOAD, before)
