"""Which texts a model learned from: hashes in its folder, so that it is not praised for what it has seen."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ratecast.data.near import fold, is_short
from ratecast.model.store import Component, Manifest, create_component, verify

LEARNED: Final = "learned"
"""Name and kind of the component."""

_FILE: Final = "learned.npy"
_HASH_BYTES: Final = (
    8  # a million texts learned from and as many others: one of the latter is taken for known once in 20 million
)


def save_learned(folder: Path, texts: Iterable[str], *, known: Sequence[int] = ()) -> Component:
    """Write the hashes of the texts that a model learned from, training and validation, eight bytes for each.

    Short texts, which are equal by chance, are left out.

    Args:
        folder: the model folder.
        texts: the texts.
        known: hashes of further ones, which another model that this one was made from learned from.
    """
    hashes = {_hash(text) for text in texts if not is_short(text)} | set(known)
    np.save(folder / _FILE, np.sort(np.array(list(hashes), dtype=np.uint64)))
    return create_component(folder, LEARNED, LEARNED, [_FILE])


def learned_hashes(folder: Path, manifest: Manifest) -> list[int] | None:
    """Hashes of the texts that a model learned from; None if its folder is too old to know.

    Raises:
        ModelFolderError: if the file of hashes is missing or damaged.
    """
    component = next((part for part in manifest.components if part.kind == LEARNED), None)
    if component is None:
        return None
    verify(folder, component)
    found: list[int] = np.load(folder / _FILE).tolist()
    return found


def learned_from(folder: Path, manifest: Manifest, texts: Sequence[str]) -> NDArray[np.bool_] | None:
    """Whether the model learned from each text, shape ``(text,)``; None if its folder is too old to know.

    Case, spaces and punctuation do not count; a text that is only nearly equal to a known one is not found.

    Raises:
        ModelFolderError: if the file of hashes is missing or damaged.
    """
    hashes = learned_hashes(folder, manifest)
    if hashes is None:
        return None
    known = np.array(hashes, dtype=np.uint64)
    is_known = np.isin(np.array([_hash(text) for text in texts], dtype=np.uint64), known)
    return is_known & ~np.array([is_short(text) for text in texts], dtype=np.bool_)


def learned_warning(name: str, folder: Path, manifest: Manifest, texts: Sequence[str]) -> list[str]:
    """What to know, before a model is judged on these texts, of those that it learned from; empty if it has seen none.

    Raises:
        ModelFolderError: if the file of hashes is missing or damaged.
    """
    learned = learned_from(folder, manifest, texts)
    if learned is None:
        return [f"{name} is of an earlier version of ratecast, which did not record whether it learned from these reviews"]
    if not learned.any():
        return []
    warning = (
        f"{name} learned from {learned.sum():,} of these {len(learned):,} reviews when it was fitted, and on them it looks "
        "better than it is: judge it on reviews that it has not seen"
    )
    return [warning]


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(fold(text).encode(), digest_size=_HASH_BYTES).digest())
