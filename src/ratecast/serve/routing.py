"""Which version of a model answers a request that asks for none."""

import hashlib
import math
from collections.abc import Sequence
from typing import Final

from ratecast.serve.versions import Wanted

_DIGEST_BYTES: Final = 6  # with the half that is added, still exact as a float


def pick(versions: Sequence[Wanted], key: bytes) -> int:
    """The place of the version that a key leads to.

    Each version gets the share of all keys that its weight says, and a key always leads to the same one: rendezvous hashing
    with weights (Schindelhauer and Schomaker 2005, "Weighted Distributed Hash Tables", the logarithmic method). Where weights
    change, a key goes elsewhere only from a version whose weight falls or to one whose weight rises. A version is told by its
    folder, so that new content of the folder takes over the keys of the old one.

    Args:
        versions: the versions of a model; the weight of one at least is above 0.
        key: what the choice follows from, such as the id of a user.
    """
    scores = [_score(version, key) for version in versions]
    return scores.index(max(scores))


def _score(version: Wanted, key: bytes) -> float:
    content = b"\0".join((version.name.encode(), str(version.folder).encode(), key))
    digest = hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()
    place = (int.from_bytes(digest, "big") + 0.5) / 2.0 ** (8 * _DIGEST_BYTES)
    return version.weight / -math.log(place)
