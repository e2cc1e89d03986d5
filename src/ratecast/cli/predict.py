"""``ratecast predict``."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from cyclopts import Parameter

from ratecast.cli.arguments import Model, OptionalSources, Resume, one_or_many
from ratecast.cli.settings import setting_flags
from ratecast.config import Optimise
from ratecast.errors import ConfigError, DataError, require
from ratecast.processors import available_processors

if TYPE_CHECKING:
    from ratecast.cli.show import Output
    from ratecast.config import ColumnsConfig
    from ratecast.data import Source
    from ratecast.parts import Scorer
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
    adapter: str | None = None,
    adapter_column: str | None = None,
    backbone: str | None = None,
    optimise: Optimise | None = None,
    coverage: float | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
    threads: int | None = None,
    resume: Resume = False,
    **settings: Any,
) -> None:
    """Predict the ratings of reviews.

    They come from tables, from --text or from standard input, a text in each
    line. Tables keep their columns and the order of their rows; after them come
    predicted_rating, predicted_median, predicted_mode, where the model has
    intervals predicted_low and predicted_high, and the levels' probabilities.

    With --out a file of any length takes flat memory, and a run that was
    interrupted loses a few seconds of work: --resume goes on from there.

    MODEL may also be a folder of models that were fitted with --tune lora or
    another adapter over one backbone, which is loaded once, also of what
    ratecast pack left of them: --adapter names one of them, --adapter-column
    the column that says for each review which one rates it.

    For example:

        ratecast predict model/ new.csv --out scored.parquet
        ratecast predict model/ new.csv --out scored.parquet --resume
        ratecast predict model/ --text "Great phone, poor battery"
        cat texts.txt | ratecast predict model/ --json
        ratecast predict shops/ new.csv --adapter-column shop --out scored.csv

    Args:
        model: see `Model`.
        sources: see `OptionalSources`.
        text: Text to rate; may be given several times.
        out: File to write: .parquet, .csv, .tsv, .jsonl or .arrow. Without it the predictions are printed.
        as_json: Print a line of JSON for each review.
        adapter: Name of the model in the folder MODEL that rates all reviews.
        adapter_column: Column whose cells name the model in the folder MODEL that rates the review.
        backbone: Name or folder of the backbone of adapters, if it is no longer where it was.
        optimise: Metric that predicted_rating shall be best in: rmse (the mean), mae (the median), accuracy (the most probable
            level) or qwk (levels cut at fitted thresholds). What the model was fitted for by default, mostly rmse.
        coverage: Share of the ratings that the intervals shall hold; what the model was fitted for by default, mostly 0.9.
        device: What networks compute on: cpu, or cuda where onnxruntime-gpu is installed in place of onnxruntime.
        threads: Processor threads, or with --out and a model without a network, processes; one for each processor that the
            command may use by default.
        resume: Go on with the same run where it was interrupted; what it scored is kept in <out>.scoring/ until the end.
        settings: the flags really given.
    """
    from ratecast.cli.show import Output
    from ratecast.config import ColumnsConfig
    from ratecast.data.write import check_writable
    from ratecast.progress import ConsoleReporter

    if out is not None:
        check_writable(out)
    elif resume:
        raise ConfigError("--resume goes on with the file that --out names; give both")
    if adapter_column is not None and not sources:
        raise ConfigError("--adapter-column needs a table")
    if adapter is None and adapter_column is None:
        predictor = _model(model, threads, device, backbone)
    else:
        predictor = _switched(model, threads, device, column=adapter_column, adapter=adapter, backbone=backbone)
    predictor.check_answer(coverage=coverage, optimise=optimise)
    source, columns, reporter = _source(sources, text, settings), ColumnsConfig(**settings), ConsoleReporter()
    if out is not None:
        options = {"columns": columns, "optimise": optimise, "coverage": coverage, "resume": resume}
        _write(source, out, predictor, reporter, options)
        return
    reviews = _reviews(source, columns, predictor, reporter)
    predictions = predictor.predict(reviews, optimise=optimise, coverage=coverage, reporter=reporter)
    if as_json:
        _show_json(reviews, predictions)
    else:
        _show(Output(), reviews, predictions)


def _model(folder: Path, threads: int | None, device: str, backbone: str | None) -> "Scorer":
    from ratecast.model.store import is_model
    from ratecast.predict import load

    if backbone is not None:
        raise ConfigError("--backbone is that of a folder of adapters; give --adapter or --adapter-column too")
    if not is_model(folder) and any(map(is_model, folder.glob("*"))):
        raise ConfigError(f"{folder} is a folder of models: name one of them, or give --adapter or --adapter-column")
    return load(folder, threads=threads, device=device)


def _switched(
    folder: Path, threads: int | None, device: str, *, column: str | None, adapter: str | None, backbone: str | None
) -> "Scorer":
    if column is not None and adapter is not None:
        raise ConfigError("found both --adapter and --adapter-column; give one of them")
    if device != "cpu":
        raise ConfigError("a folder of adapters is computed on the cpu: run ratecast unpack on one of them for --device cuda")
    torch = require("torch", "train", "predicting with --adapter")
    torch.set_num_threads(threads or available_processors())
    from ratecast.adapter_bank import SwitchedModel

    return SwitchedModel(folder, column=column, adapter=adapter, backbone=backbone)


def _source(sources: tuple[str, ...], texts: list[str] | None, settings: dict[str, Any]) -> "Source":
    """The table to score: what is named, or one made of texts."""
    from ratecast.data.table import build_table

    if sources and texts:
        raise ConfigError("found both a table and --text; give one of them")
    if sources:
        return one_or_many(sources)
    if settings:
        raise ConfigError(f"--{next(iter(settings)).replace('_', '-')} needs a table")
    return build_table({"text": _lines() if texts is None else texts})


def _write(source: "Source", out: Path, predictor: "Scorer", reporter: "Reporter", options: dict[str, Any]) -> None:
    from ratecast.scoring import score_table

    found = score_table(predictor, source, out, reporter=reporter, **options)
    if found.replaced:
        print(f"replaced the columns {', '.join(found.replaced)} of the input", file=sys.stderr)
    print(f"{found.describe()}, written to {out}", file=sys.stderr)


def _reviews(source: "Source", columns: "ColumnsConfig", predictor: "Scorer", reporter: "Reporter") -> "Reviews":
    from ratecast.data import load_reviews

    loaded = load_reviews(
        source,
        columns,
        need_rating=False,
        drop_duplicates=False,
        used=predictor.used,
        known=predictor.columns,
        describe=False,
    )
    if loaded.lacking:
        reporter.tell(loaded.lacking)
    return loaded.reviews


def _lines() -> list[str]:
    if sys.stdin is None or sys.stdin.isatty():
        raise DataError("nothing to rate: give a table, --text, or texts on standard input, one in each line")
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(encoding="utf-8-sig", errors="replace")
    lines = [line.rstrip("\r\n") for line in sys.stdin]
    if not lines:
        raise DataError("standard input is empty; expected a text in each line")
    return lines


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
