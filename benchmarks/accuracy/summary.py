"""All contests together: who is ahead where, and how errors fall with more training reviews."""

from collections.abc import Sequence
from pathlib import Path

from setting import markdown
from standings import COMPARED, RATECAST, Contest, verdict

from ratecast.evaluate.metrics import METRICS

CURVES = ("rmse", "accuracy")


def write_summary(contests: Sequence[Contest], folder: Path) -> None:
    """Write ``README.md`` over every contest, and a plot of the learning curve where contests differ in rows alone."""
    plots = [plot for group in _curves(contests) if (plot := _plot(group, folder))]
    lines = ["# Accuracy: ratecast and its peers", ""]
    lines += ["Every model has the same training and test reviews, two cores and wall time; `benchmarks/README.md` says how."]
    lines += ["", *_verdicts(contests), ""]
    for metric in COMPARED:
        lines += [f"## {METRICS[metric].label}", "", f"{METRICS[metric].explanation.capitalize()}; the best in bold.", ""]
        lines += [*_matrix(contests, metric), ""]
    if plots:
        lines += ["## Learning curves", "", *(f"![{plot}]({plot})" for plot in plots), ""]
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")


def _link(contest: Contest) -> str:
    return f"[{contest.shelf.about()['name']}, {contest.setting.title}]({contest.name}.md)"


def _verdicts(contests: Sequence[Contest]) -> list[str]:
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
    for contest in contests:
        ours, rival, scale = contest.standing(RATECAST), contest.strongest_peer(), contest.shelf.scale()
        if ours is None or rival is None:
            rows.append([_link(contest), "–", "–" if rival is None else rival.peer, *(["–"] * 4)])
            continue
        found = [parts["rmse"] for parts in contest.differences.values()]
        beaten = sum(difference.is_better for difference in found)
        ahead = sum(difference.is_clear and not difference.is_better for difference in found)
        rmse = METRICS["rmse"]
        numbers = [rmse.format(standing.metrics["rmse"], scale) for standing in (ours, rival)]
        told = verdict(contest.differences[rival.peer]["rmse"])
        rows.append([_link(contest), numbers[0], rival.peer, numbers[1], told, f"{beaten} of {len(found)}", str(ahead)])
    return markdown(header, rows)


def _matrix(contests: Sequence[Contest], metric: str) -> list[str]:
    """A row for each contest, a column for each model; a dash where one gave nothing."""
    names = {standing.peer for contest in contests for standing in contest.standings}
    peers = sorted(names, key=lambda peer: (peer != RATECAST, peer))
    info = METRICS[metric]
    rows = []
    for contest in contests:
        values = {standing.peer: standing.metrics.get(metric) for standing in contest.standings}
        texts = {peer: info.format(value, contest.shelf.scale()) for peer, value in values.items()}
        known = [value for value in values.values() if value is not None]
        best = info.format((min if info.better == "lower" else max)(known), contest.shelf.scale()) if known else ""
        cells = [texts.get(peer, "–") for peer in peers]
        rows.append([_link(contest), *(f"**{cell}**" if cell == best else cell for cell in cells)])
    return markdown(["Contest", *peers], rows)


# -- learning curves --------------------------------------------------------------------------------------------------


def _curves(contests: Sequence[Contest]) -> list[list[Contest]]:
    """Contests that differ in training rows alone, where there are several."""
    groups: dict[tuple[str, float], list[Contest]] = {}
    for contest in contests:
        groups.setdefault((contest.shelf.about()["name"], contest.setting.minutes), []).append(contest)
    return [group for group in groups.values() if len(group) > 1]


def _rows(contest: Contest) -> int:
    return contest.setting.rows or int(contest.shelf.about()["training_rows"])


def _plot(group: Sequence[Contest], folder: Path) -> str:
    """Draw metrics against training rows, a line for each model, and return the file's name."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "ratecast"  # the same numbers give the same file
    from matplotlib import pyplot as plt

    ordered = sorted(group, key=_rows)
    names = {standing.peer for contest in ordered for standing in contest.standings}
    peers = sorted(names, key=lambda peer: (peer == RATECAST, peer))
    figure, axes = plt.subplots(1, len(CURVES), figsize=(11, 4.5), layout="constrained")
    for metric, ax in zip(CURVES, axes, strict=True):
        for number, peer in enumerate(peers):
            points = [
                (_rows(contest), standing.metrics[metric])
                for contest in ordered
                if (standing := contest.standing(peer)) is not None and metric in standing.metrics
            ]
            if points:
                style = {"color": "black", "linewidth": 2.5} if peer == RATECAST else {"color": f"C{number}", "linewidth": 1.2}
                ax.plot(*zip(*points, strict=True), marker="o", markersize=4, label=peer, **style)
        ax.set_xscale("log")
        ticks = [_rows(contest) for contest in ordered]
        ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        ax.minorticks_off()
        ax.set_xlabel("training reviews")
        ax.set_ylabel(METRICS[metric].label)
        ax.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.suptitle(f"{ordered[0].shelf.about()['name']}, {ordered[0].setting.time}")
    name = f"{ordered[0].shelf.about()['name']}-{ordered[0].setting.minutes:g}m-curve.svg"
    figure.savefig(folder / name, metadata={"Date": None})
    plt.close(figure)
    return name
