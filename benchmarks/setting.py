"""What the benchmarks share: the machine, the Yelp reviews, and where results go."""

import argparse
import json
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import arro3.io
import numpy as np

from ratecast.records import Reviews, strings

RESULTS = Path(__file__).parent / "results"
FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "amx_tile", "avx512_bf16")


def machine() -> dict[str, Any]:
    """Processor, the flags that matter for matrix products, cores and the measured ceiling."""
    facts: dict[str, Any] = {"processor": platform.processor() or platform.machine(), "flags": []}
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = dict(line.split(":", 1) for line in information.read_text().splitlines() if ":" in line)
        lines = {key.strip(): value.strip() for key, value in lines.items()}
        facts["processor"] = lines.get("model name", facts["processor"])
        facts["flags"] = [flag for flag in FLAGS if flag in lines.get("flags", "").split()]
    import torch

    facts |= {"threads": torch.get_num_threads(), "torch": torch.__version__, "ceiling_gflops": round(ceiling_gflops(), 1)}
    return facts


def ceiling_gflops(precision: Any = None) -> float:
    """Best speed of a matrix product of the shapes of MiniLM's feed-forward layers, in GFLOP/s.

    Args:
        precision: what torch calls it; float32 by default.
    """
    import torch

    left, right = (torch.randn(shape, dtype=precision or torch.float32) for shape in ((2048, 384), (384, 1536)))
    best = 0.0
    for _ in range(8):
        started = time.perf_counter()
        for _ in range(20):
            left @ right
        best = max(best, 20 * 2 * 2048 * 384 * 1536 / (time.perf_counter() - started) / 1e9)
    return best


def yelp_parser(description: str) -> argparse.ArgumentParser:
    """Parser with the folder of the Yelp reviews."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder that holds yelp_10k.parquet")
    return parser


def yelp(folder: Path, part: str) -> Reviews:
    """The Yelp reviews of one part, "train" or "test"."""
    return dataset(folder, "yelp_10k", part)


def dataset(folder: Path, name: str, part: str) -> Reviews:
    """The reviews of one part of a data set, "train" or "test"."""
    path = folder / f"{name}.parquet"
    if not path.exists():
        sys.exit(f"{path} is not there: this benchmark needs its reviews and was not run")
    table = arro3.io.read_parquet(path).read_all()
    chosen = np.array(table["split"].to_pylist()) == part
    texts, ratings = strings(table["text"].to_pylist()), np.array(table["rating"].to_pylist(), dtype=np.float64)
    return Reviews(text=texts[chosen], rating=ratings[chosen])


def markdown(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Lines of a table."""
    cells = [[f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(row) + " |" for row in cells]


def listed(facts: Mapping[str, Any]) -> list[str]:
    """Lines that list facts."""
    return [f"- {key.replace('_', ' ')}: {value}" for key, value in facts.items()]


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]], name: str, **facts: Any) -> None:
    """Print a table and write it with the machine's facts to ``results/<name>.json`` and ``.md``."""
    described = machine()
    text = "\n".join([f"# {title}", "", *markdown(header, rows), "", *listed(facts | described)]) + "\n"
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text)
    content: dict[str, Any] = {"title": title, "header": list(header), "rows": [list(row) for row in rows]}
    content |= {"facts": facts, "machine": described}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1, default=str) + "\n")
