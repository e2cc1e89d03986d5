"""``ratecast fit``."""

from pathlib import Path
from typing import Any

from ratecast.cli.arguments import Resume, SettingsFile, Sources, one_or_many
from ratecast.cli.settings import setting_flags


@setting_flags("columns", "split", "backbone", "adapter", "train", "few", "strengthen", "answer", "track", "")
def fit(
    *sources: Sources,
    out: Path,
    config: SettingsFile = None,
    resume: Resume = False,
    **settings: Any,
) -> None:
    """Fit a rating model to a table of rated reviews.

    Columns and the rating scale are found by themselves and shown. At the end
    the model is compared with baselines, on reviews that fitting did not see.

    For example:

        ratecast fit reviews.csv --out model/ --time-budget 10m
        ratecast fit "shop/*.parquet" --out model/ --by user --scale 1..5
        ratecast fit reviews.csv --out model/ --config settings.toml --seed 1

    Args:
        sources: see `Sources`.
        out: Folder for the model. A model that is there already is replaced.
        config: see `SettingsFile`.
        resume: Go on with the same run where it was interrupted.
        settings: the flags really given.
    """
    from ratecast.cli.show import Output, show_contest
    from ratecast.config import FitConfig
    from ratecast.progress import ConsoleReporter

    chosen = (FitConfig() if config is None else FitConfig.from_toml(config)).with_values(**settings)
    from ratecast.fitting import fit as fit_model

    predictor = fit_model(one_or_many(sources), out=out, config=chosen, resume=resume, reporter=ConsoleReporter())
    output = Output()
    show_contest(output, predictor.contest())
    for note in predictor.notes():
        output.print(f"- {note}")
    output.print(f"The model is in {out}, the report in {out / 'report.html'}.")
