"""The report of a comparison: one HTML file with the verdict, every model's metrics and their differences."""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

from ratecast.evaluate.comparison import Comparison, ComparisonOutcome
from ratecast.evaluate.contest import Entry
from ratecast.evaluate.metrics import METRICS
from ratecast.evaluate.page import page, write_page

_HEADLINES: Final[dict[ComparisonOutcome, str]] = {"better": "One is better", "unclear": "The data cannot tell"}


def write_comparison(path: str | Path, comparison: Comparison, *, title: str, notes: Sequence[str] = ()) -> None:
    """Write a comparison as one self-contained HTML file, or as JSON if the file's name ends in ``.json``.

    Args:
        path: the file to write; replaced as a whole or not at all.
        comparison: what to write.
        title: what the page is called, plain text.
        notes: what else a reader should know, such as the data report, plain text.

    Raises:
        OutputError: if the file cannot be written.
    """
    target = Path(path)
    if target.suffix.lower() == ".json":
        write_page(target, json.dumps({"title": title} | comparison.to_json(), indent=2, ensure_ascii=False) + "\n")
        return
    sections = [_header(title, comparison), _models(comparison), _differences(comparison), _notes(comparison, notes)]
    write_page(target, page(title, "\n".join(section for section in sections if section)))


def _header(title: str, comparison: Comparison) -> str:
    reviews, outcome = comparison.winner.metrics.reviews, comparison.outcome
    return (
        f'<header><p class="eyebrow">ratecast comparison · {reviews:,} {"review" if reviews == 1 else "reviews"}'
        f" · ratings {escape(comparison.scale.describe())}</p>\n<h1>{escape(title)}</h1></header>\n"
        f'<section class="card verdict {outcome}" aria-label="Verdict"><strong>{_HEADLINES[outcome]}</strong>'
        f"<p>{escape(comparison.verdict())}</p></section>"
    )


def _models(comparison: Comparison) -> str:
    best = comparison.best()
    rows = []
    for entry in comparison.entries:
        cells = []
        for name in comparison.columns():
            value = METRICS[name].format(getattr(entry.metrics, name), comparison.scale)
            value = f"<b>{value}</b>" if entry.name in best[name] else value
            cells.append(f"<td>{value}<small>{comparison.interval_text(entry, name)}</small></td>")
        rows.append(_row(entry.name, cells, is_marked=entry is comparison.winner))
    return _table(
        "The models",
        "All on the same reviews. The best of each column is bold; small numbers are 95 % bootstrap intervals.",
        ["Model", *(METRICS[name].label for name in comparison.columns())],
        rows,
    )


def _differences(comparison: Comparison) -> str:
    best = comparison.winner.name
    rows = [
        _row(
            METRICS[name].label,
            [_difference(comparison, other, name) for other in comparison.others],
            name == comparison.metric,
        )
        for name in comparison.columns()
    ]
    level = comparison.difference_header()[2]
    return _table(
        f"{best} against each other model",
        f"Its metric minus the other's on the same resampled reviews, with the {level}; bold where the interval leaves out "
        f"zero. {comparison.correction()}",
        ["Metric", *(f"minus {other.name}" for other in comparison.others)],
        rows,
    )


def _difference(comparison: Comparison, other: Entry, metric: str) -> str:
    value, interval, word = comparison.difference_cells(other, metric)
    value = value if word == "cannot tell" else f"<b>{value}</b>"
    return f"<td>{value}<small>{interval}</small><small>{word}</small></td>"


def _row(name: str, cells: Sequence[str], is_marked: bool) -> str:
    mark = ' class="model"' if is_marked else ""
    return f'<tr{mark}><th scope="row">{escape(name)}</th>{"".join(cells)}</tr>'


def _table(heading: str, caption: str, header: Sequence[str], rows: Sequence[str]) -> str:
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in header)
    body = "\n".join(rows)
    return (
        f'<section class="card"><h2>{escape(heading)}</h2><p>{escape(caption.strip())}</p>\n'
        f'<div class="scroll" role="region" aria-label="{escape(heading)}, scrolls sideways" tabindex="0">\n'
        f'<table class="contest"><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div></section>'
    )


def _notes(comparison: Comparison, notes: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in (*comparison.warnings, *notes))
    return f'<section class="card"><h2>Notes</h2><ul class="notes">{items}</ul></section>' if items else ""
