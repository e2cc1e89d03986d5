"""Arguments that several commands share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

SOURCES_HELP: Final = (
    "Tables of reviews: CSV, TSV, JSON lines (each also .gz), Parquet, Arrow or SQLite files, or folders and patterns of them."
)
Sources = Annotated[str, Parameter(name="SOURCE", required=True, help=SOURCES_HELP)]
OptionalSources = Annotated[str, Parameter(name="SOURCE", help=SOURCES_HELP)]
Model = Annotated[Path, Parameter(name="MODEL", help="Model folder that ratecast fit wrote.")]


def one_or_many(sources: Sequence[str]) -> str | list[str]:
    """What `ratecast.data.read_table` takes: a path by itself, several as a list."""
    return sources[0] if len(sources) == 1 else list(sources)
