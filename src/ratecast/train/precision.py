"""What the backbone computes in: bfloat16 where the processor multiplies it much faster, float32 elsewhere."""

from typing import Final

import torch

PRECISIONS: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""Every precision by the name used in the configuration, where "auto" stands for one of them."""


def choose_precision(name: str) -> str:
    """The name itself, or for "auto" the faster precision of this machine.

    Processors with AMX or AVX-512 BF16 instructions multiply bfloat16 two to five times as fast as float32; those without
    emulate it, slowly. The processor is asked and not timed, so that a busy machine takes the same. Weights, gradients and the
    optimiser stay in float32 (mixed precision, Micikevicius et al. 2018; bfloat16 needs no scaling of the loss, Kalamkar et al.
    2019).
    """
    if name != "auto":
        return name
    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    # torch 2.13 has no public question for these two.
    has_instructions = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # noqa: SLF001
    return "bfloat16" if has_instructions else "float32"
