"""What other heads and the methods of "Stronger fine-tuning" are worth, each by itself beside plain fine-tuning.

    python benchmarks/strengthening.py --data-dir ../shared/data            # two seeds: about an hour
    python benchmarks/strengthening.py --data-dir ../shared/data --only plain,R-Drop --seeds 0,1,2,3

Every model is that of ``ratecast fit`` with the backbone alone (``--no-blend``), after as many steps. Each seed draws other
training reviews, the same for all methods. Judged are training reviews that no model learns from; the test reviews take no
part. Synonyms are those of Debian's package mythes-en-us; where it is not installed, their row is missing.
"""

from dataclasses import dataclass

import numpy as np
from runs import Runs, Task, number, run_parser, settled, signed_span, training_facts
from setting import show

from ratecast.evaluate.bootstrap import bootstrap

ROWS_LEARNT = 1000
TOKENS = 64
STEPS = 160
PLAIN = "plain"


@dataclass(frozen=True)
class Row:
    """A line of the table: a name, and the flags of ``ratecast fit`` that make it."""

    name: str
    flags: tuple[str, ...] = ()


ROWS = (
    Row(PLAIN),
    Row("rates 0.9 a layer", ("--layer-decay", "0.9")),
    Row("gradual unfreezing", ("--gradual-unfreezing", "0.3")),
    Row("average of weights", ("--average-decay", "0.97")),
    Row("four dropout masks", ("--dropout-samples", "4")),
    Row("R-Drop", ("--r-drop", "1")),
    Row("top layer anew", ("--reinitialised-layers", "1")),
    Row("top two layers anew", ("--reinitialised-layers", "2")),
    Row("adversarial", ("--adversarial", "5")),
    Row("word deletion", ("--word-deletion", "0.1")),
    Row("synonyms", ("--synonyms", "0.1", "--synonyms-file", "/usr/share/mythes/th_en_US_v2.dat")),
    Row("label smoothing", ("--label-smoothing", "0.1")),
    Row("SGD", ("--optimizer", "sgd")),
    Row("Adafactor", ("--optimizer", "adafactor")),
    Row("three networks distilled", ("--ensemble", "3")),
    *(Row(f"{head} head", ("--head", head)) for head in ("softmax", "soft", "ordinal-log", "corn", "coral", "regression")),
)


def _with_layers(flags: tuple[str, ...]) -> tuple[str, ...]:
    """The flags, and that no layer starts anew unless they say so, as one does by itself where reviews are few."""
    return flags if "--reinitialised-layers" in flags else (*flags, "--reinitialised-layers", "0")


def main() -> None:
    """Measure and write."""
    parser = run_parser(__doc__ or "")
    parser.add_argument("--seeds", default="0,1", help="seeds, separated by commas")
    parser.add_argument("--only", help="names of rows, separated by commas; all by default")
    parser.add_argument("--threads", default="2", help="processor threads of each fit")
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    chosen = [row for row in ROWS if not arguments.only or row.name in arguments.only.split(",")]
    task = Task.read(arguments.data_dir, "yelp_10k", arguments.cache / "strengthening", test=arguments.test)
    runs = Runs(task.folder, again=arguments.again)
    common = ["--no-blend", "--test-fraction", "0", "--max-tokens", str(TOKENS), "--steps", str(STEPS)]
    common += ["--threads", arguments.threads, "--contrastive-passes", "0"]
    facts: dict[str, list[dict[str, float]]] = {row.name: [] for row in chosen}
    for seed in seeds:
        found = {}
        for row in chosen:
            name = f"{row.name.replace(' ', '-')}-seed{seed}"
            source = str(task.written(ROWS_LEARNT, seed))
            held = runs.hold(name, "fit", source, *common, "--seed", str(seed), *_with_layers(row.flags))
            if held is not None:
                found[row.name] = task.predicted(held)
                facts[row.name].append({"seconds": training_facts(held.folder)["seconds"]})
        drawn = bootstrap(task.judged.rated(), found, task.scale, metrics=("rmse", "mae"))
        for name in found:
            difference = drawn.difference(name, PLAIN)
            facts[name][-1] |= {
                **drawn.whole[name],
                "difference": difference.difference,
                "low": difference.low,
                "high": difference.high,
            }
    rows = []
    for name, of_seeds in facts.items():
        if not of_seeds:
            continue
        means = {key: float(np.mean([one[key] for one in of_seeds])) for key in of_seeds[0]}
        rows.append(
            [
                name,
                number(means["rmse"]),
                "–" if name == PLAIN else signed_span(means["difference"], (means["low"], means["high"])),
                "–" if name == PLAIN else " ".join(f"{one['difference']:+.3f}" for one in of_seeds),
                number(means["mae"]),
                f"{means['seconds']:.0f}",
            ]
        )
    show(
        f"Stronger fine-tuning, {STEPS} steps each",
        ["method", "RMSE", "less plain (95 % interval, mean over seeds)", "of each seed", "MAE", "training, s"],
        rows,
        "strengthening" + ("_test" if arguments.test else ""),
        reviews=f"{ROWS_LEARNT:,} of Yelp's training reviews to learn and stop by, {len(task.judged):,} others to judge on",
        backbone=f"default, {TOKENS} tokens, all that `ratecast fit` trains by default, batches of 16",
        seeds=arguments.seeds,
        note="the interval is that of one seed's judged reviews, its ends averaged over the seeds; other work ran beside it",
    )


if __name__ == "__main__":
    settled(main)
