"""The teacher: any model folder, and what it says of many texts."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from ratecast.errors import ConfigError, ModelFolderError
from ratecast.files import explained_write, replace_file
from ratecast.model.learned import learned_hashes, save_learned
from ratecast.model.store import MANIFEST, Component, sha256
from ratecast.predict import load
from ratecast.progress import Reporter
from ratecast.records import Reviews
from ratecast.scale import FloatArray

_CHUNK: Final = 256
"""Texts that are read before what was said of them is written down."""
_TIMED: Final = 48
_FILE: Final = "targets.npy"


class Teacher:
    """A fitted model that others learn from.

    Args:
        folder: its model folder.
        threads: processor threads; all cores by default.

    Attributes:
        folder: its model folder.
        predictor: the model.

    Raises:
        ModelFolderError: if the folder is no model, or damaged.
    """

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        self.folder = folder
        self.predictor = load(folder, threads=threads)

    @property
    def sha256(self) -> str:
        """Hash of its manifest, which holds those of all its files."""
        return sha256(self.folder / MANIFEST)

    def seconds_per_text(self, texts: Sequence[str], seed: int) -> float:
        """What it takes for a text, measured on some of them."""
        rows = np.random.default_rng(seed).permutation(len(texts))[:_TIMED]
        few = [texts[row] for row in rows]
        self.predictor.probabilities(few[:2])
        started = time.perf_counter()
        self.predictor.probabilities(few)
        return (time.perf_counter() - started) / max(1, len(few))

    def with_learned(self, new: Path, parts: Mapping[str, Reviews], further: Sequence[str]) -> list[Component]:
        """Write into the folder of a student which texts it and its teacher learned from; nothing if the latter is not known.

        Args:
            new: the student's folder.
            parts: the reviews that it learned from under "train" and "validation".
            further: texts that it learned from besides.
        """
        known = learned_hashes(self.folder, self.predictor.manifest)
        if known is None:
            return []
        texts = [text for name in ("train", "validation") for text in parts[name].joined()]
        return [save_learned(new, [*texts, *further], known=known)]

    def read(self, texts: Sequence[str], store: Path, reporter: Reporter) -> FloatArray:
        """Level probabilities, shape ``(text, level)``; those that were read before are taken from the working folder.

        Args:
            texts: the texts.
            store: working folder; what an interrupted run of the same texts and teacher has left there is gone on with.
            reporter: shows the progress.

        Raises:
            ConfigError: if what was left there is of other texts or another teacher.
            OutputError: if the folder cannot be written.
        """
        name = self._name(texts)
        path = store / f"{name}-{_FILE}"
        if not path.exists() and any(store.glob(f"*-{_FILE}")):
            raise ConfigError(f"what an interrupted run left in {store} is of other reviews; run without --resume")
        found = _kept(path, len(self.predictor.scale))
        with reporter.track("the teacher reads", len(texts)) as advance:
            advance(len(found), "")
            while len(found) < len(texts):
                chunk = texts[len(found) : len(found) + _CHUNK]
                found = np.concatenate([found, self.predictor.probabilities(chunk)])
                with explained_write(path):
                    partial = path.with_suffix(".partial")
                    with partial.open("wb") as file:
                        np.save(file, found)
                    replace_file(partial, path)
                advance(len(chunk), "")
        return found

    def _name(self, texts: Sequence[str]) -> str:
        digest = hashlib.sha256(self.sha256.encode())
        for text in texts:
            digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
        return digest.hexdigest()[:16]


def _kept(path: Path, levels: int) -> FloatArray:
    if not path.is_file():
        return np.empty((0, levels))
    try:
        found: FloatArray = np.load(path)
    except (OSError, ValueError) as error:
        raise ModelFolderError(f"{path} is damaged ({error}); delete it and run without --resume") from None
    return found
