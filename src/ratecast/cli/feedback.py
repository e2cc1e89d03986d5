"""``ratecast feedback``."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

Database = Annotated[
    str,
    Parameter(
        env_var="RATECAST_DATABASE",
        help="Database of the service: an SQLite file, the folder of ratecast.db, or a URL such as postgresql://user@host/name.",
    ),
]

feedback = App(
    name="feedback",
    help="""Use or delete what the service has collected.

    For example:

        ratecast feedback export --database ratecast.db --out rated.parquet
        ratecast feedback delete --database ratecast.db --user "Jane Doe"
    """,
)


@feedback.command
def export(*, database: Database, out: Path) -> None:
    """Write the ratings that came after their predictions to a table that fit takes.

    Feedback and corrections by people count; the latest of a review wins. The
    columns are text, title, item, user, rating, time (when the rating was given,
    in UTC) and source.

    For example:

        ratecast feedback export --database ratecast.db --out rated.parquet
        ratecast fit reviews.csv rated.parquet --out model/

    Args:
        database: see `Database`.
        out: File to write: .csv, .tsv, .jsonl, .parquet or .arrow.
    """
    from ratecast.data.write import check_writable, write_table
    from ratecast.errors import DataError
    from ratecast.store import Store

    check_writable(out)
    with Store.open(database, create=False) as store:
        table = store.ratings()
        if not table.num_rows:
            raise DataError(f"{store.name} has no feedback on a prediction whose text was kept; nothing was written")
    write_table(table, out)
    print(f"{table.num_rows:,} ratings written to {out}", file=sys.stderr)


@feedback.command
def delete(*, database: Database, user: str | None = None, older_than_days: float | None = None) -> None:
    """Delete what belongs to a user, or what is old: predictions, texts, feedback and decisions.

    For example:

        ratecast feedback delete --database ratecast.db --user "Jane Doe"
        ratecast feedback delete --database ratecast.db --older-than-days 90

    Args:
        database: see `Database`.
        user: The user, as the service was told.
        older_than_days: Age in days from which on predictions are deleted.
    """
    from ratecast.errors import ConfigError
    from ratecast.store import Store

    if older_than_days is not None and not older_than_days >= 0:
        raise ConfigError(f"--older-than-days must be 0 or more, found {older_than_days}")
    with Store.open(database, create=False) as store:
        if user is not None and older_than_days is None:
            deleted = store.delete_user(user)
        elif older_than_days is not None and user is None:
            deleted = store.delete_older_than(older_than_days)
        else:
            raise ConfigError("expected one of --user and --older-than-days, to say what is to be deleted")
    print(f"deleted {deleted.predictions:,} predictions, {deleted.feedback:,} feedback, {deleted.decisions:,} decisions")
