"""What the backbone computes in: bfloat16 where the processor multiplies it much faster, float32 elsewhere."""

import time
from functools import cache
from typing import Final

import torch

PRECISIONS: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""Every precision by the name used in the configuration, where "auto" stands for one of them."""

_CLEARLY: Final = 1.5
"""How much faster bfloat16 products must be. 4.4 times were seen where training gained, 0.5 times where it lost."""
_ROUNDS: Final = 20


def choose_precision(name: str) -> str:
    """The name itself, or for "auto" the faster precision of this machine.

    Processors without AMX or AVX-512 BF16 instructions emulate bfloat16, slowly; those with them multiply it up to five times
    as fast as float32, or at half its speed, as a Xeon whose AMX a virtual machine hides. So the instructions are asked for
    first, and then products of both are timed. Weights, gradients and the optimiser stay in float32 (mixed precision,
    Micikevicius et al. 2018; bfloat16 needs no scaling of the loss, Kalamkar et al. 2019).
    """
    if name != "auto":
        return name
    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    # torch 2.13 has no public question for these two.
    has_instructions = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # noqa: SLF001 - see above
    return "bfloat16" if has_instructions and _gain() > _CLEARLY else "float32"


@cache
def _gain() -> float:
    """How much faster products of bfloat16 are than of float32.

    Their best times in alternation are compared, so that a busy machine finds the same.
    """
    pairs = [(torch.ones(1024, 384, dtype=dtype), torch.ones(384, 1536, dtype=dtype)) for dtype in PRECISIONS.values()]
    best = [float("inf")] * len(pairs)
    for _ in range(_ROUNDS):
        for number, (left, right) in enumerate(pairs):
            started = time.perf_counter()
            _ = left @ right
            best[number] = min(best[number], time.perf_counter() - started)
    float32, bfloat16 = best
    return float32 / bfloat16
