"""``ratecast harvest``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ratecast.cli.arguments import Sources, one_or_many
from ratecast.cli.settings import setting_flags

if TYPE_CHECKING:
    from arro3.core import Table

    from ratecast.data import LoadedReviews
    from ratecast.data.harvest import Harvest


@setting_flags("text_column", "title_column", "query")
def harvest(
    *sources: Sources,
    out: Path,
    scale: Annotated[str, Parameter(allow_leading_hyphen=True)] = "1..10",
    **settings: Any,
) -> None:
    """Take the ratings that reviewers state in their text as ratings.

    Reviews that state one rating ("7/10", "three out of five stars") are kept,
    with their columns. The rating is put on one scale, in a column of its own,
    and masked out of text and title, so that a model cannot read it there.

    For example:

        ratecast harvest posts.csv --out rated.csv

    Args:
        sources: see `Sources`.
        out: File to write: .csv, .tsv, .jsonl, .parquet or .arrow.
        scale: Scale that the ratings are put on, without gaps: 1..10, 1..5/0.5.
        settings: the flags really given.
    """
    from ratecast.config import ColumnsConfig
    from ratecast.data import load_reviews
    from ratecast.data.harvest import harvest_ratings
    from ratecast.data.write import check_writable, write_table
    from ratecast.errors import DataError
    from ratecast.scale import RatingScale

    levels = RatingScale.parse(scale)
    check_writable(out)
    loaded = load_reviews(one_or_many(sources), ColumnsConfig(**settings), need_rating=False, drop_duplicates=False)
    found = harvest_ratings(loaded.reviews.joined(), scale=levels)
    left = ", ".join(f"{count:,} {reason}" for reason, count in found.dropped.items())
    if not len(found):
        raise DataError(f"no review in {loaded.report.source} states one rating ({left}); nothing was written")
    table, column = harvested_table(loaded, found)
    write_table(table, out)
    print(
        f"{len(found):,} of {len(loaded.reviews):,} reviews written to {out}, rated in the column {column!r}", file=sys.stderr
    )
    if left:
        print(f"left out: {left}", file=sys.stderr)


def harvested_table(loaded: "LoadedReviews", found: "Harvest") -> tuple["Table", str]:
    """The harvested rows with all their columns, text and title masked, and the name of the column with the ratings.

    That column is called "rating", or "stated_rating" (or "stated_rating_2") in a table that has such a column already.
    """
    from arro3.core import Array, ChunkedArray, DataType, Table

    from ratecast.data.statements import mask_ratings
    from ratecast.data.table import build_array, distinct_names

    names = list(loaded.table.column_names)
    masked = {loaded.report.columns.text: loaded.reviews.text, loaded.report.columns.title: loaded.reviews.title}
    rows = Array(found.rows.tolist(), DataType.int64())
    columns: list[ChunkedArray] = []
    for name in names:
        texts = masked.get(name)
        if texts is None:
            columns.append(ChunkedArray([loaded.table[name].combine_chunks().take(rows)]))
        else:
            columns.append(ChunkedArray([build_array([mask_ratings(text) if text else text for text in texts[found.rows]])]))
    names = distinct_names([*names, "stated_rating" if "rating" in names else "rating"])
    columns.append(ChunkedArray([build_array(found.ratings.tolist())]))
    return Table.from_arrays(columns, names=names), names[-1]
