"""Which reviews a student learns from, is stopped by and is judged on, so that neither it nor its teacher has seen the last."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ratecast.compress.teacher import Teacher
from ratecast.config import DistillConfig
from ratecast.data import duplicate_groups, split_reviews, stream_texts
from ratecast.data.near import is_short
from ratecast.data.split import sampled_rows
from ratecast.errors import DataError
from ratecast.model.learned import learned_from, learned_hashes
from ratecast.progress import Reporter
from ratecast.records import Reviews
from ratecast.scale import IntArray, RatingScale

PARTS: Final = ("train", "validation", "test")
_SPLIT_FILE: Final = "split.json"
_AGREEING: Final = 0.99
"""Share of the teacher's reviews that must be the same texts for its own division to be taken."""
_LEAST_UNSEEN: Final = 10
"""Reviews that the teacher has not learned from, without which nothing can be chosen or judged."""
_MOST_HELD_OUT: Final = 0.9
"""Share of these that may be held out where there are few; the rest is learned from."""


@dataclass(frozen=True, kw_only=True)
class Division:
    """The reviews of a distillation.

    Attributes:
        parts: rated reviews under "train", "validation" and "test".
        left_out: ids of rated reviews that are in no part, since they are copies of reviews that a part has.
        unlabelled: texts of reviews without a rating, none of which is a copy of a validation or test review.
        is_teachers: whether the division is that which the teacher was fitted with.
    """

    parts: dict[str, Reviews]
    left_out: list[str]
    unlabelled: list[str]
    is_teachers: bool


def divide(reviews: Reviews, teacher: Teacher, scale: RatingScale, config: DistillConfig, reporter: Reporter) -> Division:
    """Divide reviews as the teacher's were if they are the same ones, else anew, without those that it knows in the test part.

    Args:
        reviews: rated and unrated ones.
        teacher: the teacher.
        scale: its rating scale.
        config: how they are divided anew, and where more texts are.
        reporter: is told what was found.

    Raises:
        DataError: if no review has a rating, or too few have.
    """
    is_rated = np.zeros(len(reviews), dtype=np.bool_) if reviews.rating is None else ~np.isnan(reviews.rating)
    rated = reviews.take(is_rated)
    if not len(rated):
        raise DataError("no review has a rating on the teacher's scale; a student is stopped and judged by rated reviews")
    rows = _as_the_teacher(rated, teacher)
    is_teachers = rows is not None
    if rows is None:
        rows = _anew(rated, teacher, scale, config)
    texts = [*reviews.take(~is_rated).joined(), *_further(config, reporter)]
    texts = [texts[row] for row in sampled_rows(len(texts), config.most_unlabelled, config.seed)]
    parts = {name: rated.take(rows[name]) for name in PARTS}
    unlabelled = _without_copies(texts, [text for name in PARTS for text in parts[name].joined()])
    taken = np.zeros(len(rated), dtype=np.bool_)
    taken[np.concatenate(list(rows.values()))] = True
    how = (
        "as the teacher's reviews were" if is_teachers else "anew; what the teacher learned from is in the training part alone"
    )
    if not is_teachers and learned_hashes(teacher.folder, teacher.predictor.manifest) is None:
        how = "anew; which of them the teacher learned from is not known, and what it is worth may be overstated"
    counts = ", ".join(f"{len(part):,} {name}" for name, part in parts.items())
    reporter.tell(f"divided {how}: {counts}; {len(unlabelled):,} without a rating")
    return Division(parts=parts, left_out=rated.id[~taken].tolist(), unlabelled=unlabelled, is_teachers=is_teachers)


