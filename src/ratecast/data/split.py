"""Dividing reviews into parts for training, validation and test, without leaks between them.

Copies of a text, equal or nearly so, never lie on two sides, whatever the division: otherwise a model is praised for texts that
it has learnt by heart.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ratecast.config import SplitBy, SplitConfig
from ratecast.data.near import duplicate_groups, numbered, united_groups
from ratecast.data.wording import counted
from ratecast.errors import DataError
from ratecast.records import Reviews, StringArray
from ratecast.scale import FloatArray, IntArray, RatingScale

TRAIN: Final = 0
VALIDATION: Final = 1
TEST: Final = 2
LEFT_OUT: Final = -1

PART_NAMES: Final = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("validation", "valid", "val", "dev"), VALIDATION),
    **dict.fromkeys(("test", "testing"), TEST),
}
"""What a split column may say, in any case."""


_VALIDATION: Final = 0.1
_ENOUGH_VALIDATION: Final = 100
_MOST_VALIDATION: Final = 0.25
_LEAST_TRAINING: Final = 0.1
"""Share of the reviews for validation: a tenth, but enough of them to choose by, and no more than a quarter, nor than leaves a
tenth for training."""

STOPPING_REVIEWS: Final = 1000
"""Validation reviews that are scored while training, at most: scoring more would take the time from training."""


LEAST_JUDGED: Final = 2000
"""Test reviews that a model is judged on, at least, where there are so many."""

JUDGING_SHARE: Final = 0.2
"""Share of the time that judging may take where there are more."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Which review belongs to which part.

    Attributes:
        train, validation, test: row numbers, ascending; no row is in two parts.
        left_out: rows that are in no part, since their copies are in a part that comes later (division by time or column) or
            their time is unknown (division by time).
    """

    train: IntArray
    validation: IntArray
    test: IntArray
    left_out: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))


def stopping_rows(validation_reviews: int) -> IntArray:
    """Rows of the validation reviews that training is stopped by, and that what stands after it is fitted to.

    All of them, or a random sample, the same each time: the reviews of a table may be sorted by rating, item or time.
    """
    return sampled_rows(validation_reviews, STOPPING_REVIEWS, seed=validation_reviews)


def sampled_rows(reviews: int, most: int, seed: int) -> IntArray:
    """Rows of a random sample of the reviews, ascending; all of them if there are not more."""
    return np.sort(np.random.default_rng(seed).permutation(reviews)[:most])


def judged_reviews(reviews: int, *, seconds: float, seconds_per_review: float) -> int:
    """How many test reviews a model is judged on: all, or as many as a fifth of the time scores, but no fewer than 2,000.

    Args:
        reviews: how many there are.
        seconds: time that is left for fitting and judging; infinite without a limit.
        seconds_per_review: what all that is compared takes together to score a review.
    """
    affordable = JUDGING_SHARE * max(seconds, 0.0) / max(seconds_per_review, 1e-9)
    return int(min(reviews, max(LEAST_JUDGED, affordable)))


def division(reviews: Reviews, config: SplitConfig) -> SplitBy:
    """How the reviews are divided: as the configuration says, or else as a column does that sets a part apart, or at random.

    Such a column says of every review which part it is for; a column called "fold" may hold anything else.
    """
    if config.by is not None:
        return config.by
    parts = set() if reviews.split is None else {PART_NAMES.get(_folded(value)) for value in reviews.split.tolist()}
    return "column" if None not in parts and TRAIN in parts and len(parts) > 1 else "random"


def split_reviews(reviews: Reviews, config: SplitConfig, scale: RatingScale, seed: int) -> Split:
    """Divide rated reviews into training, validation and test reviews, as `division` says. Groups of copies stay whole.

    - ``random``: stratified, so that every part has about the same share of each rating.
    - ``user``, ``item``: as random, and nobody's (or no item's) reviews lie on two sides. Reviews without a user or item count
      as one of their own. Copies bring the users who share them together.
    - ``time``: the latest reviews are the test, those before them the validation reviews; equal times stay together. Earlier
      copies of test or validation texts are left out, as are reviews whose time is unknown.
    - ``column``: as the column says. Copies of test texts in the other parts, and of validation texts in training, are left
      out. If no review is marked for validation (or test), that part is taken from the training reviews as by ``random``.

    Args:
        reviews: each with a rating.
        config: the kind of division and the parts' sizes; a test fraction of 0 gives an empty test.
        scale: whose levels (or bins) are the strata.
        seed: decides every random choice; equal input and seed give an equal split.

    Raises:
        DataError: if the needed column is absent or cannot be used, a rating is missing, or a part would be empty.
    """
    levels = scale.level_index(reviews.rated())
    groups = duplicate_groups(reviews.joined())
    by = division(reviews, config)
    parts = DIVISIONS[by](_Task(reviews, groups, levels, config, np.random.default_rng(seed)))
    for name, part in (("training", TRAIN), ("validation", VALIDATION), ("test", TEST)):
        if not (parts == part).any() and (part != TEST or config.test_fraction > 0):
            raise DataError(
                f"dividing {len(reviews)} reviews by {by} leaves none for {name} ({_together(reviews, by)}); "
                "give more reviews or change how they are divided"
            )
    train, validation, test, left_out = (np.flatnonzero(parts == part) for part in (TRAIN, VALIDATION, TEST, LEFT_OUT))
    return Split(train=train, validation=validation, test=test, left_out=left_out)


def _together(reviews: Reviews, by: str) -> str:
    """What keeps reviews in one part."""
    names = reviews.user if by == "user" else reviews.item if by == "item" else None
    if names is None:
        return "copies of a text stay together"
    return f"those of one {by} stay together, and these are of {counted(len(set(names) - {None}), by)}"


@dataclass(frozen=True)
class _Task:
    """What is to be divided: a group number and a level index for each review."""

    reviews: Reviews
    groups: IntArray
    levels: IntArray
    config: SplitConfig
    random: np.random.Generator

    @property
    def fractions(self) -> tuple[float, float]:
        validation = self.config.validation_fraction
        if validation is None:
            validation = min(_MOST_VALIDATION, max(_VALIDATION, _ENOUGH_VALIDATION / len(self.reviews)))
            validation = min(validation, 1 - _LEAST_TRAINING - self.config.test_fraction)
        return validation, self.config.test_fraction


def _by_chance(task: _Task) -> IntArray:
    return _stratified(task.groups, task.levels, task.fractions, task.random)


def _by_user(task: _Task) -> IntArray:
    return _by_owner(task, task.reviews.user, "user")


def _by_item(task: _Task) -> IntArray:
    return _by_owner(task, task.reviews.item, "item")


def _by_owner(task: _Task, column: StringArray | None, name: str) -> IntArray:
    if column is None:
        raise DataError(f"dividing by {name} needs a column of {name}s, found none; name it with --{name}-column")
    owners = numbered([(row,) if owner is None else owner for row, owner in enumerate(column.tolist())])
    return _stratified(united_groups(owners, task.groups), task.levels, task.fractions, task.random)


def _by_time(task: _Task) -> IntArray:
    times = task.reviews.time
    if times is None or np.isnat(times).all():
        raise DataError("dividing by time needs a column of times, found none; name it with --time-column")
    parts = np.where(np.isnat(times), LEFT_OUT, TRAIN)
    validation_fraction, test_fraction = task.fractions
    known = int((parts == TRAIN).sum())
    for part, fraction in ((TEST, test_fraction), (VALIDATION, validation_fraction)):
        if fraction:
            remaining, counts = np.unique(times[parts == TRAIN], return_counts=True)
            latest = np.cumsum(counts[::-1])[::-1]  # reviews from each time on
            if len(remaining) < 2:
                raise DataError("dividing by time needs reviews of at least three different times, found fewer")
            begin = remaining[1:][np.argmin(np.abs(latest[1:] - fraction * known))]
            parts[(parts == TRAIN) & (times >= begin)] = part
    return _without_copies(parts, task.groups)


def _by_column(task: _Task) -> IntArray:
    column = task.reviews.split
    if column is None:
        raise DataError("dividing by a column needs one that says train, validation or test; name it with --split-column")
    names = [_folded(value) for value in column.tolist()]
    unknown = sorted({repr(value) for value, name in zip(column.tolist(), names, strict=True) if name not in PART_NAMES})
    if unknown:
        raise DataError(f"the split column says {', '.join(unknown[:5])}; expected {', '.join(PART_NAMES)}")
    parts = _without_copies(np.array([PART_NAMES[name] for name in names], dtype=np.int64), task.groups)
    fractions = [0.0 if (parts == part).any() else task.fractions[part - 1] for part in (VALIDATION, TEST)]
    if any(fractions):
        rows = np.flatnonzero(parts == TRAIN)
        parts[rows] = _stratified(task.groups[rows], task.levels[rows], (fractions[0], fractions[1]), task.random)
    return parts


def _folded(part: object) -> str:
    return str(part).strip().casefold()


DIVISIONS: Final[dict[SplitBy, Callable[[_Task], IntArray]]] = {
    "random": _by_chance,
    "user": _by_user,
    "item": _by_item,
    "time": _by_time,
    "column": _by_column,
}
"""How each kind of division gives the part of each review, shape ``(review,)``."""


def _without_copies(parts: IntArray, groups: IntArray) -> IntArray:
    """Leave out the copies of test texts in the other parts, then those of validation texts in training."""
    found = parts.copy()
    found[np.isin(groups, groups[found == TEST]) & (found != TEST)] = LEFT_OUT
    found[np.isin(groups, groups[found == VALIDATION]) & (found == TRAIN)] = LEFT_OUT
    return found


def _stratified(groups: IntArray, levels: IntArray, fractions: tuple[float, float], random: np.random.Generator) -> IntArray:
    """Part of each row: groups whole, each part with about the same share of every level.

    Groups of several rows are placed first, the largest first, each into the part that lacks its levels most in proportion to
    the part's size; single rows then fill validation and test up to the exact size, level by level.

    Args:
        groups: group number of each row, shape ``(row,)``.
        levels: level index of each row, same shape.
        fractions: share of the rows for validation and for test.
        random: source of every random choice.
    """
    rows_total = len(groups)
    totals = np.bincount(levels, minlength=1).astype(np.float64)
    shares = np.array([1 - sum(fractions), *fractions])
    sizes = np.array([0, *(max(1, round(fraction * rows_total)) if fraction else 0 for fraction in fractions)])
    sizes[TRAIN] = rows_total - sizes.sum()
    missing = shares[:, np.newaxis] * totals  # rows of each level that each part still lacks, (part, level)
    group_sizes = np.bincount(groups)
    parts = np.full(rows_total, TRAIN)
    for rows in _several(groups, group_sizes, random):
        counts = np.bincount(levels[rows], minlength=len(totals))
        fits = sizes >= len(rows)
        fits[TRAIN] = True
        lack = np.where(fits, missing @ counts / np.maximum(shares * rows_total, 1e-9), -np.inf)
        part = int(np.argmax(lack))
        parts[rows] = part
        sizes[part] -= len(rows)
        missing[part] -= counts
    singles = random.permutation(np.flatnonzero(group_sizes[groups] == 1))
    for part in (TEST, VALIDATION):
        quota = _quota(missing[part], int(sizes[part]))
        for level in np.flatnonzero(quota):
            rows = singles[(levels[singles] == level) & (parts[singles] == TRAIN)][: quota[level]]
            parts[rows] = part
        if shares[part] and not (parts == part).any():
            _give_smallest(parts, groups, group_sizes, part)
    return parts


def _several(groups: IntArray, group_sizes: IntArray, random: np.random.Generator) -> list[IntArray]:
    """Rows of each group of more than one, the largest group first, groups of one size in random order."""
    order = np.argsort(groups, kind="stable")
    each = np.split(order, np.cumsum(group_sizes)[:-1])
    shuffled = random.permutation(np.flatnonzero(group_sizes > 1))
    return [each[group] for group in shuffled[np.argsort(-group_sizes[shuffled], kind="stable")]]


def _quota(missing: FloatArray, total: int) -> IntArray:
    """Whole numbers in proportion to what is missing of each level, with the given sum.

    Running totals are rounded, so that what rounding adds is spread over low and high levels alike.
    """
    wanted = np.cumsum(np.maximum(missing, 0))
    if total <= 0 or wanted[-1] <= 0:
        return np.zeros(len(missing), dtype=np.int64)
    quota: IntArray = np.diff(np.floor(wanted * (total / wanted[-1]) + 0.5), prepend=0).astype(np.int64)
    return quota


def _give_smallest(parts: IntArray, groups: IntArray, group_sizes: IntArray, part: int) -> None:
    """Give the smallest training group to a part into which no group fitted."""
    training = np.unique(groups[parts == TRAIN])
    if len(training) > 1:
        parts[groups == training[np.argmin(group_sizes[training])]] = part
