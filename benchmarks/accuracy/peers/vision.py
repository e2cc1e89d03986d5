"""Lets torchvision be imported beside a CPU build of PyTorch, which AutoGluon needs even where no image is near.

The compiled part of torchvision's package for x86-64 is linked to CUDA and is not loaded then; its import fails since the two
operators that it describes are unknown. Declared without a body they do no harm: nothing here calls them.
"""

import torch

_LIBRARY = []
"""Holds the declaration, which ends with the object."""


def declare_operators() -> None:
    """Import torchvision, with its operators declared where they are missing."""
    try:
        import torchvision
    except RuntimeError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _LIBRARY.append(library)
        import torchvision  # noqa: F401 - only whether it can be imported
