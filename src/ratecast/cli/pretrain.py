"""``ratecast pretrain``."""

from pathlib import Path
from typing import Any

from ratecast.cli.arguments import Resume, Sources, one_or_many
from ratecast.cli.settings import setting_flags
from ratecast.config import PretrainConfig


@setting_flags("", "text_column", "title_column", "query", "track", of=PretrainConfig)
def pretrain(
    *sources: Sources,
    out: Path,
    config: Path | None = None,
    resume: Resume = False,
    **settings: Any,
) -> None:
    """Pretrain a backbone further on reviews without ratings.

    The backbone learns how your reviewers write, from text alone: it tells
    words that were hidden from it (encoders such as BERT) or the next word
    (decoders such as GPT), or tells reviews apart (--objective contrastive).
    Fitting then starts from it: ratecast fit ... --backbone backbone/

    It pays where there are many more reviews without ratings than with, and
    where they differ from what the backbone was trained on. Some reviews are
    held out; the perplexity of their words before and after shows what was
    learnt of the language. What that is worth for ratings only a fit with and
    one without can show: ratecast compare.

    Files larger than memory are read piece by piece (Parquet, Arrow, CSV,
    JSON lines). Copies of a text are left out.

    For example:

        ratecast pretrain reviews.parquet --out backbone/ --time-budget 1h
        ratecast fit rated.csv --out model/ --backbone backbone/
        ratecast pretrain reviews.csv --out backbone/ --objective contrastive
        ratecast pretrain more.csv --out further/ --backbone backbone/
        ratecast pretrain reviews.parquet --out backbone/ --epochs 3 --resume

    Args:
        sources: see `Sources`.
        out: Folder for the backbone. One that was pretrained before is replaced.
        config: TOML file with settings (learning_rate = 1e-4). Flags override it.
        resume: Go on with the same run where it was interrupted; it is kept in <out>.pretraining/ until the folder is written.
        settings: the flags really given.
    """
    from ratecast.pretraining import pretrain as pretrain_backbone
    from ratecast.progress import ConsoleReporter

    found = pretrain_backbone(
        one_or_many(sources),
        out=out,
        config=None if config is None else PretrainConfig.from_toml(config),
        resume=resume,
        reporter=ConsoleReporter(),
        **settings,
    )
    print(found.describe())
    print(f"The backbone is in {out}: ratecast fit ... --backbone {out}")
