"""What do no label, pairs of reviews and prompts make of very few labels, beside a plain fit?

    python benchmarks/few_labels.py --data-dir ../shared/data                          # about half an hour
    python benchmarks/few_labels.py --data-dir ../shared/data --only plain,pairs --rows 40,80,320
    python benchmarks/few_labels.py --data-dir ../shared/data --blend --rows 200,1000     # beside models of words

Every model is that of ``ratecast fit`` with the backbone alone (``--no-blend``) unless ``--blend`` is given, or of
``ratecast zeroshot``. Each seed draws other rated reviews, the same for all methods. Judged are training reviews that no
model learns from; the test reviews take no part unless asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from runs import Held, Runs, Task, number, run_parser, settled, signed_span
from scipy.stats import spearmanr
from setting import show

from ratecast.evaluate.bootstrap import bootstrap

SMOLLM2 = ("--backbone", "SmolLM2-135M-Instruct")
NO_LABEL = "none"
PLAIN = "plain"


@dataclass(frozen=True)
class Row:
    """A line of the table: a name, the flags that make it, and whether it learns from labels."""

    name: str
    flags: tuple[str, ...] = ()
    learns: bool = True


def _few(*, pairs: int, anew: int) -> tuple[str, ...]:
    """What the settings leave to the number of reviews."""
    return ("--contrastive-passes", str(pairs), "--reinitialised-layers", str(anew))


ROWS = (
    Row("sentences compared", learns=False),
    Row("SmolLM2: numbers", (*SMOLLM2, "--prompt", "Review:\n{text}\nRating from {low} to {high}:"), learns=False),
    Row("SmolLM2: words", SMOLLM2, learns=False),
    Row(PLAIN, _few(pairs=0, anew=0)),
    Row("pairs", _few(pairs=10, anew=0)),
    Row("top layer anew", _few(pairs=0, anew=1)),
    Row("pairs and top layer anew", _few(pairs=10, anew=1)),
    Row("SmolLM2: plain", (*SMOLLM2, "--tune", "lora")),
    Row("SmolLM2: prompt", (*SMOLLM2, "--tune", "lora", "--prompt", "default")),
)


def main() -> None:
    """Measure and write."""
    parser = run_parser(__doc__ or "")
    parser.add_argument("--rows", default="40,200", help="labels")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--only", help="names of methods, separated by commas; all by default")
    parser.add_argument("--dataset", default="yelp_10k")
    parser.add_argument("--blend", action="store_true", help="let models of words join the backbone")
    parser.add_argument("--judged", type=int, default=500, help="first so many of the judged reviews")
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    chosen = [row for row in ROWS if not arguments.only or row.name in arguments.only.split(",")]
    task = Task.read(arguments.data_dir, arguments.dataset, arguments.cache / "few_labels", test=arguments.test)
    task = replace(task, judged=task.judged.take(np.arange(min(arguments.judged, len(task.judged)))))
    runs = Runs(task.folder, again=arguments.again)
    table = _table(task, NO_LABEL, {row.name: [_told(runs, task, row)] for row in chosen if not row.learns})
    for labels in map(int, arguments.rows.split(",")):
        fitted = {
            row.name: [_fitted(runs, task, row, labels, seed, blend=arguments.blend) for seed in seeds]
            for row in chosen
            if row.learns
        }
        table += _table(task, f"{labels:,}", fitted)
    show(
        "Few labels, or none",
        ["labels", "method", "RMSE of each seed", "mean RMSE", "less plain (95 % interval)", "Spearman", "accuracy", "seconds"],
        table,
        "few_labels" + ("_blend" if arguments.blend else "") + ("_test" if arguments.test else "") + f"-{task.name}",
        reviews=f"{arguments.dataset}, judged on {len(task.judged):,} "
        + ("test" if arguments.test else "training")
        + " reviews not learnt from",
        tokens="at most 128",
        mean_of_judged=f"RMSE {float(task.judged.rated().std()):.3f}: of the mean of the judged ratings, which nobody knows",
        intervals="over the judged reviews, all seeds of a review drawn together",
    )


def _told(runs: Runs, task: Task, row: Row) -> Held | None:
    """A model that has seen texts alone."""
    flags = ("--scale", "1..5", "--max-tokens", "128", *row.flags)
    return runs.hold(row.name.replace(" ", "-"), "zeroshot", str(task.written()), *flags)


def _fitted(runs: Runs, task: Task, row: Row, labels: int, seed: int, *, blend: bool) -> Held | None:
    members = ("--blend",) if blend else ("--no-blend",)
    flags = (*members, "--test-fraction", "0", "--max-tokens", "128", "--seed", str(seed), *row.flags)
    return runs.hold(f"{row.name.replace(' ', '-')}-{labels}-seed{seed}", "fit", str(task.written(labels, seed)), *flags)


def _table(task: Task, labels: str, models: Mapping[str, Sequence[Held | None]]) -> list[list[Any]]:
    """A line for each method none of whose models failed."""
    held = {name: [one for one in found if one is not None] for name, found in models.items()}
    held = {name: found for name, found in held.items() if len(found) == len(models[name])}
    if not held:
        return []
    seeds = len(next(iter(held.values())))
    predicted = {name: [task.predicted(model) for model in found] for name, found in held.items()}
    truth = task.judged.rated()
    drawn = bootstrap(
        np.tile(truth, seeds),
        {name: np.concatenate(found) for name, found in predicted.items()},
        task.scale,
        metrics=("rmse", "accuracy"),
        groups=np.tile(np.arange(len(truth)), seeds),
    )
    rows = []
    for name, found in predicted.items():
        means = [task.scale.mean(probabilities) for probabilities in found]
        each = [float(np.sqrt(((mean - truth) ** 2).mean())) for mean in means]
        beside = "–"
        if name != PLAIN and PLAIN in held:
            difference = drawn.difference(name, PLAIN)
            beside = signed_span(difference.difference, (difference.low, difference.high))
        rows.append(
            [
                labels,
                name,
                " ".join(number(rmse) for rmse in each),
                number(float(np.mean(each))),
                beside,
                number(float(np.mean([spearmanr(mean, truth).statistic for mean in means]))),
                number(drawn.whole[name]["accuracy"]),
                number(float(np.mean([one.seconds for one in held[name]])), 0),
            ]
        )
    return rows


if __name__ == "__main__":
    settled(main)
