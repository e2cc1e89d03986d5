"""``ratecast predict``."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from ratecast.cli.arguments import Model, OptionalSources, one_or_many
from ratecast.cli.settings import setting_flags
from ratecast.config import Optimise
from ratecast.errors import ConfigError, DataError

if TYPE_CHECKING:
    from arro3.core import Table

    from ratecast.cli.show import Output
    from ratecast.predict import Predictor
    from ratecast.progress import Reporter
    from ratecast.records import Predictions, Reviews

_MOST_BARS: Final = 5
"""So many predictions are shown with bars; more of them as a table."""


@setting_flags("text_column", "title_column", "user_column", "item_column", "category_column", "query")
def predict(
    model: Model,
    /,
    *sources: OptionalSources,
    text: Annotated[list[str] | None, Parameter(negative="")] = None,
    out: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="", show_default=False)] = False,
    optimise: Optimise | None = None,
    coverage: float | None = None,
    **settings: Any,
) -> None:
    """Predict the ratings of reviews.

    They come from tables, from --text or from standard input, a text in each
    line. Tables keep their columns and the order of their rows; after them come
    predicted_rating, predicted_median, predicted_mode, where the model has
    intervals predicted_low and predicted_high, and the levels' probabilities.

    For example:

        ratecast predict model/ new.csv --out scored.parquet
        ratecast predict model/ --text "Great phone, poor battery"
        cat texts.txt | ratecast predict model/ --json

    Args:
        model: see `Model`.
        sources: see `OptionalSources`.
        text: Text to rate; may be given several times.
        out: File to write: .parquet, .csv, .tsv, .jsonl or .arrow. Without it the predictions are printed.
        as_json: Print a line of JSON for each review.
        optimise: Metric that predicted_rating shall be best in: rmse (the mean), mae (the median), accuracy (the most probable
            level) or qwk (levels cut at fitted thresholds). What the model was fitted for by default, mostly rmse.
        coverage: Share of the ratings that the intervals shall hold; what the model was fitted for by default, mostly 0.9.
        settings: the flags really given.
    """
    from ratecast.cli.show import Output
    from ratecast.data.write import check_writable, write_table
    from ratecast.predict import load, with_predictions
    from ratecast.progress import ConsoleReporter

    if out is not None:
        check_writable(out)
    predictor = load(model)
    predictor.check_answer(coverage=coverage, optimise=optimise)
    reporter = ConsoleReporter()
    table, reviews = _reviews(sources, text, settings, predictor, reporter)
    predictions = predictor.predict(reviews, optimise=optimise, coverage=coverage, reporter=reporter)
    if out is not None:
        scored, replaced = with_predictions(table, predictions)
        write_table(scored, out)
        if replaced:
            print(f"replaced the columns {', '.join(replaced)} of the input", file=sys.stderr)
        print(f"{len(predictions)} predictions written to {out}", file=sys.stderr)
    elif as_json:
        _show_json(reviews, predictions)
    else:
        _show(Output(), reviews, predictions)


def _reviews(
    sources: tuple[str, ...],
    texts: list[str] | None,
    settings: dict[str, Any],
    predictor: "Predictor",
    reporter: "Reporter",
) -> tuple["Table", "Reviews"]:
    from ratecast.config import ColumnsConfig
    from ratecast.data import load_reviews

    if sources and texts:
        raise ConfigError("found both a table and --text; give one of them")
    if sources:
        loaded = load_reviews(
            one_or_many(sources),
            ColumnsConfig(**settings),
            need_rating=False,
            drop_duplicates=False,
            used=predictor.used,
            known=predictor.manifest.columns,
        )
        if loaded.lacking:
            reporter.tell(loaded.lacking)
        return loaded.table, loaded.reviews
    if settings:
        raise ConfigError(f"--{next(iter(settings)).replace('_', '-')} needs a table")
    return _from_texts(_lines() if texts is None else texts)


def _lines() -> list[str]:
    if sys.stdin is None or sys.stdin.isatty():
        raise DataError("nothing to rate: give a table, --text, or texts on standard input, one in each line")
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(encoding="utf-8-sig", errors="replace")
    lines = [line.rstrip("\r\n") for line in sys.stdin]
    if not lines:
        raise DataError("standard input is empty; expected a text in each line")
    return lines


def _from_texts(texts: list[str]) -> tuple["Table", "Reviews"]:
    from ratecast.data.table import build_table
    from ratecast.records import Reviews

    return build_table({"text": texts}), Reviews.from_texts(texts)


def _show(output: "Output", reviews: "Reviews", predictions: "Predictions") -> None:
    from ratecast.cli.show import excerpt, show_prediction

    texts = reviews.joined()
    if len(texts) <= _MOST_BARS:
        for row, text in enumerate(texts):
            if row:
                output.print()
            show_prediction(output, text, predictions[row])
        return
    header, lines = "rating  median  mode", _numbers(predictions)
    if predictions.interval is not None:
        ends = [f"{low:.4g} to {high:.4g}" for low, high in predictions.interval]
        width = max(map(len, ["between", *ends]))
        header = f"{header}  {'between':>{width}}"
        lines = [f"{line}  {end:>{width}}" for line, end in zip(lines, ends, strict=True)]
    output.print(f"{header}  text", style="bold")
    for line, text in zip(lines, texts, strict=True):
        output.print(f"{line}  {excerpt(text, max(20, (output.room or 100) - len(header) - 2))}")


def _numbers(predictions: "Predictions") -> list[str]:
    rows = zip(predictions.rating, predictions.median, predictions.mode, strict=True)
    return [f"{rating:6.2f}  {median:6.4g}  {mode:4.4g}" for rating, median, mode in rows]


def _show_json(reviews: "Reviews", predictions: "Predictions") -> None:
    for identity, text, prediction in zip(reviews.id, reviews.joined(), predictions, strict=True):
        content: dict[str, Any] = {"id": identity, "text": text}
        content |= {"rating": prediction.rating, "median": prediction.median, "mode": prediction.mode}
        content["probabilities"] = {f"{level:g}": value for level, value in prediction.probabilities.items()}
        if prediction.interval is not None:
            content["interval"] = prediction.interval
        if prediction.warnings:
            content["warnings"] = prediction.warnings
        print(json.dumps(content, ensure_ascii=False))
