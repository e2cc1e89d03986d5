"""``ratecast prune-vocabulary``."""

from pathlib import Path
from typing import Any

from ratecast.cli.arguments import Sources, one_or_many
from ratecast.cli.settings import setting_flags


@setting_flags("text_column", "title_column", "query")
def prune_vocabulary(*sources: Sources, backbone: str, out: Path, minimum_count: int = 1, **settings: Any) -> None:
    """Make a backbone smaller: keep only the tokens that your reviews need.

    Half of a small multilingual model and more are the vectors of tokens that
    reviews in one or two languages never use. Characters, bytes and special
    tokens stay, so that no later review has unknown words that had none before.
    Reviews whose tokens were all kept are read exactly as before.

    For example:

        ratecast prune-vocabulary reviews.csv --backbone e5/ --out small/
        ratecast fit reviews.csv --out model/ --backbone small/

    Args:
        sources: see `Sources`.
        backbone: The backbone: a folder, or a name on the Hugging Face hub.
        out: Folder for the smaller backbone. An older one there is replaced.
        minimum_count: How often a token must occur in the reviews to stay.
        settings: the flags really given.
    """
    from ratecast.compress import prune_vocabulary as prune
    from ratecast.config import ColumnsConfig
    from ratecast.progress import ConsoleReporter

    found = prune(
        one_or_many(sources),
        backbone=backbone,
        out=out,
        minimum_count=minimum_count,
        columns=ColumnsConfig(**settings),
        reporter=ConsoleReporter(),
    )
    print(found.describe())
    print(f"The backbone is in {out}: ratecast fit ... --backbone {out}")
