"""How fast do model folders of ratecast and its peers predict, how much memory and disk do they take, and what is it worth?

    python benchmarks/inference/race.py --data-dir ../shared/data --models exact=model small=small-model

Each engine is a process that gets ready and then waits. In every round each of them predicts all reviews, and then some reviews
singly, one engine after the other, so that what else the machine does meets all of them. Those that take a backbone take
MiniLM, cut at as many tokens as the first model folder; where their output layer is untrained, only their speed counts.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "accuracy"))

import numpy as np
import onnx
import onnxruntime
from environment import InstallError, Peer, without_places
from setting import ceiling_gflops, show
from task import Dataset, find

from ratecast.model.graph import GRAPH_FILE
from ratecast.model.store import read_manifest
from ratecast.processors import available_processors

HERE = Path(__file__).resolve().parent
PEERS = (
    *("pipeline", "pipeline-batched", "crossencoder", "crossencoder-onnx", "crossencoder-openvino"),
    *("setfit", "tfidf-logistic", "fasttext"),
)
CACHE = Path("~/.cache/ratecast-benchmarks")
HEADER = [
    "engine",
    "reviews a second",
    "one review, median ms",
    "p99 ms",
    "peak MB",
    "size MB",
    "RMSE",
    "share of ceiling",
    "note",
]


@dataclass
class Engine:
    """A running engine, and what was measured of it.

    Attributes:
        name: what the table calls it.
        process: it.
        size_mb: what it loads from disk.
        note: what it says of itself.
        speeds: reviews a second of each round.
        single_ms: time of each single review.
        peak_mb: most resident memory so far.
        ratings: what it predicted; None if that says nothing.
        mflop_per_token: products of its constant matrices, where they are known.
    """

    name: str
    process: "subprocess.Popen[str]"
    size_mb: float = 0.0
    note: str = ""
    speeds: list[float] = field(default_factory=list)
    single_ms: list[float] = field(default_factory=list)
    peak_mb: float = 0.0
    ratings: list[float] | None = None
    mflop_per_token: float | None = None

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.answer()
        self.peak_mb = max(self.peak_mb, answer["peak_mb"])
        return answer

    def answer(self) -> dict[str, Any]:
        """The next line that it writes."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with status {self.process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found


def main() -> None:
    """Hold the races, one a data set."""
    arguments = _arguments()
    models = dict(pair.split("=", 1) for pair in arguments.models)
    for path in find(arguments.data_dir, arguments.datasets):
        dataset = Dataset.read(path)
        with tempfile.TemporaryDirectory() as name:
            parts = dataset.write_parts(Path(name), None, 0)
            race(dataset, parts, {key: Path(folder) for key, folder in models.items()}, arguments)


