"""Memory that a training step frees is kept for the next one."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of settings in glibc's malloc.h
_KEPT_BYTES: Final = 2**31 - 1
_MAPPED_BYTES: Final = 2**30
_USUAL_BYTES: Final = 2**25


@contextmanager
def kept_memory() -> Iterator[None]:
    """While the context is open, freed memory is not given back to the operating system; at its end it is.

    Each step asks for the same hundreds of megabytes. glibc would give them back after it, and the system would hand out pages
    that it has to clear first: 61,000 of them in a step of MiniLM on 2,048 tokens. Elsewhere than with glibc nothing is done.
    """
    library = _glibc()
    if library is None:
        yield
        return
    library.mallopt(_MMAP_THRESHOLD, _MAPPED_BYTES)
    library.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
    try:
        yield
    finally:
        library.mallopt(_MMAP_THRESHOLD, _USUAL_BYTES)  # what it would have come to by itself
        library.mallopt(_TRIM_THRESHOLD, 2 * _USUAL_BYTES)
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