def _as_the_teacher(rated: Reviews, teacher: Teacher) -> dict[str, IntArray] | None:
    """Rows of each part of the teacher's own division; None if these are other reviews.

    Rows that the division does not know join the training reviews, unless they are copies of validation or test reviews.
    """
    try:
        listed = json.loads((teacher.folder / _SPLIT_FILE).read_text(encoding="utf-8"))
        ids = {name: list(listed[name]) for name in PARTS}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    place = {name: row for row, name in enumerate(rated.id.tolist())}
    known = [name for part in ids.values() for name in part]
    if len(place) < len(rated) or not all(name in place for name in known):
        return None
    rows = {name: np.sort(np.array([place[one] for one in part], dtype=np.int64)) for name, part in ids.items()}
    learned = np.concatenate([rows["train"], rows["validation"]])
    texts = rated.joined()
    if not _agree(teacher, [texts[row] for row in learned], seen=True):
        return None
    if len(rows["test"]) and not _agree(teacher, [texts[row] for row in rows["test"]], seen=False):
        return None
    is_new = np.ones(len(rated), dtype=np.bool_)
    is_new[[place[name] for name in (*known, *(one for one in listed.get("left_out", []) if one in place))]] = False
    if is_new.any():
        groups = duplicate_groups(texts)
        is_new &= ~np.isin(groups, groups[np.concatenate([rows["validation"], rows["test"]])])
    rows["train"] = np.sort(np.concatenate([rows["train"], np.flatnonzero(is_new)]))
    return rows


def _agree(teacher: Teacher, texts: list[str], *, seen: bool) -> bool:
    """Whether nearly all of the texts are known to the teacher, or unknown."""
    long = [text for text in texts if not is_short(text)]
    found = learned_from(teacher.folder, teacher.predictor.manifest, long)
    if found is None:
        return False
    return not long or float((found == seen).mean()) >= _AGREEING


def _anew(rated: Reviews, teacher: Teacher, scale: RatingScale, config: DistillConfig) -> dict[str, IntArray]:
    """Rows of each part; on what the teacher learned from nothing is chosen, calibrated or judged, as it knows it by heart.

    Raises:
        DataError: if it learned from nearly all of them.
    """
    split = split_reviews(rated, config.split, scale, config.seed)
    rows: dict[str, IntArray] = {name: getattr(split, name) for name in PARTS}
    texts = rated.joined()
    learned = learned_from(teacher.folder, teacher.predictor.manifest, texts)
    if learned is None or not learned.any():
        return rows
    groups = duplicate_groups(texts)
    is_known = np.isin(groups, groups[learned])
    unseen = np.flatnonzero(~is_known)
    if len(unseen) < _LEAST_UNSEEN:
        raise DataError(
            f"the teacher learned from all but {len(unseen)} of these reviews, which are not the table that it was fitted on, "
            "row for row: give that table as it was, or more reviews that it has not seen"
        )
    if config.split.by != "column":  # as many unseen ones as were to be, or as there are
        wanted = {name: len(rows[name]) for name in ("validation", "test")}
        share = min(1.0, _MOST_HELD_OUT * len(unseen) / max(1, sum(wanted.values()))) / len(unseen)
        settings = replace(config.split, validation_fraction=share * wanted["validation"], test_fraction=share * wanted["test"])
        inner = split_reviews(rated.take(unseen), settings, scale, config.seed)
        rows = {name: unseen[getattr(inner, name)] for name in PARTS}
    else:
        rows |= {name: rows[name][~is_known[rows[name]]] for name in ("validation", "test")}
    taken = np.concatenate([getattr(split, name) for name in PARTS])  # without copies that no part has
    rows["train"] = np.unique(np.concatenate([rows["train"], taken[is_known[taken]]]))
    if not len(rows["validation"]):
        raise DataError("the teacher learned from every review of the validation part; give reviews that it has not seen")
    return rows


def _further(config: DistillConfig, reporter: Reporter) -> list[str]:
    """Texts of the further table, as many as are wanted at most."""
    if config.unlabelled is None:
        return []
    found: list[str] = []
    for piece in stream_texts(config.unlabelled, config.columns, reporter.tell):
        found += piece
        if len(found) >= config.most_unlabelled:
            break
    return found[: config.most_unlabelled]


def _without_copies(texts: Iterable[str], others: list[str]) -> list[str]:
    """Each text once, without those that are copies of others, equal or nearly so."""
    unique = list(dict.fromkeys(text for text in texts if text.strip()))
    if not unique:
        return []
    groups = duplicate_groups([*others, *unique])
    is_copy = np.isin(groups[len(others) :], groups[: len(others)])
    return [text for text, copied in zip(unique, is_copy, strict=True) if not copied]
