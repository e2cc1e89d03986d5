"""Which versions of which models shall be served, as a user writes it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ratecast.config.values import parse_share
from ratecast.errors import ConfigError

_SHADOW: Final = "shadow"
_TOLERANCE: Final = 1e-6


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A version of a model that shall be served.

    Attributes:
        name: what requests call the model.
        folder: the model folder.
        weight: share of the model's requests that it answers, of those that ask for no version.
        is_shadow: whether it answers nothing and predicts copies of the model's requests.
    """

    name: str
    folder: Path
    weight: float = 1.0
    is_shadow: bool = False


@dataclass(frozen=True, kw_only=True)
class _Written:
    """A version as it was written; without a weight it takes a share of what the others leave."""

    version: Wanted
    weight: float | None
    has_name: bool


def wanted_versions(texts: Sequence[str]) -> tuple[Wanted, ...]:
    """The versions of all models, of texts like ``model/``, ``shop=models/1``, ``shop=models/2@0.1``, ``shop=models/3@shadow``.

    A model without a name is named by its folder. The versions of a model stand together, the models in the order of the texts.

    Raises:
        ConfigError: if there are none, a text cannot be read, two models have the same name, or the weights of a model do not
            add up to 1.

    Example:
        >>> [(one.weight, one.is_shadow) for one in wanted_versions(["shop=1", "shop=2@10%", "shop=3@shadow"])]
        [(0.9, False), (0.1, False), (0.0, True)]
    """
    if not texts:
        raise ConfigError("there is nothing to serve: name a model folder, as in ratecast serve model/")
    models: dict[str, list[_Written]] = {}
    for written in map(_read, texts):
        models.setdefault(written.version.name, []).append(written)
    return tuple(version for name, versions in models.items() for version in _weighted(name, versions))


def _read(text: str) -> _Written:
    name, has_name, rest = text.partition("=")
    rest = rest if has_name else text
    place, mark, suffix = rest.rpartition("@")
    is_plain = not mark or "/" in suffix or Path(rest).is_dir()  # the name of a folder may have the mark too
    folder = Path(rest if is_plain else place)
    name = name if has_name else folder.resolve().name
    if not name:
        raise ConfigError(f"{text!r} has no name; write NAME=FOLDER")
    if bad := sorted({one for one in name if one in "/@" or not one.isprintable()}):
        raise ConfigError(f"the name {name!r} has {bad[0]!r}, which addresses cannot hold or which has a meaning of its own")
    is_shadow = not is_plain and suffix == _SHADOW
    weight = None if is_plain else 0.0 if is_shadow else _weight(text, suffix)
    return _Written(version=Wanted(name=name, folder=folder, is_shadow=is_shadow), weight=weight, has_name=bool(has_name))


def _weight(text: str, suffix: str) -> float:
    try:
        weight = parse_share(suffix)
    except ConfigError:
        weight = -1.0
    if not 0 <= weight <= 1:
        raise ConfigError(f"expected a weight from 0 to 1, such as 0.1 or 10%, or {_SHADOW} after the @ of {text!r}")
    return weight


def _weighted(name: str, versions: Sequence[_Written]) -> list[Wanted]:
    if len(versions) > 1 and not all(one.has_name for one in versions):
        first, second = (one.version.folder for one in versions[:2])
        raise ConfigError(
            f"two models are called {name!r}; name them: first={first} second={second}, or, as two versions of one model, "
            f"{name}={first} {name}={second}"
        )
    answering = [one for one in versions if not one.version.is_shadow]
    if not answering:
        raise ConfigError(f"all versions of {name!r} are shadows; one must answer: {name}={versions[0].version.folder}")
    given = sum(one.weight for one in answering if one.weight is not None)
    without = sum(one.weight is None for one in answering)
    if given > 1 + _TOLERANCE or (not without and given < 1 - _TOLERANCE):
        raise ConfigError(
            f"the weights of {name!r} add up to {given:g}; expected 1, or less and a version without a weight, which takes the "
            "rest"
        )
    rest = round(max(1.0 - given, 0.0) / max(without, 1), 12)  # 0.9, not 0.8999999999999999
    return [replace(one.version, weight=rest if one.weight is None else one.weight) for one in versions]
