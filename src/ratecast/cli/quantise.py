"""``ratecast quantise``."""

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from ratecast.cli.arguments import Model, Sources, one_or_many
from ratecast.cli.settings import setting_flags


@setting_flags("text_column", "title_column", "query")
def quantise(
    model: Model,
    /,
    *sources: Sources,
    out: Path,
    kind: Literal["dynamic", "static", "float16"] = "dynamic",
    keep_exact: Annotated[bool, Parameter(negative="")] = False,
    **settings: Any,
) -> None:
    """Make a model's network smaller: weights of 8 or 16 bits.

    On processors with VNNI instructions 8-bit weights are about twice as fast
    as well. Some hundred reviews like those to be predicted are enough, and
    need no ratings. ratecast compress does this and more under a limit on the
    error.

    For example:

        ratecast quantise model/ reviews.csv --out small/
        ratecast quantise model/ reviews.csv --out small/ --kind float16
        ratecast compare model/ small/ held_out.csv

    Args:
        model: see `Model`.
        sources: Tables of reviews like those to be predicted.
        out: Folder for the smaller model. An older one there is replaced.
        kind: dynamic (8-bit weights; the range of what they are multiplied with is found in each batch), static (that range is
            calibrated on the reviews) or float16 (16-bit weights: half the size, the same speed).
        keep_exact: Keep the exact network in the folder, to fall back on where a processor answers otherwise.
        settings: the flags really given.
    """
    from ratecast.compress import quantise as quantise_model
    from ratecast.config import ColumnsConfig
    from ratecast.data import load_reviews
    from ratecast.progress import ConsoleReporter

    loaded = load_reviews(one_or_many(sources), ColumnsConfig(**settings), need_rating=False)
    with ConsoleReporter().track("quantising", total=1) as advance:
        found = quantise_model(model, loaded.reviews.joined(), out=out, kind=kind, keep_exact=keep_exact)
        advance(1, "done")
    print(found.describe())
    print(f"The model is in {out}.")
