"""``ratecast compress``."""

from pathlib import Path
from typing import Any

from ratecast.cli.arguments import Model, Resume, SettingsFile, Sources, one_or_many
from ratecast.cli.settings import setting_flags
from ratecast.config import CompressConfig


@setting_flags("columns", "split", "train", "answer", "track", "", of=CompressConfig)
def compress(
    model: Model,
    /,
    *sources: Sources,
    out: Path,
    config: SettingsFile = None,
    resume: Resume = False,
    **settings: Any,
) -> None:
    """Make a model as small and fast as a limit allows.

    Tries 8-bit integers, shorter input, networks of fewer layers, a table of
    word vectors and the linear models, blends of these, and cascades in which
    a quick one answers where it is sure and a slow one the rest. Each learns
    from the model, is measured on the validation reviews and timed on this
    machine. The quickest that keeps to the limit is written, and judged
    beside the model on test reviews that neither has seen.

    For example:

        ratecast compress model/ reviews.csv --out small/ --max-loss 1%
        ratecast compress model/ reviews.csv --out small/ --target-ms 5
        ratecast compress model/ reviews.csv --out small/ --deterministic
        ratecast compress model/ reviews.csv --out small/ --max-loss 3% --resume

    Give the reviews that the model was fitted on, and with --unlabelled more
    of them without ratings. The folder also gets frontier.html, a plot of
    error against time for all that was tried, and frontier.json.

    Args:
        model: see `Model`.
        sources: see `Sources`.
        out: Folder for the smaller model. A model that is there is replaced.
        config: see `SettingsFile`.
        resume: Go on with a run that was interrupted, or that found nothing within its limit: what it made is used again.
        settings: the flags really given.
    """
    from ratecast.cli.show import Output, show_contest
    from ratecast.compress import compress as compress_model
    from ratecast.progress import ConsoleReporter

    chosen = (CompressConfig() if config is None else CompressConfig.from_toml(config)).with_values(**settings)
    predictor = compress_model(model, one_or_many(sources), out=out, config=chosen, resume=resume, reporter=ConsoleReporter())
    output = Output()
    show_contest(output, predictor.contest())
    for note in predictor.notes():
        output.print(f"- {note}")
    output.print(f"The model is in {out}, the plot of what was tried in {out / 'frontier.html'}.")
