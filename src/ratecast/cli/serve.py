"""``ratecast serve``."""

import json
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, get_type_hints

from cyclopts import Parameter

from ratecast.cli.arguments import SettingsFile
from ratecast.cli.settings import setting_flags
from ratecast.config import ServeConfig, setting_names
from ratecast.errors import ConfigError

_PREFIX: Final = "RATECAST_"
_SWITCHES: Final = {"true": True, "1": True, "false": False, "0": False}
Models = Annotated[
    str,
    Parameter(
        name="MODEL",
        help="Model folder that ratecast fit wrote, or NAME=FOLDER to name it. The same name again is another version of the "
        "model: NAME=FOLDER@0.1 answers a tenth of the requests, NAME=FOLDER@0 those that ask for it, NAME=FOLDER@shadow none. "
        "The first model answers requests that name none.",
    ),
]


@setting_flags(
    "listen", "limits", "batching", "keeping", "watch_seconds", "shadow_queue_bytes", "route_seed", "trace", "", of=ServeConfig
)
def serve(
    *models: Models,
    config: SettingsFile = None,
    print_config: Annotated[bool, Parameter(name="--print-config", negative="", show_default=False)] = False,
    **settings: Any,
) -> None:
    """Answer predictions over HTTP.

    Every setting may also stand in a TOML file, given as --config, or in an
    environment variable: RATECAST_PORT for --port. Flags override the
    environment, and the environment the file. Without --keys only this machine
    is served. On SIGHUP models and their versions are loaded anew while the old
    ones go on answering.

    For example:

        ratecast serve model/
        ratecast new-key keys.toml shop
        ratecast serve shop=model/ --host 0.0.0.0 --keys keys.toml
        ratecast serve model/ --store ratecast.db
        ratecast serve shop=models/1 shop=models/2@0.1 shop=models/3@shadow

    Args:
        models: see `Models`.
        config: see `SettingsFile`.
        print_config: Show the resolved settings as TOML, and serve nothing.
        settings: the flags really given.
    """
    read = partial(resolved, config, {**settings, **({"models": models} if models else {})})
    if print_config:
        print(as_toml(read().to_mapping()), end="")
        return
    from ratecast.serve import serve as run
    from ratecast.serve import start_logging

    start_logging()
    run(read)


def resolved(file: Path | None, flags: Mapping[str, Any]) -> ServeConfig:
    """The settings in a file, overridden by those in the environment and these by flags.

    Raises:
        ConfigError: if the file cannot be read, or a setting is wrong.
    """
    found = ServeConfig() if file is None else ServeConfig.from_toml(file)
    return found.with_values(**{**from_environment(os.environ), **flags})


def from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Settings that stand in environment variables, by their flat names.

    Raises:
        ConfigError: if a value is not of its setting's type.
    """
    found: dict[str, Any] = {}
    stages = get_type_hints(ServeConfig)
    for stage, name in setting_names(ServeConfig):
        variable = f"{_PREFIX}{name.upper()}"
        kind = get_type_hints(stages[stage])[name] if stage else stages[name]
        if variable in environment:
            found[name] = _value(variable, environment[variable], kind)
    return found


def _value(variable: str, text: str, kind: Any) -> Any:
    try:
        if kind in {int, int | None}:
            return int(text)
        if kind in {float, float | None}:
            return float(text)
    except ValueError:
        raise ConfigError(f"the environment variable {variable} must be a number, found {text!r}") from None
    if kind == tuple[str, ...]:
        return tuple(text.split())
    if kind is bool:
        if text.lower() not in _SWITCHES:
            raise ConfigError(f"the environment variable {variable} must be true or false, found {text!r}")
        return _SWITCHES[text.lower()]
    return text


def as_toml(settings: Mapping[str, Any]) -> str:
    """Settings as TOML, which the same command takes as a file; one without a value is a comment."""
    plain = {name: value for name, value in settings.items() if not isinstance(value, Mapping)}
    lines = [f"# {name} is not set" if value is None else f"{name} = {json.dumps(value)}" for name, value in plain.items()]
    for name, value in settings.items():
        if isinstance(value, Mapping):
            lines += ["", f"[{name}]", as_toml(value).rstrip()]
    return "\n".join(lines) + "\n"
