"""Memory of training SmolLM2-135M: all of its weights, LoRA, and LoRA over four-bit weights, each in a process of its own."""

import argparse
import ctypes
import gc
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from setting import show

METHODS: dict[str, dict[str, object]] = {
    "full, embeddings too": {"train_embeddings": True},
    "full, embeddings frozen (the default)": {},
    "LoRA": {"tune": "lora"},
    "LoRA over four-bit weights": {"tune": "lora", "base_bits": 4},
}


def resident_mb(key: str) -> float:
    """Resident memory of this process now (VmRSS) or at its highest (VmHWM), in MB."""
    found = re.search(rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found.group(1)) / 1e3 if found else float("nan")


def start_again() -> None:
    """Give memory that is free back to the system, and count the highest resident memory from here on."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def megabytes(tensors: Iterable[Any]) -> float:
    """Size of some tensors, each storage once."""
    return float(sum({tensor.data_ptr(): tensor.nbytes for tensor in tensors}.values())) / 1e6


def measure(method: str, backbone: str, reviews: int, tokens: int, *, checkpointing: bool) -> dict[str, float]:
    """Train two steps on a fixed batch of random tokens, through the library's own network and optimiser."""
    import numpy as np
    import torch

    from ratecast.config import FitConfig
    from ratecast.model.adapters import attach, create_method
    from ratecast.model.backbone import load_backbone, set_trained
    from ratecast.model.heads import create_head
    from ratecast.model.rater import Rater
    from ratecast.scale import RatingScale
    from ratecast.train.checkpointing import set_checkpointing
    from ratecast.train.optim import create_optimizer, with_learning_rate

    torch.set_num_threads(2)
    torch.manual_seed(0)
    start_again()
    libraries = resident_mb("VmRSS")
    config = with_learning_rate(FitConfig().with_values(backbone=backbone, max_tokens=tokens, **METHODS[method]))
    loaded, chosen = load_backbone(config.backbone), create_method(config.adapter)
    model: Any = loaded.model
    if chosen is None:
        set_trained(model, trained_layers=None, train_embeddings=config.backbone.train_embeddings)
    else:
        model = attach(loaded, chosen).model
    set_checkpointing(model, is_on=checkpointing)
    scale = RatingScale.parse("1..5")
    rater = Rater(model, create_head("mixed", loaded.width, scale, np.array(scale.levels), 0.1), pooling=loaded.pooling).train()
    optimizer = create_optimizer(rater, config.train)
    ids = torch.randint(10, 40_000, (reviews, tokens))
    mask, ratings = torch.ones_like(ids), torch.full((reviews,), 3.0, dtype=torch.float64)
    start_again()
    started = time.perf_counter()
    gradients = 0.0
    for _ in range(2):
        torch.autograd.backward(rater.head.loss(rater(ids, mask), ratings).mean())
        gradients = megabytes(weight.grad for weight in rater.parameters() if weight.grad is not None)
        optimizer.step()
        optimizer.zero_grad()
    seconds = (time.perf_counter() - started) / 2
    weights = megabytes([*rater.parameters(), *rater.buffers()])
    moments = megabytes(value for state in optimizer.state.values() for value in state.values())
    return {
        "weights": weights,
        "gradients": gradients,
        "optimiser": moments,
        "together": weights + gradients + moments,
        "peak": resident_mb("VmHWM") - libraries,
        "seconds": seconds,
    }


def in_own_process(*arguments: str) -> dict[str, float]:
    """The same, in a process that has done nothing else."""
    command = [sys.executable, __file__, *arguments]
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"MALLOC_ARENA_MAX": "1"})
    measured: dict[str, float] = json.loads(found.stdout.splitlines()[-1])
    return measured


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reviews", type=int, default=4, help="reviews in the batch")
    parser.add_argument("--tokens", type=int, default=128, help="tokens of each")
    parser.add_argument("--method", choices=METHODS, help="print one measurement as JSON")
    parser.add_argument("--checkpointing", action="store_true", help="that with gradient checkpointing")
    parser.add_argument("--backbone", default="SmolLM2-135M-Instruct", help="name or folder of the backbone")
    asked = parser.parse_args()
    if asked.method:
        print(json.dumps(measure(asked.method, asked.backbone, asked.reviews, asked.tokens, checkpointing=asked.checkpointing)))
        return
    from ratecast.model.backbone import load_pretrained

    rows: list[list[Any]] = []
    with tempfile.TemporaryDirectory() as folder:  # safetensors, which load without the memory that unpacking a GGUF file takes
        loaded = load_pretrained(asked.backbone)
        loaded.model.save_pretrained(folder)
        loaded.tokenizer.save_pretrained(folder)
        del loaded
        sizes = ["--reviews", str(asked.reviews), "--tokens", str(asked.tokens), "--backbone", folder]
        for method in METHODS:
            plain, spared = (in_own_process("--method", method, *sizes, *flag) for flag in ([], ["--checkpointing"]))
            parts = [round(plain[key]) for key in ("weights", "gradients", "optimiser", "together")]
            peaks = [round(plain["peak"]), round(spared["peak"])]
            rows.append([method, *parts, *peaks, plain["seconds"], spared["seconds"]])
    full, lora = rows[1], rows[2]
    show(
        "Memory of training SmolLM2-135M with AdamW in float32, in MB",
        [
            *("method", "weights", "gradients", "optimiser", "together", "peak", "peak with checkpointing"),
            *("a step, s", "a step with checkpointing, s"),
        ],
        rows,
        "memory",
        batch=f"{asked.reviews} reviews of {asked.tokens} random tokens",
        peak="highest resident memory in two steps, without that of the libraries",
        lora_share=f"LoRA takes {lora[4] / full[4]:.0%} of full fine-tuning together, {lora[5] / full[5]:.0%} at the peak",
    )


if __name__ == "__main__":
    main()
