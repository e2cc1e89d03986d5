"""``ratecast inspect``."""

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ratecast.cli.arguments import one_or_many
from ratecast.cli.settings import setting_flags
from ratecast.config import ColumnsConfig
from ratecast.errors import ConfigError, RatecastError

if TYPE_CHECKING:
    from ratecast.cli.show import Output


@setting_flags("columns")
def inspect(
    *paths: Annotated[str, Parameter(name="PATH", required=True)],
    **settings: Any,
) -> None:
    """Show what is in a table of reviews, or what a model is.

    Of a table: which columns were found, what would be dropped and why,
    languages, lengths and ratings.

    For example:

        ratecast inspect reviews.csv
        ratecast inspect model/

    Args:
        paths: Model folder, or tables of reviews as ratecast fit takes them.
        settings: the flags really given.
    """
    from ratecast.cli.show import Output
    from ratecast.model.store import is_model

    output = Output()
    if len(paths) == 1 and is_model(paths[0]):
        if settings:
            raise ConfigError(f"{paths[0]} is a model; flags about columns belong to tables")
        _show_model(output, paths[0])
    else:
        _show_table(output, one_or_many(paths), ColumnsConfig(**settings))


def _show_model(output: "Output", folder: str) -> None:
    from ratecast.cli.show import show_contest
    from ratecast.predict import load

    model = load(folder)
    output.print("\n".join(model.describe()))
    if not model.has_seen_ratings:
        output.print("")
        for note in model.notes():
            output.print(f"- {note}")
        return
    contest = model.contest()
    part = "took no part in fitting" if contest.judged_on == "test" else "training was stopped by"
    output.print(f"\nOn the {contest.judged_on} reviews, which {part}:\n")
    show_contest(output, contest)


def _show_table(output: "Output", source: str | list[str], config: ColumnsConfig) -> None:
    """Print the report that ``ratecast fit`` would; of a table that it would refuse, what is there and why it is refused."""
    from ratecast.data import load_reviews

    try:
        output.print("\n".join(load_reviews(source, config, need_rating=True).report.lines()))
    except RatecastError as error:
        output.print("\n".join(load_reviews(source, config, need_rating=False).report.lines()))
        output.print(f"\nFitting would refuse this table: {error}")
