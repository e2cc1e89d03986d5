"""Arguments that several commands share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from ratecast.errors import OutputError

SOURCES_HELP: Final = (
    "Tables of reviews: CSV, TSV, JSON lines (each also .gz), Parquet, Arrow or SQLite files, or folders and patterns of them."
)
Sources = Annotated[str, Parameter(name="SOURCE", required=True, help=SOURCES_HELP)]
OptionalSources = Annotated[str, Parameter(name="SOURCE", help=SOURCES_HELP)]
SettingsFile = Annotated[
    Path | None,
    Parameter(
        name="--config",
        help="TOML file with settings, a table for each stage ([train] learning_rate = 1e-4). Flags override it.",
    ),
]
Resume = Annotated[bool, Parameter(name="--resume", negative="", show_default=False)]
Model = Annotated[Path, Parameter(name="MODEL", help="Model folder that ratecast fit wrote.")]


def check_report(out: Path | None, *formats: str) -> None:
    """Find out before long work whether a report can be written there; None is no report.

    Raises:
        OutputError: if the name has none of the endings that the formats have, or the place cannot be written to.
    """
    from ratecast.data.write import check_place

    if out is None:
        return
    if out.suffix.lower() not in formats:
        raise OutputError(f"cannot tell from {out} which report to write; use a name that ends in {' or '.join(formats)}")
    check_place(out)


def one_or_many(sources: Sequence[str]) -> str | list[str]:
    """What `ratecast.data.read_table` takes: a path by itself, several as a list."""
    return sources[0] if len(sources) == 1 else list(sources)
