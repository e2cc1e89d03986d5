"""From a table to checked reviews: what cannot be used is dropped and counted, what is unusual is told."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from arro3.core import Table

from ratecast.config import ColumnsConfig
from ratecast.data.columns import Columns, find_columns, with_known
from ratecast.data.near import is_short
from ratecast.data.read import Source, read_table
from ratecast.data.report import DataReport, count_ratings, describe_texts
from ratecast.data.table import TableRead
from ratecast.data.used import Kind, UsedColumns, find_used, known_used
from ratecast.data.values import BooleanArray, Numbers, read_numbers, read_strings, read_times
from ratecast.data.wording import counted
from ratecast.errors import DataError, ScaleError
from ratecast.records import Reviews, StringArray, TimeArray, strings
from ratecast.scale import FloatArray, IntArray, RatingScale

LONG_TEXT_CHARACTERS: Final = 100_000
"""Longer texts are kept, and told: they may be several reviews run together."""

_PARTS: Final = {"training": "train", "val": "validation", "valid": "validation", "dev": "validation", "testing": "test"}


@dataclass(frozen=True, kw_only=True)
class LoadedReviews:
    """Reviews from a table, with the way back to it.

    Attributes:
        reviews: the kept reviews.
        scale: the scale of their ratings, None if they have none.
        report: what was found and dropped.
        table: the whole table as it was read.
        rows: row of the table of each kept review, shape ``(review,)``, ascending.
        used: columns that the model may use: "user", "item", "category", or a name in the reviews' labels or numbers.
        lacking: a sentence about columns that a fitted model uses and the table lacks, None if it has all.
    """

    reviews: Reviews
    scale: RatingScale | None
    report: DataReport
    table: Table
    rows: IntArray
    used: tuple[str, ...] = ()
    lacking: str | None = None


def load_reviews(
    source: Source,
    config: ColumnsConfig | None = None,
    *,
    need_rating: bool,
    scale: RatingScale | None = None,
    drop_duplicates: bool = True,
    minimum_rows: int = 1,
    used: Mapping[str, Kind] | None = None,
    known: Mapping[str, str] | None = None,
    describe: bool = True,
) -> LoadedReviews:
    """Read a table and make reviews of its rows.

    Args:
        source: what `read_table` reads.
        config: columns that are known already, the SQL query and the scale; all of it found by default.
        need_rating: True drops rows without a usable rating. False keeps them, with NaN, and is never refused for ratings.
        scale: the scale that ratings must be on; by default the configuration's, or else the one that explains them best.
        drop_duplicates: whether to drop copies of a review: same text, title, rating, user and item; of texts that `is_short`
            finds too short to tell, copies also have the same id and time, and their user or id is known. Where this and
            ``need_rating`` are False, every row is kept, also one without a text.
        minimum_rows: refuse fewer kept reviews than this.
        used: columns that a fitted model uses, with what they hold, in place of those that the configuration names. The table
            may lack some of them.
        known: name by role of the columns that a model was fitted on, which are taken where the table has them and the
            configuration names no others.
        describe: whether the report tells the languages and lengths of the texts, which takes longer than everything else.

    Raises:
        ConfigError: if the configuration uses a column that is no further information, such as the rating.
        DataError: if the table cannot be read, a column is not found, ratings are words, or too few reviews are left.
        ScaleError: if ratings are needed and the scale cannot be read or there is only one rating.

    Example:
        ``load_reviews("reviews.csv", need_rating=True).report.lines()``
    """
    config = config or ColumnsConfig()
    read = read_table(source, query=config.query)
    config = with_known(config, known or {}, read.table)
    try:
        return _load(
            read,
            config,
            scale,
            used,
            need_rating=need_rating,
            drop_duplicates=drop_duplicates,
            minimum_rows=minimum_rows,
            describe=describe,
        )
    except (DataError, ScaleError) as error:  # what was odd on the way may be the cause
        raise type(error)("; ".join([str(error), *read.notes[:2]])) from None


def _load(
    read: TableRead,
    config: ColumnsConfig,
    scale: RatingScale | None,
    used: Mapping[str, Kind] | None,
    *,
    need_rating: bool,
    drop_duplicates: bool,
    minimum_rows: int,
    describe: bool,
) -> LoadedReviews:
    table, columns = read.table, find_columns(read.table, config, need_rating=need_rating)
    further = find_used(table, columns, config.use) if used is None else known_used(table, columns, used)
    sieve = _Sieve(read)
    texts = strings(text or "" for text in read_strings(table[columns.text]))
    if need_rating or drop_duplicates:
        sieve.drop("no text", [not text.strip() for text in texts])
    rated = _read_ratings(sieve, columns.rating, config.scale, scale, need_rating=need_rating)
    reviews, notes = _make_reviews(table, columns, further, texts, (rated.ratings, sieve.kept))
    if drop_duplicates:
        sieve.drop("duplicate", _is_copy(reviews, sieve.kept, has_ids=columns.id is not None))
    sieve.refuse_fewer(minimum_rows)

    rows = np.flatnonzero(sieve.kept).astype(np.int64)
    reviews = reviews.take(rows)
    lacking = further.lacking()
    languages, words = describe_texts(reviews.text.tolist() if describe else [])
    report = DataReport(
        source=read.source,
        columns=columns,
        uses=further.describe(reviews),
        rows_read=table.num_rows,
        rows_kept=len(rows),
        dropped=sieve.dropped,
        conflicting_texts=_count_conflicts(reviews),
        scale=rated.scale,
        rating_counts={} if rated.scale is None or reviews.rating is None else count_ratings(reviews.rating, rated.scale),
        languages=languages,
        text_words=words,
        notes=(*read.notes, *rated.notes, *notes, *filter(None, [lacking]), *_text_notes(reviews.text)),
    )
    return LoadedReviews(
        reviews=reviews,
        scale=rated.scale,
        report=report,
        table=table,
        rows=rows,
        used=tuple(further.columns),
        lacking=lacking,
    )


class _Sieve:
    """Which rows are kept, and how many were dropped for which reason; a row is dropped for the first that applies."""

    def __init__(self, read: TableRead) -> None:
        self.read = read
        self.kept: BooleanArray = np.ones(read.table.num_rows, dtype=np.bool_)
        self.dropped: dict[str, int] = {}

    def drop(self, reason: str, rows: Sequence[bool] | BooleanArray) -> None:
        """Drop the rows where ``rows`` is true."""
        new = np.asarray(rows, dtype=np.bool_) & self.kept
        if new.any():
            self.dropped[reason] = int(new.sum())
            self.kept &= ~new

    def refuse_fewer(self, minimum: int) -> None:
        """Raise a `DataError` if fewer rows are left."""
        kept = int(self.kept.sum())
        if kept >= minimum:
            return
        found = f"{counted(kept, 'usable review') if kept else 'no usable review'} in {counted(len(self.kept), 'row')}"
        why = ", ".join(f"{count:,} {reason}" for reason, count in self.dropped.items())
        reasons = f" (dropped: {why})" if why else ""
        raise DataError(f"found {found} of {self.read.source}{reasons}; expected at least {minimum}")


@dataclass(frozen=True, kw_only=True)
class _Rated:
    ratings: FloatArray | None = None
    scale: RatingScale | None = None
    notes: tuple[str, ...] = ()


def _read_ratings(
    sieve: _Sieve, name: str | None, written_scale: str | None, scale: RatingScale | None, *, need_rating: bool
) -> _Rated:
    """Ratings of all rows, NaN where there is none that can be used; such rows are dropped if ratings are needed."""
    if name is None:
        return _Rated(scale=scale)
    table = sieve.read.table
    numbers = read_numbers(table[name])
    ratings = np.where(np.isfinite(numbers.values), numbers.values, np.nan)
    if need_rating:
        _refuse_words(numbers, table, name)
        sieve.drop("no rating", numbers.is_absent)
        sieve.drop("rating is not a number", np.isnan(ratings))
        sieve.refuse_fewer(1)
    usable = ratings[sieve.kept & ~np.isnan(ratings)]
    scale = scale or _choose_scale(usable, name, written_scale, need_rating=need_rating)
    if scale is not None:
        is_off = ~np.isnan(ratings) & ~scale.contains(ratings)
        ratings[is_off] = np.nan
        if need_rating:
            sieve.drop("rating off the scale", is_off)
    notes = _rating_notes(numbers, ratings, scale, need_rating=need_rating)
    return _Rated(ratings=None if np.isnan(ratings).all() else ratings, scale=scale, notes=tuple(notes))


def _refuse_words(numbers: Numbers, table: Table, name: str) -> None:
    words, filled = int(numbers.is_word.sum()), int((~numbers.is_absent).sum())
    if words <= 0.5 * filled:
        return
    cells = read_strings(table[name])[numbers.is_word]
    examples = ", ".join(repr(cell if len(cell) <= 40 else f"{cell[:40]}…") for cell in list(dict.fromkeys(cells))[:3])
    raise DataError(
        f"the rating column {name!r} holds words such as {examples}; expected numbers such as 4 or 4.5: "
        "replace each word by a number, or choose with --rating-column"
    )


def _choose_scale(ratings: FloatArray, name: str, written: str | None, *, need_rating: bool) -> RatingScale | None:
    if written is not None:
        # A continuous scale takes its bins from ratings, which must all lie on it; those that do not are dropped afterwards.
        ends = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", written.partition("/")[0])]
        ratings = ratings[(ratings >= min(ends)) & (ratings <= max(ends))] if ends else ratings
    different = np.unique(ratings)
    if len(different) < 2 and not need_rating:
        return None
    if len(different) == 1:
        raise ScaleError(
            f"found only the rating {different[0]:g} in the column {name!r}; expected at least two different ratings: "
            "add reviews, or choose another column with --rating-column"
        )
    if written is not None:
        return RatingScale.parse(written, ratings if len(ratings) else None)
    try:
        return RatingScale.infer(ratings)
    except ScaleError:
        if need_rating:
            raise
        return None


def _text_notes(texts: StringArray) -> list[str]:
    notes = []
    repeats = len(texts) - len(set(texts))
    if repeats:
        what = counted(repeats, "review repeats", "reviews repeat")
        notes.append(f"{what} the text of another; a split keeps them on one side")
    lengths = [len(text) for text in texts if len(text) > LONG_TEXT_CHARACTERS]
    if lengths:
        what = counted(len(lengths), "text is", "texts are")
        notes.append(f"{what} longer than {LONG_TEXT_CHARACTERS:,} characters (the longest: {max(lengths):,})")
    return notes


def _rating_notes(numbers: Numbers, ratings: FloatArray, scale: RatingScale | None, *, need_rating: bool) -> list[str]:
    notes = []
    if numbers.decimal_commas:
        what = counted(numbers.decimal_commas, "rating is", "ratings are")
        notes.append(f"{what} written with a decimal comma and read as a decimal")
    if need_rating:
        return notes
    unusable, absent = int((np.isnan(ratings) & ~numbers.is_absent).sum()), int(numbers.is_absent.sum())
    if absent:
        notes.append(f"{counted(absent, 'row has', 'rows have')} no rating")
    if unusable:
        notes.append(f"{counted(unusable, 'rating is', 'ratings are')} no number on the scale and ignored")
    if scale is None and not np.isnan(ratings).all():
        notes.append(f"all ratings are {np.nanmax(ratings):g}, from which no scale can be told")
    return notes


def _make_reviews(
    table: Table,
    columns: Columns,
    used: UsedColumns,
    texts: StringArray,
    rated: tuple[FloatArray | None, BooleanArray],
) -> tuple[Reviews, list[str]]:
    """A review of each row of the table, with its rating and whether it is kept, and notes on their times and weights."""
    ratings, kept = rated
    roles = columns.roles()
    given: dict[str, Any] = {
        role: read_strings(table[roles[role]]) for role in ("title", "user", "item", "category", "split") if role in roles
    }
    if "split" in given:
        folded = (part and part.strip().lower() for part in given["split"])
        given["split"] = strings(_PARTS.get(part, part) if part else None for part in folded)
    ids = read_strings(table[columns.id]) if columns.id else strings([None] * len(texts))
    ids = strings(str(row) if name is None else name for row, name in enumerate(ids))
    time, notes = _read_time(table, columns.time)
    weight, weight_notes = _read_weights(table, columns.weight, kept)
    numbers = {name: read_numbers(table[name]).values for name in columns.numbers} | dict(used.numbers)
    reviews = Reviews(
        text=texts, id=ids, rating=ratings, time=time, weight=weight, numbers=numbers, labels=used.labels, **given
    )
    return reviews, [*notes, *weight_notes]


def _read_weights(table: Table, name: str | None, kept: BooleanArray) -> tuple[FloatArray | None, list[str]]:
    """Sample weights of all rows, 1 where there is none; those of the kept rows must be numbers of 0 or more."""
    if name is None:
        return None, []
    numbers = read_numbers(table[name])
    is_wrong = kept & (numbers.is_word | np.isinf(numbers.values) | (numbers.values < 0))
    if is_wrong.any():
        row = int(np.flatnonzero(is_wrong)[0])
        raise DataError(
            f"the weight column {name!r} holds {read_strings(table[name])[row]!r} in row {row}; expected numbers of 0 or more, "
            "or empty cells, which count as 1"
        )
    is_missing = np.isnan(numbers.values)
    missing = int((is_missing & kept).sum())
    notes = [f"{counted(missing, 'row has', 'rows have')} no weight and {'counts' if missing == 1 else 'count'} as 1"]
    return np.where(is_missing, 1.0, numbers.values), notes if missing else []


def _read_time(table: Table, name: str | None) -> tuple[TimeArray | None, list[str]]:
    if name is None:
        return None, []
    times, unreadable = read_times(table[name])
    if np.isnat(times).all():
        return None, [f"no cell of the time column {name!r} could be read as a time; the column is not used"]
    if unreadable:
        return times, [
            f"{counted(unreadable, 'cell')} of the time column {name!r} could not be read as a time and counts as unknown"
        ]
    return times, []


def _is_copy(reviews: Reviews, kept: BooleanArray, *, has_ids: bool) -> BooleanArray:
    """Which of the kept reviews repeat an earlier one: same text, title, rating, user and item, as far as these are known.

    A short text is written by many: "good" is a copy only where its user or id is known, and id and time are the same too.
    Forty equal words are one review whatever their id and time, which crawling a page twice may change.
    """
    copies = np.zeros(len(reviews), dtype=np.bool_)
    ratings = (
        [None] * len(reviews)
        if reviews.rating is None
        else [None if math.isnan(rating) else rating for rating in reviews.rating]
    )
    parts = [part for part in (reviews.title, reviews.user, reviews.item) if part is not None]
    texts = reviews.joined()
    seen: set[tuple[Any, ...]] = set()
    for row in np.flatnonzero(kept):
        key: tuple[Any, ...] = (reviews.text[row].strip(), ratings[row], *(part[row] for part in parts))
        if is_short(texts[row]):
            nobody = reviews.user is None or reviews.user[row] is None
            key += (
                reviews.id[row] if has_ids or nobody else None,  # the row's number where it has no id
                None if reviews.time is None else str(reviews.time[row]),
            )
        copies[row] = key in seen
        seen.add(key)
    return copies


def _count_conflicts(reviews: Reviews) -> int:
    if reviews.rating is None:
        return 0
    first: dict[str, float] = {}
    conflicting: set[str] = set()
    for text, rating in zip(reviews.text, reviews.rating.tolist(), strict=True):
        if not math.isnan(rating) and first.setdefault(text.strip(), rating) != rating:
            conflicting.add(text.strip())
    return len(conflicting)
