"""When further pretraining pays: foreign and familiar reviews, few and many labels, masked words and contrastive learning.

    python benchmarks/pretraining.py --data-dir ../shared/data                         # about two hours
    python benchmarks/pretraining.py --data-dir ../shared/data --datasets zoom_googleplay --rows 200 --seeds 0

The backbone learns from the texts of all training reviews for some minutes, and is then fine-tuned on few or all of their
ratings in as many steps as one that did not; both predict alone (``--no-blend``). Each is judged on training reviews whose
texts neither has seen, three times with seeds of its own, which also draw the few reviews.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from runs import Held, Runs, Task, number, run_parser, settled, signed_span
from setting import show

from ratecast.evaluate.bootstrap import bootstrap

OBJECTIVES = ("none", "masked", "contrastive")
DATASETS = ("yelp_10k", "zoom_googleplay")
FEW_STEPS, MANY_STEPS = 100, 400
"""Fine-tuning of 16 reviews a step: on few labels (8 passes over 180), and on all of them."""


def main() -> None:
    """Measure and write."""
    parser = run_parser(__doc__ or "")
    parser.add_argument("--datasets", default=",".join(DATASETS))
    parser.add_argument("--objectives", default=",".join(OBJECTIVES))
    parser.add_argument("--rows", default="200,all", help="labels")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--minutes", type=float, default=3.0, help="time budget of each pretraining")
    parser.add_argument("--pretrain-steps", type=int, help="fixed steps of each pretraining, in place of the time")
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    budget: tuple[str, ...] = ("--time-budget", f"{60 * arguments.minutes:g}s", "--epochs", "20")
    if arguments.pretrain_steps:
        budget = ("--steps", str(arguments.pretrain_steps))
    rows: list[list[Any]] = []
    for dataset in arguments.datasets.split(","):
        task = Task.read(arguments.data_dir, dataset, arguments.cache / "pretraining", test=arguments.test)
        trials = Trials(Runs(task.folder, again=arguments.again), task, budget)
        for labels in arguments.rows.split(","):
            fitted: dict[str, list[Trial]] = {}
            for objective in arguments.objectives.split(","):
                found = [trials.fitted(objective, labels, seed) for seed in seeds]
                fitted[objective] = [trial for trial in found if trial is not None]
            rows += _table(task, labels, {name: found for name, found in fitted.items() if len(found) == len(seeds)})
    show(
        "When further pretraining pays",
        [
            "reviews",
            "labels",
            "pretraining",
            "steps",
            "passes",
            "held out, before and after",
            "RMSE of each seed",
            "mean RMSE",
            "less that without (95 % interval)",
            "accuracy",
        ],
        rows,
        "pretraining"
        + ("" if arguments.datasets == ",".join(DATASETS) else f"-{arguments.datasets.replace(',', '-')}")
        + ("_test" if arguments.test else ""),
        pretraining=" ".join(budget) + " on the texts of all training reviews",
        fine_tuning=f"{FEW_STEPS} steps on 200 labels, {MANY_STEPS} on all, 128 tokens, no linear members",
        judged="on " + ("the test reviews" if arguments.test else "training reviews whose texts nothing has seen"),
        intervals="over the judged reviews, all seeds of a review drawn together",
    )


@dataclass(frozen=True)
class Trial:
    """A fitted model, and the backbone that it starts from if that was pretrained."""

    model: Held
    backbone: Held | None


@dataclass(frozen=True)
class Trials:
    """Makes models of one data set."""

    runs: Runs
    task: Task
    budget: Sequence[str]

    def fitted(self, objective: str, labels: str, seed: int) -> Trial | None:
        """A model; None if its pretraining or its fit failed."""
        backbone, start = None, []
        if objective != "none":
            flags = ("--objective", objective, "--seed", str(seed), *self.budget)
            backbone = self.runs.hold(f"{objective}-seed{seed}", "pretrain", str(self.task.written()), *flags)
            if backbone is None:
                return None
            start = ["--backbone", str(backbone.folder)]
        rows = None if labels == "all" else int(labels)
        steps = MANY_STEPS if rows is None else FEW_STEPS
        flags = ("--no-blend", "--test-fraction", "0", "--max-tokens", "128", "--steps", str(steps), "--seed", str(seed))
        name, source = f"fit-{objective}-{labels}-seed{seed}", str(self.task.written(rows, seed))
        model = self.runs.hold(name, "fit", source, *flags, *start)
        return None if model is None else Trial(model, backbone)


def _table(task: Task, labels: str, fitted: dict[str, list[Trial]]) -> list[list[Any]]:
    """A line for each objective, all of which have as many trials."""
    if not fitted:
        return []
    probabilities = {name: np.concatenate([task.predicted(trial.model) for trial in found]) for name, found in fitted.items()}
    seeds, reviews = len(next(iter(fitted.values()))), len(task.judged)
    drawn = bootstrap(
        np.tile(task.judged.rated(), seeds),
        probabilities,
        task.scale,
        metrics=("rmse", "accuracy"),
        groups=np.tile(np.arange(reviews), seeds),
    )
    rows = []
    for name, found in fitted.items():
        each = [
            float(np.sqrt(((task.scale.mean(part) - task.judged.rated()) ** 2).mean()))
            for part in np.split(probabilities[name], seeds)
        ]
        backbones = [trial.backbone.folder for trial in found if trial.backbone is not None]
        learnt = [json.loads((folder / "pretraining.json").read_text()) for folder in backbones]
        beside = "–"
        if name != "none" and "none" in fitted:
            difference = drawn.difference(name, "none")
            beside = signed_span(difference.difference, (difference.low, difference.high))
        rows.append(
            [
                task.name,
                labels,
                name,
                " ".join(str(facts["steps"]) for facts in learnt) or "–",
                number(float(np.mean([_passes(facts) for facts in learnt])) if learnt else None, 1),
                f"{learnt[0]['measure']} {learnt[0]['before']:.3g}, {learnt[0]['after']:.3g}" if learnt else "–",
                " ".join(number(rmse) for rmse in each),
                number(float(np.mean(each))),
                beside,
                number(drawn.whole[name]["accuracy"]),
            ]
        )
    return rows


def _passes(facts: dict[str, Any]) -> float:
    """Passes over the texts that a pretraining did."""
    return float(facts["steps"] * facts["settings"]["batch_tokens"] / facts["corpus"]["tokens"])


if __name__ == "__main__":
    settled(main)
