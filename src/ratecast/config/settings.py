"""What every class of settings can do: check itself, be read from TOML, be changed by flat names, and be written."""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Self, get_type_hints

from ratecast.config.values import fits, parse_duration, range_fault, type_name
from ratecast.errors import ConfigError


class Settings:
    """Base of the frozen dataclasses that hold all settings of a piece of work, with a further dataclass for each stage.

    Field names are unique over the stages, so that a setting has a flat name.
    """

    time_budget: str | None

    def __post_init__(self) -> None:
        faults = list(self._faults())
        if faults:
            raise ConfigError("; ".join(faults))

    @property
    def time_budget_seconds(self) -> float | None:
        """The time budget in seconds, None without one."""
        return None if self.time_budget is None else parse_duration(self.time_budget)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Settings from nested tables, as read from TOML or JSON.

        Raises:
            ConfigError: naming every unknown key and every value of the wrong type or range at once.
        """
        faults: list[str] = []
        config: Self | None = _build(cls, mapping, "", faults)
        if faults or config is None:
            raise ConfigError("; ".join(faults))
        return config

    @classmethod
    def from_toml(cls, path: str | Path) -> Self:
        """Settings from a TOML file.

        Raises:
            ConfigError: if the file cannot be read or holds something that is not a setting.
        """
        try:
            return cls.from_mapping(tomllib.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"cannot read the settings in {path}: {error}") from None

    def to_mapping(self) -> dict[str, Any]:
        """The settings as nested dictionaries; `from_mapping` reads them."""
        plain: Any = self
        return asdict(plain)

    def with_values(self, **values: Any) -> Self:
        """A copy with some settings changed, by their flat names (``learning_rate=1e-4, seed=1``).

        Raises:
            ConfigError: naming every setting that does not exist.
        """
        stages: dict[str, Any] = {}
        own: dict[str, Any] = {}
        home = {name: stage for stage, name in setting_names(type(self)) if stage}
        known = [name for _, name in setting_names(type(self))]
        unknown = [_unknown(name, known) for name in values if name not in known]
        if unknown:
            raise ConfigError("; ".join(unknown))
        for name, value in values.items():
            if name in home:
                stages.setdefault(home[name], {})[name] = value
            else:
                own[name] = value
        plain: Any = self
        changed: Self = replace(plain, **own, **{stage: replace(getattr(self, stage), **new) for stage, new in stages.items()})
        return changed

    def combined_faults(self) -> Iterator[str]:
        """What is wrong with settings together, each of which is of its type."""
        yield from ()

    def _faults(self) -> Iterator[str]:
        kind: Any = type(self)
        hints = _hints(kind)
        values = {name: getattr(getattr(self, stage) if stage else self, name) for stage, name in setting_names(type(self))}
        wrong = [name for name, value in values.items() if not fits(value, hints[name])]
        yield from (f"{name} must be {type_name(hints[name])}, found {values[name]!r}" for name in wrong)
        yield from filter(None, (range_fault(name, value) for name, value in values.items() if name not in wrong))
        if not wrong:
            yield from self.combined_faults()


def setting_names(kind: type[Settings]) -> Iterator[tuple[str | None, str]]:
    """Every setting as its stage (None for those of the class itself) and name."""
    plain: Any = kind
    for own in fields(plain):
        stage: Any = own.default_factory
        if is_dataclass(stage):
            yield from ((own.name, part.name) for part in fields(stage))
        else:
            yield None, own.name


@cache
def _hints(kind: Any) -> dict[str, Any]:
    """Type of each setting by its flat name."""
    stages = get_type_hints(kind)
    return {name: get_type_hints(stages[stage])[name] if stage else stages[name] for stage, name in setting_names(kind)}


def _plain(value: Any, hint: Any) -> Any:
    """A value of TOML or JSON as its setting has it."""
    if isinstance(value, list):
        return tuple(value)
    return float(value) if value is not None and hint in {float, float | None} else value


def _unknown(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name.rpartition(".")[2], known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
    return f"unknown setting {name!r}; {hint}"


def _build(kind: type[Any], mapping: Mapping[str, Any], prefix: str, faults: list[str]) -> Any:
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for key, value in mapping.items():
        name = f"{prefix}{key}"
        if key not in hints:
            faults.append(_unknown(name, list(hints)))
        elif is_dataclass(hints[key]):
            if isinstance(value, Mapping):
                values[key] = _build(hints[key], value, f"{name}.", faults)
            else:
                faults.append(f"{name} must be a table of settings, found {value!r}")
        elif not fits(value, hints[key]):
            faults.append(f"{name} must be {type_name(hints[key])}, found {value!r}")
        elif fault := range_fault(key, value):
            faults.append(fault)
        else:
            values[key] = _plain(value, hints[key])
    if faults:
        return None
    try:
        return kind(**values)
    except ConfigError as error:
        faults.append(str(error))
        return None
