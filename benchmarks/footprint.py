"""Size of the base install in a fresh environment, and the time to `import ratecast` and to a first prediction.

python benchmarks/footprint.py --model model
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from setting import show

ROOT = Path(__file__).parent.parent


def megabytes(folder: Path) -> float:
    """Size of all files below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def import_ms(python: Path) -> float:
    """Time of one `import ratecast` in a fresh process, without the start of Python."""
    code = "import time; s = time.perf_counter(); import ratecast; print(1000 * (time.perf_counter() - s))"
    return float(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout)


def first_prediction_seconds(python: Path, model: Path) -> float:
    """Time from the start of a fresh process to its end, in which a model is loaded and rates a review."""
    code = "import sys, ratecast; print(ratecast.load(sys.argv[1]).predict(['Great phone, poor battery']).rating)"
    started = time.perf_counter()
    subprocess.run([python, "-c", code, str(model.resolve())], capture_output=True, check=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="model folder that a fresh process loads")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = Path(folder) / "bin" / "python"
        site = next(Path(folder).glob("lib/python*/site-packages"))
        before = megabytes(site)
        install = ["-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt"), str(ROOT)]
        subprocess.run([python, *install], check=True)
        size = megabytes(site) - before
        parts = sorted(((megabytes(path), path.name) for path in site.iterdir() if path.is_dir()), reverse=True)[:8]
        milliseconds = statistics.median(import_ms(python) for _ in range(10))
        started = time.perf_counter()
        subprocess.run([Path(folder) / "bin" / "ratecast", "--help"], capture_output=True, check=True)
        help_seconds = time.perf_counter() - started
        cold = [first_prediction_seconds(python, arguments.model) for _ in range(10)] if arguments.model else []
    rows: list[list[Any]] = [
        ["base install with all it needs, MB", size],
        ["import ratecast, median ms", milliseconds],
        ["ratecast --help, s", help_seconds],
    ]
    if cold:
        rows.append(["from the start of Python to a first prediction, median s", statistics.median(cold)])
    largest = ", ".join(f"{name} {mega:.0f}" for mega, name in parts)
    show("Footprint", ["what", "measured"], rows, "footprint", largest_folders_mb=largest)


if __name__ == "__main__":
    main()
