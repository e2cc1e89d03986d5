"""``ratecast feedback``: a group of commands."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from ratecast.store import Deleted

Place = Annotated[
    str,
    Parameter(
        name="--store",
        env_var="RATECAST_STORE",
        help="Where the service keeps it: an SQLite file, the folder of ratecast.db, or a URL such as "
        "postgresql://user@host/name.",
    ),
]

feedback = App(
    name="feedback",
    help="""Use or delete what the service has collected.

    Predictions, the ratings that turned out to be right, and what people decided
    stand in a database: an SQLite file, or PostgreSQL.

    For example:

        ratecast feedback export --store ratecast.db --out rated.parquet
        ratecast feedback delete-user "Jane Doe" --store ratecast.db
        ratecast feedback prune --days 90 --store ratecast.db
    """,
)


@feedback.command
def export(*, place: Place, out: Path, model: str | None = None) -> None:
    """Write the ratings that came after their predictions to a table that fit takes.

    Feedback and corrections by people count; the latest of a review wins. The
    columns are text, title, item, user, rating, time (when the rating was given,
    in UTC), source and model. Predictions whose text was not kept are left out.

    For example:

        ratecast feedback export --store ratecast.db --out rated.parquet
        ratecast fit reviews.csv rated.parquet --out model/

    Args:
        place: see `Place`.
        out: File to write: .csv, .tsv, .jsonl, .parquet or .arrow.
        model: Only reviews that this model rated, such as where several have different scales. All by default.
    """
    from ratecast.data.write import check_writable, write_table
    from ratecast.errors import DataError
    from ratecast.store import Store

    check_writable(out)
    with Store.open(place, create=False) as store:
        table = store.ratings(model=model)
        if not table.num_rows:
            whose = "" if model is None else f" of the model {model!r}"
            raise DataError(f"{store.name} has no feedback on a prediction{whose} whose text was kept; nothing was written")
    write_table(table, out)
    what = "rating" if table.num_rows == 1 else "ratings"
    print(f"{table.num_rows:,} {what} written to {out}", file=sys.stderr)


@feedback.command(name="delete-user")
def delete_user(user: str, /, *, place: Place) -> None:
    """Delete all that belongs to the reviews of a user: predictions, texts, feedback and decisions.

    A service that runs may still hold predictions of the last second, which it
    writes afterwards: for a user who writes right now, delete once more.

    For example:

        ratecast feedback delete-user "Jane Doe" --store ratecast.db

    Args:
        user: The user, written as the service was told.
        place: see `Place`.
    """
    from ratecast.store import Store

    with Store.open(place, create=False) as store:
        _tell(store.delete_user(user))


@feedback.command
def prune(*, days: float, place: Place) -> None:
    """Delete what is old: predictions with their texts, feedback and decisions.

    A service with retention_days does so by itself every hour.

    For example:

        ratecast feedback prune --days 90 --store ratecast.db

    Args:
        days: Age in days from which on predictions are deleted.
        place: see `Place`.
    """
    from ratecast.store import Store

    with Store.open(place, create=False) as store:
        _tell(store.delete_older_than(days))


def _tell(deleted: "Deleted") -> None:
    print(f"deleted {deleted.predictions:,} predictions, {deleted.feedback:,} feedback, {deleted.decisions:,} decisions")
