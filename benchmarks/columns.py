"""What are users, items and categories worth beside the text?

    python benchmarks/columns.py --data-dir ../shared/data         # about ten minutes

The same ``ratecast fit`` with and without ``--use``, a minute each. Judged are training reviews that no model learns from:
equal texts lie on one side, users and items on both, as in a shop that goes on. The test reviews take no part unless asked for.
"""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from runs import Runs, number, run_parser, settled, signed_span
from setting import show

from ratecast import load
from ratecast.data import copy_groups
from ratecast.evaluate.bootstrap import bootstrap

USED = {
    "yelp_10k": "user,item",
    "amazon_multidomain_blitzer": "user,item,category",
    "amazon_2018_5core_small": "user,item,category",
    "douban_movie_zh": "user,item",
}
WITHOUT, WITH = "text", "text and columns"


def main() -> None:
    """Measure and write."""
    parser = run_parser(__doc__ or "")
    parser.add_argument("--datasets", default=",".join(USED))
    parser.add_argument("--seconds", default="60", help="time budget of each fit")
    arguments = parser.parse_args()
    rows: list[list[Any]] = []
    for name in arguments.datasets.split(","):
        folder = arguments.cache / "columns" / name
        learnt, judged = _written(arguments.data_dir / f"{name}.parquet", folder, is_test=arguments.test)
        runs = Runs(folder, again=arguments.again)
        flags = ("--test-fraction", "0", "--time-budget", f"{arguments.seconds}s")
        held = {
            WITHOUT: runs.hold("without", "fit", str(learnt), *flags),
            WITH: runs.hold("with", "fit", str(learnt), *flags, "--use", USED[name]),
        }
        models = {way: load(one.folder) for way, one in held.items() if one is not None}
        if len(models) < len(held):
            continue
        table = pl.read_parquet(judged)
        truth = table["rating"].to_numpy().astype(np.float64)
        drawn = bootstrap(
            truth,
            {way: model.predict(table.drop("rating")).probabilities for way, model in models.items()},
            models[WITH].scale,
            metrics=("rmse", "mae", "accuracy"),
            groups=copy_groups(table["text"].to_list()),
        )
        rmse = drawn.difference(WITH, WITHOUT)
        for way, model in models.items():
            beside = "–" if way == WITHOUT else signed_span(rmse.difference, (rmse.low, rmse.high))
            kept = "–" if way == WITHOUT else ", ".join(model.used) or "none"
            metrics = [number(drawn.whole[way][metric]) for metric in ("rmse", "mae", "accuracy")]
            rows.append([name, way, kept, *metrics, beside])
    show(
        "Columns beside the text",
        [
            "reviews",
            "what is read",
            "columns that stayed",
            "RMSE",
            "MAE",
            "accuracy",
            "RMSE less that of text (95 % interval)",
        ],
        rows,
        "columns" + ("_test" if arguments.test else ""),
        fits=f"--time-budget {arguments.seconds}s each",
        judged="the test reviews" if arguments.test else "training reviews not learnt from, about 15 %",
    )


def _written(source: Path, folder: Path, *, is_test: bool) -> tuple[Path, Path]:
    """A file to learn from and a file to judge on."""
    if not source.exists():
        raise SystemExit(f"{source} is not there: this benchmark needs it and was not run")
    folder.mkdir(parents=True, exist_ok=True)
    learnt, judged = folder / "learnt.parquet", folder / f"judged{'-test' if is_test else ''}.parquet"
    table = pl.read_parquet(source)
    known = table.filter(pl.col("split") == "train").drop("split")
    drawn = pl.Series([zlib.crc32(text.encode()) % 20 < 3 for text in known["text"]])
    known.filter(~drawn).write_parquet(learnt)
    (table.filter(pl.col("split") == "test").drop("split") if is_test else known.filter(drawn)).write_parquet(judged)
    return learnt, judged


if __name__ == "__main__":
    settled(main)
