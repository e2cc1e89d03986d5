"""What the commands print: tables and bars, coloured on a terminal and plain in a file or pipe."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from ratecast.evaluate.comparison import Comparison
    from ratecast.evaluate.contest import Contest, Standings
    from ratecast.records import Prediction

MARK: Final = "*"
"""Stands behind the best value of each column of a contest."""

_GAP: Final = "  "
_BAR_CELLS: Final = 30


class Output(Console):
    """Standard output. Lines are never wrapped or cropped: a file or pipe gets them as they are."""

    def __init__(self) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, soft_wrap=True)

    def on_broken_pipe(self) -> None:
        """Leave it to `ratecast.cli.run`, where Rich would exit with status 1."""
        raise BrokenPipeError

    @property
    def room(self) -> int | None:
        """Width of a table in cells; None where nothing limits it."""
        return self.width if self.is_terminal else None


def show_table(output: Output, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose first column is text and whose other columns are numbers.

    On a narrow terminal the columns are shown in several tables one below the other, each with the first column.
    """
    widths = [max(map(cell_len, column)) for column in zip(header, *rows, strict=True)]
    for number, columns in enumerate(_blocks(widths, output.room)):
        if number:
            output.print()
        output.print(_line(header, columns, widths), style="bold")
        for row in rows:
            output.print(_line(row, columns, widths))


def show_contest(output: Output, contest: "Contest") -> None:
    """Print how the model and its baselines did, and what that means."""
    _show_standings(output, contest)
    output.print()
    output.print(contest.verdict(), style="bold")


def show_comparison(output: Output, comparison: "Comparison") -> None:
    """Print how each model did, how far the best is from the others, and what that means."""
    _show_standings(output, comparison)
    output.print()
    show_table(output, comparison.difference_header(), comparison.difference_rows())
    output.print()
    output.print(comparison.verdict(), style="bold")
    for warning in comparison.warnings:
        output.print(f"note: {warning}", style="yellow")


def show_prediction(output: Output, text: str, prediction: "Prediction") -> None:
    """Print one prediction with a bar for the probability of each level."""
    output.print(excerpt(text, output.room or 10_000), style="bold")
    output.print(f"  predicted rating {prediction.rating:.2f}, median {prediction.median:g}, most probable {prediction.mode:g}")
    if prediction.interval is not None:
        output.print(f"  between {prediction.interval[0]:g} and {prediction.interval[1]:g}")
    block = "█" if output.encoding.startswith("utf") else "#"
    labels = [f"{level:g}" for level in prediction.probabilities]
    width = max(map(len, labels))
    for label, probability in zip(labels, prediction.probabilities.values(), strict=True):
        bar = (block * round(probability * _BAR_CELLS)).ljust(_BAR_CELLS)
        output.print(Text.assemble(f"  {label:>{width}} ", (bar, "cyan"), f" {probability:6.1%}"))
    for warning in prediction.warnings:
        output.print(f"  note: {warning}", style="yellow")


def excerpt(text: str, cells: int) -> str:
    """The text on one line, cut to so many cells of a terminal."""
    line = " ".join(text[: 4 * cells].split())
    if cell_len(line) <= cells and len(text) <= 4 * cells:
        return line
    while cell_len(line) > cells - 1:
        line = line[: -max(1, (cell_len(line) - cells + 1) // 2)]
    return f"{line}…"


def _show_standings(output: Output, standings: "Standings") -> None:
    columns = zip(*standings.rows(MARK), strict=True)
    show_table(output, standings.header(), list(zip(*map(_in_line, columns), strict=True)))
    output.print(f"{MARK} best of its column; in brackets the 95 % interval", style="dim")


def _in_line(column: Sequence[str]) -> list[str]:
    """The column with a space where other cells have the mark of the best, so that decimals stand below each other."""
    parts = [cell.partition(" ") for cell in column]
    if not any(value.endswith(MARK) for value, _, _ in parts):
        return list(column)
    return [f"{value if value.endswith(MARK) else f'{value} '}{gap}{rest}" for value, gap, rest in parts]


def _line(cells: Sequence[str], columns: Sequence[int], widths: Sequence[int]) -> str:
    parts = [cells[0] + " " * (widths[0] - cell_len(cells[0]))]
    parts += [" " * (widths[column] - cell_len(cells[column])) + cells[column] for column in columns]
    return _GAP.join(parts).rstrip()


def _blocks(widths: Sequence[int], room: int | None) -> Iterator[list[int]]:
    """Columns after the first, divided so that each group fits the room beside the first column."""
    block: list[int] = []
    used = widths[0]
    for column, width in list(enumerate(widths))[1:]:
        if block and room is not None and used + len(_GAP) + width > room:
            yield block
            block, used = [], widths[0]
        block.append(column)
        used += len(_GAP) + width
    yield block
