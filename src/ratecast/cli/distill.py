"""``ratecast distill``."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ratecast.cli.arguments import Resume, SettingsFile, Sources, one_or_many
from ratecast.cli.settings import setting_flags
from ratecast.config import DistillConfig

Teacher = Annotated[Path, Parameter(name="TEACHER", help="Folder of the model to learn from: whatever ratecast wrote.")]


@setting_flags("columns", "split", "train", "answer", "track", "", of=DistillConfig)
def distill(
    teacher: Teacher,
    /,
    *sources: Sources,
    out: Path,
    config: SettingsFile = None,
    resume: Resume = False,
    **settings: Any,
) -> None:
    """Make a smaller, faster model that learns from a fitted one.

    The fitted model, the teacher, reads the reviews, and the smaller one, the
    student, learns the probabilities that it gives. Reviews without ratings
    serve as well, and more of them make a better student. At the end both are
    judged on test reviews that neither has seen.

    For example:

        ratecast distill model/ reviews.csv --out small/ --time-budget 5m
        ratecast distill model/ reviews.csv --out small/ --student layers
        ratecast distill model/ reviews.csv --out small/ --student width
        ratecast distill model/ rated.csv --unlabelled more.csv --out small/

    Args:
        teacher: see `Teacher`.
        sources: see `Sources`.
        out: Folder for the smaller model. A model that is there is replaced.
        config: see `SettingsFile`.
        resume: Go on with the same run where it was interrupted.
        settings: the flags really given.
    """
    from ratecast.cli.show import Output, show_contest
    from ratecast.compress import distill as distill_model
    from ratecast.progress import ConsoleReporter

    chosen = (DistillConfig() if config is None else DistillConfig.from_toml(config)).with_values(**settings)
    predictor = distill_model(teacher, one_or_many(sources), out=out, config=chosen, resume=resume, reporter=ConsoleReporter())
    output = Output()
    show_contest(output, predictor.contest())
    for note in predictor.notes():
        output.print(f"- {note}")
    output.print(f"The model is in {out}, the report in {out / 'report.html'}.")
