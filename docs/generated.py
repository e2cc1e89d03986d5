"""Pages that are made from the code, so that they cannot say anything else than it does.

`conf.py` adds what these functions give to the pages of the reference when the site is built.
"""

import inspect
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

import docstring_parser
from cyclopts import App, Argument

from ratecast.cli import COMMANDS, create_app
from ratecast.cli.settings import TITLES, field_docstrings
from ratecast.config import CompressConfig, DistillConfig, FitConfig, PretrainConfig, ServeConfig, Settings

_COMMANDS: dict[type[Settings], str] = {
    FitConfig: "fit",
    PretrainConfig: "pretrain",
    CompressConfig: "compress",
    ServeConfig: "serve",
    DistillConfig: "distill",
}
"""The command that each class of settings is of."""


def commands() -> str:
    """The commands as Markdown, each with its arguments, from its function and docstring."""
    app = create_app()
    return "\n".join(line for name in COMMANDS for line in _command_or_group(name, app[name]))


def settings() -> str:
    """The settings as Markdown, from the dataclasses of `ratecast.config` and the text under their fields."""
    return "\n".join(line for kind in _COMMANDS for line in _settings(kind))


def metrics() -> str:
    """The metrics as Markdown, from the table that they are computed by."""
    from ratecast.evaluate import METRICS

    rows = (f"| {info.label} | `{name}` | {info.explanation} | {info.better} |" for name, info in METRICS.items())
    return "\n".join(("| Metric | By name | What it is | Better |", "|---|---|---|---|", *rows))


def heads() -> str:
    """The heads as Markdown, from their docstrings."""
    from ratecast.model.heads import HEADS

    return "\n".join(f"`{name}`\n: {_summary(kind)}\n" for name, kind in HEADS.items())


# -- commands ---------------------------------------------------------------------------------------------------------


def _command_or_group(name: str, app: App) -> Iterator[str]:
    if app.default_command is not None:
        yield from _command(name, app)
        return
    yield from (f"(command-{name})=", f"## ratecast {name}", "", _console(inspect.cleandoc(app.help)), "")
    for part in app:
        if not part.startswith("-"):
            yield from _command(f"{name} {part}", app[part], "###")


def _command(name: str, app: App, heading: str = "##") -> Iterator[str]:
    function: Any = app.default_command
    parsed = docstring_parser.parse(inspect.getdoc(function) or "")
    shared: dict[str, list[Argument]] = {}
    own: list[Argument] = []
    for argument in app.assemble_argument_collection():
        groups: Any = argument.parameter.group
        title = groups[0].name if groups else ""
        (shared.setdefault(title, []) if title in TITLES.values() else own).append(argument)
    yield from (
        f"(command-{_slug(name)})=",
        f"{heading} ratecast {name}",
        "",
        _as_code(f"ratecast {name} {_usage(own, bool(shared))}"),
    )
    yield from (parsed.short_description or "", "", _console(parsed.long_description or ""), "")
    yield from (f"```{{program}} ratecast {name}", "```", "")
    helps = {part.arg_name: part.description or "" for part in parsed.params}
    for argument in own:
        text = argument.parameter.help or helps.get(argument.field_info.name, "")
        label = f"{argument.name} {_value(argument.hint)}".rstrip() if argument.name.startswith("-") else argument.name
        yield from _option(label, text, argument.field_info.default)
    if shared:
        yield from (
            "And of the [settings](settings.md):",
            "",
            *_shared(shared, {command: kind for kind, command in _COMMANDS.items()}.get(name, FitConfig)),
        )


def _usage(arguments: Iterable[Argument], has_settings: bool) -> str:
    parts = []
    for argument in arguments:
        several = argument.field_info.kind is inspect.Parameter.VAR_POSITIONAL
        value = _value(argument.hint)
        shown = (
            f"{argument.name} {value}".rstrip()
            if argument.name.startswith("-")
            else argument.name + (" ..." if several else "")
        )
        parts.append(shown if argument.required else f"[{shown}]")
    return " ".join([*parts, *(["[SETTINGS]"] if has_settings else [])])


def _shared(groups: dict[str, list[Argument]], kind: type[Settings]) -> Iterator[str]:
    """A line for each stage: all of it, or the settings of it that the command takes."""
    whole = {title: len(own) for title, own in _stage_sizes(kind)}
    for title, arguments in groups.items():
        link = f"[{title}](#settings-{_slug(title)})"
        names = ", ".join(f"`{argument.name}`" for argument in arguments)
        yield f"- {link}" + ("" if len(arguments) >= whole.get(title, 0) else f": {names}")
    yield ""


