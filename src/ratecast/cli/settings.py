"""Flags from the dataclasses of `ratecast.config`, so that a setting is described in one place."""

import ast
import inspect
import itertools
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Final, TypeVar, get_type_hints

from cyclopts import Group, Parameter

from ratecast.config import CompressConfig, DistillConfig, FitConfig, PretrainConfig, ServeConfig, Settings

Command = TypeVar("Command", bound=Callable[..., None])

TITLES: Final[dict[str | type[Settings], str]] = {
    "columns": "Columns",
    "split": "Split",
    "backbone": "Backbone and head",
    "adapter": "Parameter-efficient tuning",
    "train": "Training",
    "few": "Few labels",
    "strengthen": "Stronger fine-tuning",
    "answer": "Answer",
    "track": "Tracking",
    "keeping": "What is kept",
    "listen": "Listening",
    "limits": "What is refused",
    "batching": "Batches",
    "routing": "Models and versions",
    "trace": "Traces",
    FitConfig: "Whole run",
    PretrainConfig: "Pretraining",
    DistillConfig: "Smaller model",
    CompressConfig: "Limits",
    ServeConfig: "Computing",
}
"""Heading under which ``--help`` shows the settings of each stage, and those that are of no stage."""


def setting_flags(*chosen: str, of: type[Settings] = FitConfig) -> Callable[[Command], Command]:
    """Decorator that gives a command flags for settings; the command takes those really given as ``**settings``.

    Args:
        chosen: names of stages ("train"; "" for the settings of no stage) and of single settings ("text_column").
        of: the class of settings.
    """
    kind: Any = of

    def add(command: Command) -> Command:
        own = [part for part in inspect.signature(command).parameters.values() if part.kind is not part.VAR_KEYWORD]
        flags = [flag for (stage, name), flag in _flags(kind).items() if stage in chosen or name in chosen]
        command.__signature__ = inspect.Signature([*own, *flags])  # type: ignore[attr-defined] # what inspect.signature reads, unknown to Callable
        return command

    return add


@cache
def _flags(of: Any) -> Mapping[tuple[str, str], inspect.Parameter]:
    found = {}
    for number, (stage, kind) in enumerate(_stages(of)):
        helps = field_docstrings(kind)
        group = Group(TITLES[stage or of], help=(kind.__doc__ or "").strip(), sort_key=number + 1)
        hints = get_type_hints(kind)
        for part in fields(kind):
            if is_dataclass(hints[part.name]):
                continue
            about = Parameter(
                help=helps[part.name],
                group=group,
                show_default=None if part.default is not False else False,
                allow_leading_hyphen=part.name == "scale",  # a scale may begin below zero: -5..5
            )
            found[stage, part.name] = inspect.Parameter(
                part.name, inspect.Parameter.KEYWORD_ONLY, default=part.default, annotation=Annotated[hints[part.name], about]
            )
    return found


def _stages(of: Any) -> list[tuple[str, Any]]:
    hints = get_type_hints(of)
    stages = [(part.name, hints[part.name]) for part in fields(of) if is_dataclass(hints[part.name])]
    return [*stages, ("", of)]


def field_docstrings(kind: type[Any]) -> dict[str, str]:
    """The text under each field of a class of settings in its source, which Python itself does not keep."""
    found = {}
    (written,) = ast.parse(inspect.getsource(kind)).body
    body = written.body if isinstance(written, ast.ClassDef) else []
    for part, below in itertools.pairwise(body):
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name) and isinstance(below, ast.Expr):
            found[part.target.id] = " ".join(ast.literal_eval(below.value).split())
    return found
