"""What a search found, as an HTML page and as JSON."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

import numpy as np

from ratecast.evaluate import plots
from ratecast.evaluate.contest import format_seconds
from ratecast.evaluate.page import page
from ratecast.tuning.search import LEAST_FOR_IMPORTANCES, Trial, describe, shown


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a search found.

    Attributes:
        trials: all that came to their end, in order; the first had the settings as given.
        best: the complete trial with the lowest RMSE; None if there is no complete one.
        importances: share of the variance of the RMSE that each setting explains; empty if it cannot be told.
        fixed: settings that were given and not searched over.
        source: name of the table.
    """

    trials: Sequence[Trial]
    best: Trial | None
    importances: Mapping[str, float]
    fixed: Mapping[str, Any]
    source: str

    @property
    def is_better(self) -> bool:
        """Whether the search found other settings than those it began with."""
        return self.best is not None and self.best.number > 0

    def verdict(self) -> str:
        """What came of the search, in a sentence or two of plain text."""
        if self.best is None or self.best.rmse is None:
            return "No trial was completed: the model has the settings as given."
        first = self.trials[0]
        if not self.is_better:
            return f"No trial was better than the settings as given: validation RMSE {self.best.rmse:.3f}."
        before = f"; with the settings as given {first.rmse:.3f}" if first.ended == "complete" else ""
        found = f"Best of {self.count('complete')} complete trials: validation RMSE {self.best.rmse:.3f}{before}."
        return f"{found} Settings: {describe(self.best.settings)}."

    def note(self) -> str:
        """What the model's own report should say of the search."""
        return (
            f"The settings were searched for in {len(self.trials)} trials on the validation reviews, as tuning.html shows. "
            f"{self.verdict()}"
        )

    def count(self, ended: str) -> int:
        """Number of trials that ended so."""
        return sum(trial.ended == ended for trial in self.trials)

    def to_json(self) -> str:
        """The findings as JSON that people can read too."""
        best = None if self.best is None else self.best.number
        content = {
            "best": best,
            "trials": [asdict(trial) for trial in self.trials],
            "importances": dict(self.importances),
            "fixed": dict(self.fixed),
        }
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    def to_html(self) -> str:
        """The findings as a self-contained page: no scripts, nothing loaded from elsewhere.

        Raises:
            MissingExtraError: if matplotlib is not installed.
        """
        sections = (_header(self), _tiles(self), _figures(self), _table(self), _notes(self))
        return page(f"Search on {self.source}", "\n".join(section for section in sections if section))


def _header(found: Findings) -> str:
    outcome, headline = ("better", "Better settings found") if found.is_better else ("unclear", "The given settings stay")
    return (
        f'<header><p class="eyebrow">ratecast search · {len(found.trials)} trials</p>\n'
        f"<h1>Settings for {escape(found.source)}</h1></header>\n"
        f'<section class="card verdict {outcome}" aria-label="Verdict"><strong>{headline}</strong>'
        f"<p>{escape(found.verdict())}</p></section>"
    )


def _tiles(found: Findings) -> str:
    first = found.trials[0].rmse if found.trials and found.trials[0].ended == "complete" else None
    best = None if found.best is None else found.best.rmse
    values = {
        "Best RMSE": _rmse(best),
        "As given": _rmse(first),
        "Complete": str(found.count("complete")),
        "Stopped early": str(found.count("stopped early")),
        "Failed": str(found.count("failed")),
        "Seconds": format_seconds(sum(trial.seconds for trial in found.trials)),
    }
    tiles = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in values.items())
    return f'<dl class="tiles" aria-label="The search in numbers">{tiles}</dl>'


def _figures(found: Findings) -> str:
    complete = [trial.number for trial in found.trials if trial.ended == "complete"]
    cards = []
    if complete:
        ends = np.asarray(list(itertools.accumulate(trial.seconds for trial in found.trials)))
        rmse = np.asarray([trial.rmse for trial in found.trials if trial.ended == "complete"], dtype=np.float64)
        cards.append(
            _card(
                "Best value over time",
                "Each point is a complete trial; the line is the best so far, dashed the settings as given.",
                plots.search_course(ends[complete], rmse, first_is_given=complete[0] == 0),
            )
        )
    if found.importances:
        cards.append(
            _card(
                "Which settings matter",
                f"Share of the differences in RMSE that each setting explains by itself, estimated from {len(complete)} "
                "complete trials (fANOVA): with few of them a hint, no more.",
                plots.importances(found.importances),
            )
        )
    if len(cards) == 1:
        cards[0] = cards[0].replace("card half", "card beside", 1)
    return f'<div class="grid">{"".join(cards)}</div>' if cards else ""


def _card(heading: str, caption: str, content: str) -> str:
    return (
        f'<figure class="card half"><div><h2>{heading}</h2><figcaption>{escape(caption)}</figcaption></div>{content}</figure>'
    )


def _table(found: Findings) -> str:
    names = list(dict.fromkeys(name for trial in found.trials for name in trial.settings))
    header = ["Trial", "RMSE", "Ended", "Seconds", *names]
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    rows = "\n".join(_row(trial, names, found.best) for trial in found.trials)
    return (
        '<section class="card"><h2>The trials</h2>\n'
        "<p>In their order; the first has the settings as given, the best is marked. A trial that was stopped early shows the "
        "best RMSE that it had reached. auto leaves the choice to the plan, as the time allows.</p>\n"
        '<div class="scroll" role="region" aria-label="The trials, scrolls sideways" tabindex="0">\n'
        f'<table class="contest"><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div></section>'
    )


def _row(trial: Trial, names: Sequence[str], best: Trial | None) -> str:
    is_best = best is not None and trial.number == best.number
    ended = trial.ended if not trial.failure else f"{trial.ended}: {trial.failure}"
    values = [shown(trial.settings[name]) if name in trial.settings else "–" for name in names]
    cells = [_rmse(trial.rmse), escape(ended), format_seconds(trial.seconds), *map(escape, values)]
    mark = ' class="model"' if is_best else ""
    return f'<tr{mark}><th scope="row">{trial.number + 1}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _notes(found: Findings) -> str:
    chance = (
        "All RMSE here are of the validation reviews, of 500 of them within a time budget. The lowest of many is too good by "
        "chance: judge the model on the test reviews, which took no part in the search; report.html has them, "
        "unless none were set apart."
    )
    notes = [chance]
    if found.fixed:
        notes.append(f"Fixed, because they were given: {describe(found.fixed)}.")
    if not found.importances:
        notes.append(
            f"Which settings matter cannot be told: that needs {LEAST_FOR_IMPORTANCES} complete trials that differ in RMSE."
        )
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<section class="card"><h2>Notes</h2><ul class="notes">{items}</ul></section>'


def _rmse(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
