"""``ratecast zeroshot``."""

from pathlib import Path
from typing import Any

from ratecast.cli.arguments import OptionalSources, one_or_many
from ratecast.cli.settings import setting_flags


@setting_flags(
    *("text_column", "title_column", "query", "scale", "backbone", "max_tokens", "head_fraction"),
    *("prompt", "verbaliser", "seed", "threads"),
)
def zeroshot(
    *sources: OptionalSources, out: Path, prior: str | None = None, config: Path | None = None, **settings: Any
) -> None:
    """Make a rating model without any rated review.

    A language model reads each review in a template and tells a word; words
    stand for ratings. What words it prefers whatever it reads is found from
    your reviews without ratings, and divided out. Give some hundreds of them.

    The backbone needs an output layer that tells words, as bert-base-uncased,
    roberta-base and all decoders have. The default backbone has none: reviews
    are then compared with sentences such as "It was great.", which says less.

    Nothing here tells how good the model is: ratecast evaluate does, on rated
    reviews. From some of them ratecast fit --prompt learns.

    For example:

        ratecast zeroshot new.csv --backbone roberta-base --scale 1..5 --out model/
        ratecast predict model/ --text "Great phone, poor battery"
        ratecast zeroshot --backbone Qwen/Qwen2.5-0.5B --scale 1..5 --out model/

    Args:
        sources: see `OptionalSources`.
        out: Folder for the model. A model that is there already is replaced.
        prior: How often each level occurs, from the lowest, such as 0.1,0.1,0.2,0.3,0.3. All the same by default.
        config: TOML file with settings, as ratecast fit takes it. Flags override it.
        settings: the flags really given.
    """
    from ratecast.config import FitConfig
    from ratecast.progress import ConsoleReporter
    from ratecast.zero_shot import zeroshot as make_model

    predictor = make_model(
        one_or_many(sources) if sources else None,
        out=out,
        prior=prior,
        config=None if config is None else FitConfig.from_toml(config),
        reporter=ConsoleReporter(),
        **settings,
    )
    for note in predictor.notes():
        print(f"- {note}")
    print(f"The model is in {out}.")
