"""How many files, of which a connection is one, the system lets this process have."""

import contextlib
import logging
from typing import Final

_LOG: Final = logging.getLogger("ratecast.serve")
_OTHERS: Final = 100
"""Files besides connections: of the models, the store, the log and the libraries."""


def possible_connections(wanted: int) -> int:
    """So many connections, or as many as the system allows; what it allows is made as large as that takes, if it may be."""
    try:
        import resource
    except ImportError:  # not on this system, which says itself when there are too many
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted + _OTHERS:
        asked = wanted + _OTHERS if hard == resource.RLIM_INFINITY else min(hard, wanted + _OTHERS)
        with contextlib.suppress(ValueError, OSError):  # as where there is a further limit that it does not tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (asked, hard))
            soft = asked
    if soft == resource.RLIM_INFINITY or soft >= wanted + _OTHERS:
        return wanted
    found = max(1, soft - _OTHERS)
    _LOG.warning("the system allows %d open files: at most %d connections are taken in place of %d", soft, found, wanted)
    return found
