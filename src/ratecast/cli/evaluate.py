"""``ratecast evaluate``."""

from pathlib import Path
from typing import Any

from ratecast.cli.arguments import Model, Sources, check_report, one_or_many
from ratecast.cli.settings import setting_flags


@setting_flags("text_column", "rating_column", "title_column", "user_column", "item_column", "category_column", "query")
def evaluate(
    model: Model, /, *sources: Sources, coverage: float | None = None, out: Path | None = None, **settings: Any
) -> None:
    """Judge a model, and its baselines, on rated reviews.

    For example:

        ratecast evaluate model/ held_out.csv
        ratecast evaluate model/ held_out.csv --out report.html

    Args:
        model: see `Model`.
        sources: see `Sources`.
        coverage: Share of the ratings that the intervals shall hold; what the model was fitted for by default, mostly 0.9.
        out: HTML file for a report with plots.
        settings: the flags really given.
    """
    from ratecast.assessment import assess, load_rated
    from ratecast.cli.show import Output, show_contest
    from ratecast.config import ColumnsConfig
    from ratecast.predict import load
    from ratecast.progress import ConsoleReporter

    check_report(out, ".html")
    predictor = load(model)
    predictor.check_answer(coverage=coverage)
    loaded = load_rated(one_or_many(sources), {"the model": predictor}, ColumnsConfig(**settings))
    reporter = ConsoleReporter()
    for line in loaded.report.lines():
        reporter.tell(line)
    assessment = assess(predictor, loaded, coverage=coverage, reporter=reporter)
    output = Output()
    show_contest(output, assessment.contest)
    for line in assessment.lines():
        output.print(line)
    if out is not None:
        from ratecast.evaluate import write_report

        write_report(
            out,
            title=f"{model.resolve().name} on {loaded.report.source}",
            contest=assessment.contest,
            ratings=assessment.ratings,
            probabilities=assessment.probabilities,
            learning_curve=None,
            data_report_lines=loaded.report.lines(),
            notes=assessment.lines(),
        )
        output.print(f"The report is in {out}.")
