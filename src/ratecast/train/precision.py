"""What the backbone computes in: bfloat16 where the processor multiplies it much faster, float32 elsewhere."""

import time
from typing import Final

import torch

PRECISIONS: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""Every precision by the name used in the configuration, where "auto" stands for one of them."""

_WORTH: Final = 1.5  # matrix products have to be so much faster: everything around them gains nothing
_ROWS, _WIDTH, _WIDER = 1024, 384, 1536
_ROUNDS: Final = 5


def choose_precision(name: str) -> str:
    """The name itself, or for "auto" the faster precision of this machine, found by a few matrix products.

    Processors with AMX or AVX-512 BF16 instructions multiply bfloat16 two to five times as fast as float32; those without
    emulate it, slowly. Weights, gradients and the optimiser stay in float32 (mixed precision, Micikevicius et al. 2018;
    bfloat16 needs no scaling of the loss, Kalamkar et al. 2019).
    """
    if name != "auto":
        return name
    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return "bfloat16" if _seconds(torch.float32) > _WORTH * _seconds(torch.bfloat16) else "float32"


def _seconds(dtype: torch.dtype) -> float:
    """Least time of a matrix product with the shape of a small backbone's feed-forward layer."""
    left, right = torch.ones(_ROWS, _WIDTH, dtype=dtype), torch.ones(_WIDTH, _WIDER, dtype=dtype)
    least = float("inf")
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        left @ right
        least = min(least, time.perf_counter() - started)
    return least
