"""Memory that is not in use any more."""

import ctypes
import os
from typing import Any


def give_back_memory() -> None:
    """Hand free memory to the operating system.

    glibc keeps what was freed in pieces, in an arena for each of some threads: after eight swaps of a network of 90 MB it held
    twice what was in use. Other C libraries are left to themselves.
    """
    if os.name == "nt":
        return
    trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
