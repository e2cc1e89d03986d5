"""What a table of reviews was found to hold, for people and for the model folder."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from ratecast.data.columns import Columns
from ratecast.data.language import language_shares
from ratecast.data.near import UNSPACED
from ratecast.data.wording import counted
from ratecast.scale import FloatArray, RatingScale

WORD_QUANTILES: Final = {"5%": 0.05, "25%": 0.25, "median": 0.5, "75%": 0.75, "95%": 0.95}

_SAMPLE_TEXTS: Final = 20_000
_BAR_WIDTH: Final = 40
_SHOWN_NUMBERS: Final = 8
_WORD: Final = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]+")


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """What was read, what was kept and what the kept reviews look like.

    Attributes:
        source: what the table is called.
        columns: which column holds what.
        uses: what each further column holds that the model may use ("4 values", "number"), by its name.
        rows_read: rows of the table.
        rows_kept: rows that became reviews.
        dropped: how many rows were dropped for each reason.
        conflicting_texts: texts that occur with different ratings; they are kept.
        scale: the rating scale, None if the reviews have no ratings.
        rating_counts: number of reviews at each level, or in each bin of a continuous scale.
        languages: share of the texts in each language or script, on a sample.
        text_words: quantiles of the number of words in a text, on a sample; a Chinese or Japanese character is a word.
        notes: what was unusual, a sentence each.
    """

    source: str
    columns: Columns
    uses: Mapping[str, str] = field(default_factory=dict)
    rows_read: int
    rows_kept: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    conflicting_texts: int = 0
    scale: RatingScale | None = None
    rating_counts: Mapping[str, int] = field(default_factory=dict)
    languages: Mapping[str, float] = field(default_factory=dict)
    text_words: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The report as values that JSON can hold."""
        plain = {
            **self.__dict__,
            "columns": asdict(self.columns),
            "scale": None if self.scale is None else self.scale.to_json(),
        }
        return {name: dict(value) if isinstance(value, Mapping) else value for name, value in plain.items()}

    def lines(self) -> list[str]:
        """The report as lines of plain text for a terminal."""
        found = [self.source, _line("rows", f"{self.rows_read:,} read, {self.rows_kept:,} kept")]
        found += [_line("dropped" if not index else "", f"{n:,} {why}") for index, (why, n) in enumerate(self.dropped.items())]
        roles = self.columns.roles()
        width = max(map(len, [*roles, "numbers"] if self.columns.numbers else roles))
        found += [
            _line("" if index else "columns", f"{role:<{width}}  {name}") for index, (role, name) in enumerate(roles.items())
        ]
        if self.columns.numbers:
            found.append(_line("", f"{'numbers':<{width}}  {_shortened(self.columns.numbers)}"))
        if self.uses:
            found.append(_line("uses", ", ".join(f"{name} ({what})" for name, what in self.uses.items())))
        if self.scale is not None:
            found.append(_line("scale", self.scale.describe()))
            found += _histogram(self.rating_counts) if self.rating_counts else []
        if self.conflicting_texts:
            what = counted(self.conflicting_texts, "text occurs", "texts occur")
            found.append(_line("conflicts", f"{what} with different ratings (kept)"))
        if self.text_words:
            words = {name: f"{count:,.0f}" for name, count in self.text_words.items()}
            found.append(_line("words", f"{words['median']} in the median text; 90% have {words['5%']} to {words['95%']}"))
        if self.languages:
            found.append(_line("languages", _shares(self.languages)))
        return found + [_line("" if index else "notes", note) for index, note in enumerate(self.notes)]


def count_ratings(ratings: FloatArray, scale: RatingScale) -> dict[str, int]:
    """Number of ratings at each level, or in each bin of a continuous scale, by its label.

    Args:
        ratings: shape ``(review,)``; NaN is not counted.
        scale: the scale that they are on.
    """
    counts = np.bincount(scale.level_index(ratings[~np.isnan(ratings)]), minlength=len(scale))
    labels: Sequence[str] = scale.labels
    if scale.is_continuous:
        labels = [f"{low:g}..{high:g}" for low, high in zip(scale.edges, scale.edges[1:], strict=False)]
    return {label: int(count) for label, count in zip(labels, counts, strict=True)}


def describe_texts(texts: Sequence[str]) -> tuple[dict[str, float], dict[str, float]]:
    """Shares of the languages, and quantiles of the number of words, of a sample of texts."""
    if not len(texts):
        return {}, {}
    sample = texts[:: max(1, len(texts) // _SAMPLE_TEXTS)]
    words = np.quantile([_count_words(text) for text in sample], list(WORD_QUANTILES.values()))
    return language_shares(texts), dict(zip(WORD_QUANTILES, map(float, words), strict=True))


def _count_words(text: str) -> int:
    return len(text.split()) if text.isascii() else len(_WORD.findall(text))


def _line(label: str, content: str) -> str:
    return f"  {label:<10} {content}"


def _shortened(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_NUMBERS
    return ", ".join(names[:_SHOWN_NUMBERS]) + (f" and {more} more" if more > 0 else "")


def _histogram(counts: Mapping[str, int]) -> list[str]:
    total, largest = max(1, sum(counts.values())), max(1, *counts.values())
    label_width, count_width = max(map(len, counts)), len(f"{largest:,}")
    return [
        _line(
            "" if index else "ratings",
            f"{label:>{label_width}}  {count:>{count_width},}  {count / total:>4.0%}  {_bar(count / largest)}".rstrip(),
        )
        for index, (label, count) in enumerate(counts.items())
    ]


def _bar(fraction: float) -> str:
    eighths = round(fraction * _BAR_WIDTH * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def _shares(shares: Mapping[str, float]) -> str:
    shown = {name: share for name, share in shares.items() if share >= 0.005}
    rest = sum(share for name, share in shares.items() if name not in shown)
    return ", ".join(f"{name} {share:.0%}" for name, share in shown.items()) + (f", others {rest:.0%}" if rest >= 0.005 else "")
