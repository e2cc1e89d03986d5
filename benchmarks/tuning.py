"""What the ways of tuning a backbone are worth in the same time: full, its top layers, its head, or weights added to it.

    python benchmarks/tuning.py --data-dir ../shared/data                # two minutes for each: about 25 minutes
    python benchmarks/tuning.py --data-dir ../shared/data --steps 300    # as many steps for each, whatever they take
    python benchmarks/tuning.py --data-dir ../shared/data --test         # the same models on the test reviews

Every model is that of ``ratecast fit`` with the backbone alone (``--no-blend``), reads 128 tokens and has its method's own
defaults. It is judged on training reviews that it did not learn from; the test reviews are for the final table.
"""

from dataclasses import dataclass

from runs import Held, Runs, Task, number, run_parser, settled, signed_span, size_mb, span, training_facts
from setting import show

from ratecast.config import FitConfig
from ratecast.evaluate.bootstrap import bootstrap
from ratecast.model.adapters import METHODS

TOKENS = 128


@dataclass(frozen=True)
class Row:
    """A line of the table: a name, and the flags of ``ratecast fit`` that make it."""

    name: str
    flags: tuple[str, ...] = ()


FULL = Row("full fine-tuning", ("--trained-layers", "6"))
ROWS = (
    FULL,
    Row("top three layers", ("--trained-layers", "3")),
    Row("head only", ("--trained-layers", "0")),
    Row("head only, on four layers", ("--trained-layers", "0", "--pooled-layers", "4")),
    *(Row(name, ("--tune", name)) for name in METHODS),
)
METRICS = ("rmse", "mae", "accuracy")


def main() -> None:
    """Measure and write."""
    parser = run_parser(__doc__ or "")
    parser.add_argument("--minutes", type=float, default=2.0, help="time budget of each fit")
    parser.add_argument("--steps", type=int, help="fixed steps of each fit, in place of the time")
    parser.add_argument("--only", help="names of rows, separated by commas; all by default")
    arguments = parser.parse_args()
    task = Task.read(arguments.data_dir, "yelp_10k", arguments.cache / "tuning", test=arguments.test)
    runs = Runs(task.folder, again=arguments.again)
    limit = ["--steps", str(arguments.steps)] if arguments.steps else ["--time-budget", f"{60 * arguments.minutes:g}s"]
    held: dict[str, Held] = {}
    for row in ROWS:
        if arguments.only and row.name not in arguments.only.split(","):
            continue
        common = ["--no-blend", "--test-fraction", "0", "--max-tokens", str(TOKENS), *limit]
        name = f"{row.name.replace(' ', '-').replace(',', '')}-{limit[1]}"
        found = runs.hold(name, "fit", str(task.written()), *common, *row.flags)
        if found is not None:
            held[row.name] = found
    probabilities = {name: task.predicted(found) for name, found in held.items()}
    drawn = bootstrap(task.judged.rated(), probabilities, task.scale, metrics=METRICS)
    rows = []
    for name, found in held.items():
        whole, ends, trained = drawn.whole[name], drawn.intervals(name), training_facts(found.folder)
        beside = "–"
        if name != FULL.name and FULL.name in held:
            difference = drawn.difference(name, FULL.name)
            beside = signed_span(difference.difference, (difference.low, difference.high))
        rows.append(
            [
                name,
                f"{trained['trained_weights']:,}",
                f"{found.seconds:.0f}",
                f"{trained['steps']:,}",
                f"{trained['units_per_second']:.0f}",
                f"{found.peak_mb:.0f}",
                f"{number(whole['rmse'])} ({span(ends['rmse'])})",
                beside,
                number(whole["mae"]),
                number(whole["accuracy"]),
                number(size_mb(found.folder), 1),
                number(size_mb(found.folder, ["adapter.safetensors"]), 2),
            ]
        )
    part = "test ones" if arguments.test else "more of them"
    each = f"{arguments.steps} steps each" if arguments.steps else f"{arguments.minutes:g} minutes each"
    show(
        f"Ways of tuning a backbone, {each}",
        [
            "method",
            "trained weights",
            "wall time, s",
            "steps",
            "reviews a second",
            "peak memory, MB",
            "RMSE (95 % interval)",
            "RMSE less that of full fine-tuning",
            "MAE",
            "accuracy",
            "folder, MB",
            "added weights and head alone, MB",
        ],
        rows,
        "tuning" + ("_steps" if arguments.steps else "") + ("_test" if arguments.test else ""),
        reviews=f"{len(task.training):,} of Yelp's training reviews to learn from, {len(task.judged):,} {part} to judge on",
        backbone=f"{FitConfig().backbone.backbone}, {TOKENS} tokens, batches of {FitConfig().train.batch_reviews}",
        note="wall time is from the start of the process to the folder written; speed is of the training alone; one seed",
    )


if __name__ == "__main__":
    settled(main)
