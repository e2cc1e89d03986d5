"""All contests together: who is ahead where, and how errors fall with more training reviews."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from setting import markdown
from standings import COMPARED, RATECAST, verdict
from task import Setting

from ratecast.evaluate.bootstrap import Difference
from ratecast.evaluate.metrics import METRICS
from ratecast.scale import RatingScale

CURVES = ("rmse", "accuracy")


@dataclass(frozen=True, kw_only=True)
class Result:
    """A contest as its file tells it, so that the summary also has those whose runs are no longer kept.

    Attributes:
        dataset: name of the data set.
        setting: wall time and training rows.
        training_rows: how many these are.
        scale: the data set's scale.
        metrics: each model's metrics, the least RMSE first.
        differences: ratecast's RMSE minus a peer's, by peer.
    """

    dataset: str
    setting: Setting
    training_rows: int
    scale: RatingScale
    metrics: Mapping[str, Mapping[str, float | None]]
    differences: Mapping[str, Difference]

    @classmethod
    def read(cls, path: Path) -> "Result":
        """The contest of a file that `standings.write` wrote."""
        content: dict[str, Any] = json.loads(path.read_text())
        return cls(
            dataset=content["dataset"],
            setting=Setting.parse(path.stem.removeprefix(content["dataset"] + "-")),
            training_rows=content["training_rows"],
            scale=RatingScale.parse(content["facts"]["scale"]),
            metrics={model["name"]: model["metrics"] for model in content["models"]},
            differences={peer: Difference(**parts["rmse"]) for peer, parts in content["ratecast_minus_peer"].items()},
        )

    @property
    def link(self) -> str:
        """Its title, with a link to its table."""
        return f"[{self.dataset}, {self.setting.title}]({self.dataset}-{self.setting.name}.md)"

    def text(self, metric: str, model: str) -> str:
        """A model's metric as tables show it; a dash where there is none."""
        value = self.metrics.get(model, {}).get(metric)
        return "–" if value is None else METRICS[metric].format(value, self.scale)


def write_summary(folder: Path) -> None:
    """Write ``README.md`` over every contest of a folder, and a plot of the curve where contests differ in rows alone."""
    found = [Result.read(path) for path in folder.glob("*.json")]
    results = sorted(found, key=lambda result: (result.dataset, result.setting.minutes, result.training_rows))
    plots = [_plot(group, folder) for group in _curves(results)]
    lines = ["# Accuracy: ratecast and its peers", ""]
    lines += ["Every model has the same training and test reviews, two cores and wall time; `benchmarks/README.md` says how."]
    lines += ["", *_verdicts(results), ""]
    for metric in COMPARED:
        lines += [f"## {METRICS[metric].label}", "", f"{METRICS[metric].explanation.capitalize()}; the best in bold.", ""]
        lines += [*_matrix(results, metric), ""]
    if plots:
        lines += ["## Learning curves", "", *(f"![{plot}]({plot})" for plot in plots), ""]
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")


def _verdicts(results: Sequence[Result]) -> list[str]:
    header = [
        "Contest",
        "ratecast's RMSE",
        "Strongest peer",
        "Its RMSE",
        "Against it",
        "Peers clearly beaten",
        "Peers clearly ahead",
    ]
    rows = []
    for result in results:
        rival = next((name for name in result.metrics if name != RATECAST), None)
        if rival is None or rival not in result.differences:
            rows.append([result.link, "–", rival or "–", *(["–"] * 4)])
            continue
        found = result.differences.values()
        beaten = sum(difference.is_better for difference in found)
        ahead = sum(difference.is_clear and not difference.is_better for difference in found)
        numbers = [result.text("rmse", name) for name in (RATECAST, rival)]
        told = verdict(result.differences[rival])
        rows.append([result.link, numbers[0], rival, numbers[1], told, f"{beaten} of {len(found)}", str(ahead)])
    return markdown(header, rows)


def _matrix(results: Sequence[Result], metric: str) -> list[str]:
    """A row for each contest, a column for each model; a dash where one gave nothing."""
    names = {name for result in results for name in result.metrics}
    models = sorted(names, key=lambda name: (name != RATECAST, name))
    info = METRICS[metric]
    rows = []
    for result in results:
        known = [value for model in result.metrics.values() if (value := model.get(metric)) is not None]
        best = info.format((min if info.better == "lower" else max)(known), result.scale) if known else ""
        cells = [result.text(metric, model) for model in models]
        rows.append([result.link, *(f"**{cell}**" if cell == best else cell for cell in cells)])
    return markdown(["Contest", *models], rows)


# -- learning curves --------------------------------------------------------------------------------------------------


def _curves(results: Sequence[Result]) -> list[list[Result]]:
    """Contests that differ in training rows alone, where there are several."""
    groups: dict[tuple[str, float], list[Result]] = {}
    for result in results:
        groups.setdefault((result.dataset, result.setting.minutes), []).append(result)
    return [group for group in groups.values() if len(group) > 1]


def _plot(group: Sequence[Result], folder: Path) -> str:
    """Draw metrics against training rows, a line for each model, and return the file's name."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "ratecast"  # the same numbers give the same file
    from matplotlib import pyplot as plt

    names = {name for result in group for name in result.metrics}
    models = sorted(names, key=lambda name: (name == RATECAST, name))
    figure, axes = plt.subplots(1, len(CURVES), figsize=(11, 4.5), layout="constrained")
    for metric, ax in zip(CURVES, axes, strict=True):
        for number, model in enumerate(models):
            values = [(result.training_rows, result.metrics.get(model, {}).get(metric)) for result in group]
            points = [(rows, value) for rows, value in values if value is not None]
            if points:
                style = {"color": "black", "linewidth": 2.5} if model == RATECAST else {"color": f"C{number}", "linewidth": 1.2}
                ax.plot(*zip(*points, strict=True), marker="o", markersize=4, label=model, **style)
        ticks = [result.training_rows for result in group]
        ax.set_xscale("log")
        ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        ax.minorticks_off()
        ax.set_xlabel("training reviews")
        ax.set_ylabel(METRICS[metric].label)
        ax.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.suptitle(f"{group[0].dataset}, {group[0].setting.time}")
    name = f"{group[0].dataset}-{group[0].setting.minutes:g}m-curve.svg"
    figure.savefig(folder / name, metadata={"Date": None})
    plt.close(figure)
    return name
