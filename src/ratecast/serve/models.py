"""The models that are served, in their versions."""

import hashlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ratecast.errors import ConfigError, ModelFolderError
from ratecast.model.store import MANIFEST, explained_read
from ratecast.predict import Predictor, load
from ratecast.serve.faults import Fault
from ratecast.serve.routing import pick
from ratecast.serve.versions import Wanted

_WARM_TEXT: Final = "The room was clean and the staff were kind, but breakfast was cold and the street is loud at night. " * 5
_WARM_REVIEWS: Final = 4
_MEMORY: Final = 0.9
_TOKEN_BYTES: Final = 5
"""Bytes of text that a token takes, with the space before it: 4.7 in Yelp's reviews, 3 of Chinese."""
_UNREAD: Final = 256
"""Bytes that the words' models and the tokenizer take as long for as a network for one: 200 kB take 10 ms, 600 bytes 8 ms."""


class Served:
    """A version of a model that is loaded and warm.

    Args:
        name: what requests call the model.
        folder: its model folder.
        threads: processor threads; all cores by default.

    Attributes:
        version: changes whenever the folder's content does.
        seconds_per_byte: how long predicting takes for each byte of text, by the latest batches.

    Raises:
        ModelFolderError: if the folder is none, or damaged, or changes while it is read.
    """

    def __init__(self, name: str, folder: Path, threads: int | None = None) -> None:
        self.name, self.folder = name, folder
        self.version = folder_version(folder)
        self.predictor: Predictor = load(folder, threads=threads)
        tokens = self.predictor.most_tokens
        self._read_bytes = sys.maxsize if tokens is None else tokens * _TOKEN_BYTES
        self._seconds = self._bytes = 0.0
        self._warm()
        if folder_version(folder) != self.version:
            raise ModelFolderError(f"{folder} changed while it was read; try again when it is whole")

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def label(self) -> str:
        """The name of its folder, by which a request may ask for it too."""
        return self.folder.name or self.folder.resolve().name

    @property
    def seconds_per_byte(self) -> float:
        """Seconds that a byte of text takes, by the latest batches."""
        return self._seconds / self._bytes

    def cost(self, size: int) -> int:
        """What predicting a review of so many bytes costs, in bytes: what a network does not read takes hardly any time."""
        read = min(size, self._read_bytes)
        return read + (size - read) // _UNREAD

    def learn(self, seconds: float, cost: int) -> None:
        """Take account of a batch that was predicted."""
        self._seconds, self._bytes = _MEMORY * self._seconds + seconds, _MEMORY * self._bytes + cost

    def _warm(self) -> None:
        self.predictor.predict([_WARM_TEXT])
        started = time.perf_counter()
        self.predictor.predict([_WARM_TEXT] * _WARM_REVIEWS)
        self._seconds = time.perf_counter() - started
        self._bytes = float(_WARM_REVIEWS * self.cost(len(_WARM_TEXT)))


def folder_version(folder: Path) -> str:
    """Twelve hexadecimal digits that name the content of a model folder, whose manifest holds the hash of every file.

    It is empty for a folder without a manifest, which loading refuses.

    Raises:
        ModelFolderError: if the manifest cannot be read.
    """
    path = folder / MANIFEST
    with explained_read(path):
        return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else ""


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version that is served, and how it was wanted."""

    wanted: Wanted
    served: Served


class Models:
    """What is served at a time: the versions of each model. It never changes; others take its place as a whole.

    Args:
        versions: at least one, those of a model together; a request that names no model is for the first one's.
    """

    def __init__(self, versions: Sequence[Version]) -> None:
        self._versions: dict[str, list[Version]] = {}
        for version in versions:
            self._versions.setdefault(version.wanted.name, []).append(version)

    def __iter__(self) -> Iterator[Version]:
        return (version for versions in self._versions.values() for version in versions)

    def choose(self, name: str | None, version: str | None, key: bytes) -> Served:
        """The version that answers a request.

        Args:
            name: the model that it names.
            version: the version that it asks for, or the name of that one's folder.
            key: what the choice between versions follows from where it asks for none.

        Raises:
            Fault: 404 if there is no such model, or none of its versions that answer is called so.
        """
        answering = self._answering(name)
        if version is None:
            return answering[pick([one.wanted for one in answering], key)].served
        served = [one.served for one in answering]
        found = [one for one in served if one.version == version] or [one for one in served if one.label == version]
        if len(found) != 1:
            known = ", ".join(f"{one.version} ({one.label})" for one in served)
            many = f"{len(found)} versions" if found else "no version that answers"
            raise Fault(404, "unknown_version", f"{served[0].name!r} has {many} called {version!r}; known are {known}")
        return found[0]

    def principal(self) -> list[Served]:
        """Of each model the version with the largest share of the requests."""
        names = self._versions
        return [max(self._answering(name), key=lambda version: version.wanted.weight).served for name in names]

    def versions(self, name: str) -> list[Served]:
        """The versions of a model that answer.

        Raises:
            Fault: 404 if there is no such model.
        """
        return [version.served for version in self._answering(name)]

    def shadows(self, name: str) -> list[Served]:
        """The versions of a model that predict copies of its requests."""
        return [version.served for version in self._versions.get(name, []) if version.wanted.is_shadow]

    def _answering(self, name: str | None) -> list[Version]:
        name = next(iter(self._versions)) if name is None else name
        if name not in self._versions:
            raise Fault(404, "unknown_model", f"there is no model {name!r}; known are {', '.join(self._versions)}")
        return [version for version in self._versions[name] if not version.wanted.is_shadow]


def load_models(wanted: Sequence[Wanted], threads: int | None, old: Models | None = None) -> Models:
    """Load and warm what is wanted; what is loaded already is taken as it is.

    Args:
        wanted: the versions, those of a model together.
        threads: processor threads of each; all cores by default. Shadows have one.
        old: what is loaded already.

    Raises:
        ConfigError: if two versions of a model have the same content.
        ModelFolderError: if a folder is no model folder, or damaged.
    """
    loaded = {_identity(version.wanted, version.served.version): version.served for version in old or ()}
    found: list[Version] = []
    for one in wanted:
        served = loaded.get(_identity(one, folder_version(one.folder)))
        if served is None:
            served = Served(one.name, one.folder, 1 if one.is_shadow else threads)
        same = [version.served for version in found if str(version.served) == str(served)]
        if same:
            raise ConfigError(
                f"two versions of {one.name!r} have the same content: {same[0].folder} and {one.folder}; leave one of them out"
            )
        found.append(Version(wanted=one, served=served))
    return Models(found)


def _identity(wanted: Wanted, version: str) -> tuple[object, ...]:
    """What must be the same of two versions so that one can be the other."""
    return wanted.name, wanted.folder, wanted.is_shadow, version