def _stage_sizes(kind: Any) -> Iterator[tuple[str, list[str]]]:
    for _, title, stage in _stages(kind):
        yield title, [part.name for part, _ in _plain_fields(stage)]


def _console(text: str) -> str:
    """The long description with its indented examples as shell blocks."""
    lines: list[str] = []
    is_code = False
    for line in [*text.splitlines(), ""]:
        indented = line.startswith("    ")
        if indented and not is_code:
            lines.append("```sh")
        if is_code and not indented:
            lines.append("```")
        is_code = indented
        lines.append(line[4:] if indented else line)
    return "\n".join(lines)


def _as_code(line: str) -> str:
    wrapped = textwrap.wrap(line, 88, subsequent_indent="    ", break_on_hyphens=False)
    return "\n".join(("```text", *wrapped, "```", ""))


# -- settings ---------------------------------------------------------------------------------------------------------


def _settings(kind: type[Settings]) -> Iterator[str]:
    for name, title, stage in _stages(kind):
        if kind is not FitConfig and name in get_type_hints(FitConfig):
            continue  # the same as in fitting
        hints, helps = get_type_hints(stage), field_docstrings(stage)
        yield from (f"(settings-{_slug(title)})=", f"## {title}", "", (stage.__doc__ or "").strip(), "")
        yield from (_places(kind, name), "")
        program = _COMMANDS[kind]
        yield from (f"```{{program}} ratecast {program}", "```", "")
        for part, default in _plain_fields(stage):
            is_flag = get_origin(hints[part.name]) is not tuple  # lists stand in files alone
            label = f"--{part.name.replace('_', '-')} {_value(hints[part.name])}".rstrip() if is_flag else part.name
            yield from _option(label, helps[part.name], default)


def _places(kind: type[Settings], stage: str) -> str:
    if kind is ServeConfig:
        where = f"under `[{stage}]`" if stage else "at the top of the file"
        return f"In TOML {where}; as environment variables such as `RATECAST_PORT`."
    if kind is not FitConfig:
        return f"In TOML at the top of the file; in Python as keyword arguments of {{py:func}}`ratecast.{_COMMANDS[kind]}`."
    if not stage:
        return "In TOML at the top of the file; for `RatingEstimator` by name alone, such as `time_budget`."
    return f"In TOML under `[{stage}]`; for `RatingEstimator` with the prefix `{stage}__`."


def _stages(kind: Any) -> Iterator[tuple[str, str, Any]]:
    """Name, heading and class of each stage; last, with an empty name, the class itself."""
    hints = get_type_hints(kind)
    for part in fields(kind):
        if is_dataclass(hints[part.name]):
            yield part.name, TITLES[part.name], hints[part.name]
    yield "", TITLES[kind], kind


def _plain_fields(stage: Any) -> Iterator[tuple[Field[Any], Any]]:
    hints = get_type_hints(stage)
    for part in fields(stage):
        if not is_dataclass(hints[part.name]):
            yield part, None if part.default is MISSING else part.default


# -- words ------------------------------------------------------------------------------------------------------------


def _option(label: str, text: str, default: Any) -> Iterator[str]:
    shown = "" if default in {None, False, (), inspect.Parameter.empty} else f" *Default: {_literal(default)}.*"
    yield from (f"````{{option}} {label}", "", " ".join(text.split()) + shown, "````", "")


def _literal(value: Any) -> str:
    return "yes" if value is True else f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _value(hint: Any) -> str:
    """What stands after a flag for a value of that type; nothing after a flag that says yes by itself."""
    names = {"bool": "", "int": "<whole number>", "float": "<number>", "str": "<text>", "Path": "<path>"}
    kinds = [each for each in (get_args(hint) or (hint,)) if each is not type(None)]
    if all(isinstance(each, str) for each in kinds):
        return f"<{'|'.join(kinds)}>"
    (kind,) = kinds[:1]
    if inner := [each for each in get_args(kind) if isinstance(each, str)]:
        return f"<{'|'.join(inner)}>"
    return names.get(getattr(kind, "__name__", ""), "<text>")


def _summary(kind: Any) -> str:
    return " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())


def _slug(title: str) -> str:
    return title.lower().replace(" ", "-")
