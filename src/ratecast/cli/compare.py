"""``ratecast compare``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ratecast.cli.arguments import SOURCES_HELP, check_report, one_or_many
from ratecast.cli.settings import setting_flags
from ratecast.errors import ConfigError

if TYPE_CHECKING:
    pass


@setting_flags("text_column", "rating_column", "title_column", "user_column", "item_column", "category_column", "query")
def compare(
    *paths: Annotated[
        str, Parameter(name="PATH", required=True, help=f"Two model folders or more, and rated reviews. {SOURCES_HELP}")
    ],
    metric: str = "rmse",
    out: Path | None = None,
    **settings: Any,
) -> None:
    """Say which of several models is better, on the same rated reviews.

    Every metric is shown for each model, and as a difference between the best
    model and each other one, with an interval from resampled reviews. Where
    the interval holds zero, the data cannot tell the two apart. With three
    models or more the intervals are wider, to hold all at once (Bonferroni).
    Choose the metric before you look: the best of ten is often best by luck.
    Reviews that a model learned from flatter it; take others.

    For example:

        ratecast compare old/ new/ held_out.csv
        ratecast compare old/ new/ held_out.csv --metric mae --out report.html

    Args:
        paths: see above.
        metric: What decides: rmse, mse, mae, accuracy, within_one, qwk (of ratings decided for it), spearman, nll, rps or ece.
        out: File for a report: .html or .json.
        settings: the flags really given.
    """
    from ratecast.assessment import load_rated
    from ratecast.cli.show import Output, show_comparison
    from ratecast.comparison import compare as compare_models
    from ratecast.comparison import shared_scale
    from ratecast.config import ColumnsConfig
    from ratecast.evaluate.comparison import check_metric
    from ratecast.evaluate.comparison_report import write_comparison
    from ratecast.predict import load
    from ratecast.progress import ConsoleReporter

    check_report(out, ".html", ".json")
    folders, sources = _divided(paths)
    models = {name: load(folder) for name, folder in _named(folders).items()}
    scale = shared_scale(models)
    check_metric(metric, scale)
    loaded = load_rated(one_or_many(sources), models, ColumnsConfig(**settings))
    reporter = ConsoleReporter()
    for line in loaded.report.lines():
        reporter.tell(line)
    comparison = compare_models(models, loaded, metric=metric, reporter=reporter)
    output = Output()
    show_comparison(output, comparison)
    if out is not None:
        title = f"{', '.join(models)} on {loaded.report.source}"
        write_comparison(out, comparison, title=title, notes=loaded.report.lines())
        output.print(f"The report is in {out}.")


def _divided(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """The model folders and the tables among the paths, which may stand in any order."""
    from ratecast.model.store import is_model

    folders = [path for path in paths if is_model(path)]
    sources = [path for path in paths if not is_model(path)]
    if len(folders) < 2 or not sources:
        raise ConfigError(
            f"expected two model folders or more and a table of rated reviews, found the models {', '.join(folders) or 'none'} "
            f"and the tables {', '.join(sources) or 'none'}; a model folder is what ratecast fit wrote, with a model.json"
        )
    return folders, sources


def _named(folders: Sequence[str]) -> dict[str, str]:
    """Each folder by its name, by its path as given where two have the same name."""
    places = [Path(folder).resolve() for folder in folders]
    if len(set(places)) < len(places):
        twice = next(folder for folder, place in zip(folders, places, strict=True) if places.count(place) > 1)
        raise ConfigError(f"the model {twice} is given twice; give two different ones")
    names = [place.name for place in places]
    return {name if names.count(name) == 1 else folder: folder for name, folder in zip(names, folders, strict=True)}
