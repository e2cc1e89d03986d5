"""``ratecast tune``."""

from pathlib import Path
from typing import Any

from ratecast.cli.arguments import Resume, SettingsFile, Sources, one_or_many
from ratecast.cli.settings import setting_flags


@setting_flags("columns", "split", "backbone", "adapter", "train", "few", "strengthen", "answer", "track", "")
def tune(
    *sources: Sources,
    out: Path,
    config: SettingsFile = None,
    trials: int | None = None,
    resume: Resume = False,
    **settings: Any,
) -> None:
    """Search for good settings, then fit a model with the best.

    Learning rates, head, dropout, weight decay, warmup, batch, input length
    and trained layers are tried in trials that each have an equal share of
    the time; those that lag behind are stopped early. What counts is the RMSE
    on the validation reviews; the test reviews take no part. About 60 % of
    the time budget is for the search, the rest for the final fit. The first
    trial has the settings as given, so the search never ends below them.

    A setting that you give stays as it is: here as a flag, or in the TOML
    file with another value than the default. The fewer are left, the better
    a short search does. It does not always gain: see what `ratecast fit` does
    with the same time, by `ratecast compare`.

    For example:

        ratecast tune reviews.csv --out model/ --time-budget 1h
        ratecast tune reviews.csv --out model/ --time-budget 1h --head softmax
        ratecast tune reviews.csv --out model/ --trials 20 --epochs 2
        ratecast tune reviews.csv --out model/ --time-budget 1h --resume

    The model folder also gets tuning.html, with the best value over time, how
    much each setting matters and all trials, and tuning.json with the same.

    Args:
        sources: see `Sources`.
        out: Folder for the model. A model that is there already is replaced.
        config: see `SettingsFile`.
        trials: How many settings are tried. By default as many as give each three minutes, but 3 to 20.
        resume: Go on with the same search where it was interrupted; it is kept in <out>.tuning/ until the model is written.
        settings: the flags really given.
    """
    from ratecast.cli.show import Output, show_contest
    from ratecast.config import FitConfig
    from ratecast.progress import ConsoleReporter
    from ratecast.tuning import tune as tune_model

    predictor = tune_model(
        one_or_many(sources),
        out=out,
        config=None if config is None else FitConfig.from_toml(config),
        trials=trials,
        resume=resume,
        reporter=ConsoleReporter(),
        **settings,
    )
    output = Output()
    show_contest(output, predictor.contest())
    output.print(f"The model is in {out}, the report in {out / 'report.html'}, the search in {out / 'tuning.html'}.")