def race(dataset: Dataset, parts: tuple[Path, Path], models: dict[str, Path], arguments: argparse.Namespace) -> None:
    """Start all engines, hold the rounds, and write the table."""
    ratings = dataset.ratings[dataset.is_test][: arguments.reviews]
    tokens = arguments.max_tokens or _max_tokens(next(iter(models.values()), None))
    engines, failed = _start(models, parts, tokens, arguments)
    ceilings, products = [], []
    try:
        for round_number in range(arguments.rounds):
            print(f"{dataset.name}: round {round_number + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
            ceilings.append(ceiling_gflops())
            products.append(runtime_ceiling_gflops())
            for engine in engines:
                answer = engine.ask(rows=[0, len(ratings)])
                engine.speeds.append(len(ratings) / answer["seconds"])
                engine.ratings = answer["ratings"]
        for row in np.linspace(0, len(ratings) - 1, arguments.single).astype(int).tolist():
            for engine in engines:
                engine.single_ms.append(1000 * engine.ask(row=row)["seconds"])
    finally:
        for engine in engines:
            engine.process.kill()
    lengths = _lengths(dataset, len(ratings), tokens)
    ceiling = max(statistics.median(ceilings), statistics.median(products))
    rows = [_row(engine, ratings, float(lengths.mean()), ceiling) for engine in engines]
    rows += [[name, *["–"] * (len(HEADER) - 2), reason] for name, reason in failed.items()]
    show(
        f"Inference on {dataset.name}",
        HEADER,
        rows,
        f"inference-{dataset.name}",
        reviews=f"{len(ratings)} test reviews, {lengths.mean():.0f} tokens on average, cut at {tokens}",
        rounds=arguments.rounds,
        single_reviews=arguments.single,
        ceiling_torch=f"{statistics.median(ceilings):.0f} GFLOP/s",
        ceiling_onnx_runtime=f"{statistics.median(products):.0f} GFLOP/s; the share is that of the larger of both",
    )


def _start(
    models: dict[str, Path], parts: tuple[Path, Path], tokens: int, arguments: argparse.Namespace
) -> tuple[list[Engine], dict[str, str]]:
    """Engines that are ready, and why the others are not."""
    wanted: list[tuple[str, str, Path | None]] = [(f"ratecast {name}", "ratecast", folder) for name, folder in models.items()]
    wanted += [(name, name, None) for name in arguments.peers]
    engines, failed = [], {}
    for title, script, folder in wanted:
        started = time.monotonic()
        try:
            engine = _engine(title, script, [str(part) for part in parts] + [str(tokens)], folder, arguments.cache)
            engine.ask(rows=[0, 32])  # what is done once is not timed
        except (InstallError, RuntimeError) as error:
            failed[title] = without_places(str(error))
            print(f"{title}: {failed[title]}", file=sys.stderr, flush=True)
            continue
        print(f"{title}: ready after {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
        engines.append(engine)
    return engines, failed


def _engine(title: str, script: str, given: list[str], folder: Path | None, cache: Path) -> Engine:
    peer = Peer(script, HERE / "engines")
    python = peer.python(cache.expanduser().resolve() / "environments")
    paths = [str(HERE), str(HERE.parent / "accuracy"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "HF_HUB_OFFLINE": "1"}
    environment["OMP_NUM_THREADS"] = str(available_processors())
    command = [str(python), "-m", peer.module, *given, *([] if folder is None else [str(folder.resolve())])]
    log = (Path(tempfile.gettempdir()) / f"ratecast-race-{script}.log").open("w")
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
    engine = Engine(title, process)
    ready = engine.answer()
    engine.size_mb, engine.note = ready["size_mb"], ready["note"]
    if folder is not None and (folder / GRAPH_FILE).exists():
        engine.mflop_per_token = mflop_per_token(folder / GRAPH_FILE)
    return engine


def _row(engine: Engine, ratings: np.ndarray, tokens: float, ceiling: float) -> list[Any]:
    speed, share, rmse = statistics.median(engine.speeds), "–", "–"
    if engine.ratings is not None:
        rmse = f"{np.sqrt(np.mean((np.array(engine.ratings) - ratings) ** 2)):.3f}"
    if engine.mflop_per_token is not None:
        share = f"{speed * tokens * engine.mflop_per_token / 1e3 / ceiling:.0%}"
    single = np.percentile(engine.single_ms, [50, 99])
    return [engine.name, speed, *single.tolist(), f"{engine.peak_mb:.0f}", f"{engine.size_mb:.1f}", rmse, share, engine.note]


def mflop_per_token(path: Path) -> float:
    """Products with the constant matrices of a graph for one token; those of attention, of two variables, are not counted."""
    graph = onnx.load(path).graph
    sizes = {weight.name: int(np.prod(weight.dims)) for weight in graph.initializer if len(weight.dims) == 2}
    kinds = ("MatMul", "MatMulInteger")
    return sum(2 * sizes.get(node.input[1], 0) for node in graph.node if node.op_type in kinds) / 1e6


def runtime_ceiling_gflops() -> float:
    """Like `ceiling_gflops`, of a product in ONNX Runtime: on some processors torch's is far slower."""
    value, helper = onnx.TensorProto.FLOAT, onnx.helper
    weight = onnx.numpy_helper.from_array(np.random.default_rng(0).normal(size=(384, 1536)).astype(np.float32), "weight")
    ends = [helper.make_tensor_value_info(name, value, [2048, width]) for name, width in (("left", 384), ("out", 1536))]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["left", "weight"], ["out"])], "product", ends[:1], ends[1:], [weight]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_processors()
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    left, best = np.ones((2048, 384), dtype=np.float32), 0.0
    for _ in range(8):
        started = time.perf_counter()
        for _ in range(20):
            session.run(None, {"left": left})
        best = max(best, 20 * 2 * 2048 * 384 * 1536 / (time.perf_counter() - started) / 1e9)
    return best


def _max_tokens(folder: Path | None) -> int:
    if folder is not None:
        for component in read_manifest(folder).components:
            if component.kind == "onnx":
                return int(component.settings["text"]["max_tokens"])
    return 128


def _lengths(dataset: Dataset, count: int, tokens: int) -> np.ndarray:
    """Tokens of the first test reviews, cut."""
    from ratecast.config import BackboneConfig
    from ratecast.model.backbone import load_backbone

    encoder = load_backbone(BackboneConfig(max_tokens=tokens)).encoder
    return encoder.encode(dataset.texts[dataset.is_test][:count].tolist()).lengths


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder that holds the data sets as Parquet files")
    parser.add_argument("--datasets", nargs="*", default=["yelp_10k", "zoom_googleplay"])
    parser.add_argument("--models", nargs="*", default=[], help="model folders of ratecast, each as name=folder")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), help=f"of {', '.join(PEERS)}")
    parser.add_argument("--reviews", type=int, default=1000, help="first so many of the test reviews")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--single", type=int, default=100, help="reviews that are predicted singly")
    parser.add_argument("--max-tokens", type=int, help="at which peers cut; by default as the first model folder does")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where environments of peers are kept")
    return parser.parse_args()


if __name__ == "__main__":
    main()
