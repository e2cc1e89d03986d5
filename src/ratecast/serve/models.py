"""The models that are served."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ratecast.errors import ConfigError
from ratecast.model.store import MANIFEST
from ratecast.predict import Predictor, load
from ratecast.serve.faults import Fault

_WARM_TEXT: Final = "The room was clean and the staff were kind, but breakfast was cold and the street is loud at night. " * 5
_WARM_REVIEWS: Final = 16
_MEMORY: Final = 0.9


class Served:
    """A model that is loaded and warm.

    Args:
        name: what requests call it.
        folder: its model folder.
        threads: processor threads; all cores by default.

    Attributes:
        version: changes whenever the folder's content does.
        seconds_per_byte: how long predicting takes for each byte of text, by the latest batches.

    Raises:
        ModelFolderError: if the folder is none, or damaged.
    """

    def __init__(self, name: str, folder: Path, threads: int | None = None) -> None:
        self.name, self.folder = name, folder
        self.version = folder_version(folder)
        self.predictor: Predictor = load(folder, threads=threads)
        self._seconds = self._bytes = 0.0
        self._warm()

    @property
    def seconds_per_byte(self) -> float:
        """Seconds that a byte of text takes, by the latest batches."""
        return self._seconds / self._bytes

    def learn(self, seconds: float, cost: int) -> None:
        """Take account of a batch that was predicted."""
        self._seconds, self._bytes = _MEMORY * self._seconds + seconds, _MEMORY * self._bytes + cost

    def _warm(self) -> None:
        self.predictor.predict([_WARM_TEXT])
        started = time.perf_counter()
        self.predictor.predict([_WARM_TEXT] * _WARM_REVIEWS)
        self._seconds = time.perf_counter() - started
        self._bytes = float(_WARM_REVIEWS * len(_WARM_TEXT))


def folder_version(folder: Path) -> str:
    """Twelve hexadecimal digits that name the content of a model folder, whose manifest holds the hash of every file.

    It is empty for a folder without a manifest, which loading refuses.
    """
    path = folder / MANIFEST
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else ""


class Models:
    """The served models by name.

    Args:
        served: the models; a request that names none is for the first.
    """

    def __init__(self, served: Sequence[Served]) -> None:
        self._served = {model.name: model for model in served}

    def __iter__(self) -> Iterator[Served]:
        return iter(self._served.values())

    def choose(self, name: str | None) -> Served:
        """The model of that name, or the first.

        Raises:
            Fault: 404 if there is none.
        """
        if name is None:
            return next(iter(self._served.values()))
        if name not in self._served:
            raise Fault(404, "unknown_model", f"there is no model {name!r}; known are {', '.join(self._served)}")
        return self._served[name]


def named_folders(models: Sequence[str]) -> dict[str, Path]:
    """Model folders by name, of arguments like ``model/`` (named by its folder) or ``shop=models/3``.

    Raises:
        ConfigError: if two have the same name.
    """
    found: dict[str, Path] = {}
    for text in models:
        name, given, path = text.partition("=")
        folder = Path(path if given else text)
        name = name if given else folder.resolve().name
        if name in found:
            raise ConfigError(f"two models are called {name!r}; name them: first={found[name]} second={folder}")
        found[name] = folder
    return found
