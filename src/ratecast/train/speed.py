"""How fast this machine is with a backbone, measured before the time is shared out."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from ratecast.model.backbone import transformer_layers
from ratecast.model.rater import Rater, batch_tensors
from ratecast.model.session import create_session
from ratecast.text import TextSettings, TokenisedTexts, pad_texts
from ratecast.text.batch import MOST_BATCH_TOKENS
from ratecast.train.checkpointing import is_checkpointed

_SPEED_REVIEWS: Final = 8
_PRODUCT: Final = (1024, 384, 1536)
"""Tokens, width and feed-forward width of the product that ONNX Runtime is timed with: those of MiniLM's layers."""
_PRODUCT_ROUNDS: Final = 20
_GRAPH_SHARE: Final = 0.45
"""Share of that product's speed that an exported graph has in its layers: measured at 0.49 to 0.55 of 500 GFLOP/s (an AMD EPYC
with AVX-512, 28 to 160 tokens a review) and at 0.74 of 145 (AVX2)."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """What a machine does in a second with a backbone.

    Attributes:
        encoding: tokens that pass through all layers without gradients, measured.
        training: tokens that all layers are trained on, measured.
        graph: tokens that the exported graph reads, reckoned from the speed of a product: on the processors and in float32,
            whatever the network is trained on and in.
    """

    encoding: float
    training: float
    graph: float


def measure_speed(rater: Rater, texts: TokenisedTexts, settings: TextSettings) -> Speed:
    """Time a batch through the network, without and with gradients. The network is left as it was.

    Args:
        rater: the network, with all layers to be trained.
        texts: some reviews, at most 8 of which are used.
        settings: how to pad them.
    """
    rows = np.arange(min(len(texts), _SPEED_REVIEWS))
    ids, mask, windows = batch_tensors(pad_texts(texts, rows, settings), next(rater.parameters()).device)
    tokens = ids.numel()
    was_training = rater.training
    rater.train(is_checkpointed(rater))  # else in the mode without dropout, which draws no random numbers

    def encode() -> None:
        with torch.inference_mode():
            rater.vectors(ids, mask, windows)[0, 0].item()

    def train() -> None:
        loss = rater.vectors(ids, mask, windows).square().mean()
        loss.backward()  # type: ignore[no-untyped-call] # torch does not annotate it
        loss.item()  # a GPU has done its work only then
        rater.zero_grad()

    encoding, training = tokens / least_seconds(encode), tokens / least_seconds(train)
    rater.train(was_training)
    return Speed(encoding=encoding, training=training, graph=_graph_speed(rater, texts, settings))


def least_seconds(work: Callable[[], None], rounds: int = 3) -> float:
    """Seconds that some work takes at least, of all rounds but the first."""
    seconds = []
    for _ in range(rounds):  # the first one warms up
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return max(min(seconds[1:]), 1e-6)


def sample_rows(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of reviews whose lengths stand for all: evenly spaced in the order of length, the longest among them.

    They are no more than may go through the network at once.
    """
    order = np.argsort(lengths, kind="stable")
    count = min(_SPEED_REVIEWS, len(order), max(1, MOST_BATCH_TOKENS // int(lengths.max())))
    return order[np.linspace(len(order) - 1, 0, count)[::-1].astype(np.int64)]


def weight_count(module: nn.Module) -> int:
    """Weights of a network, those in four bits counted as what they stand for."""
    count = 0
    for part in module.modules():
        own = {name: weight.numel() for name, weight in part.named_parameters(recurse=False)}
        if isinstance(part, nn.Linear):
            own["weight"] = part.in_features * part.out_features
        count += sum(own.values())
    return count


def _graph_speed(rater: Rater, texts: TokenisedTexts, settings: TextSettings) -> float:
    """Tokens a second of the graph that the network will be exported as.

    It is reckoned from its products, since exporting the network to find out takes seconds: a multiplication and an addition
    for each weight of the layers and token, and twice as many for each other token that attention weighs it against, and
    each of its values.
    """
    layers = transformer_layers(rater.backbone)
    attended = np.minimum(texts.lengths, settings.max_tokens).astype(np.float64)
    others = float(np.square(attended).sum() / attended.sum())
    attention = 4 * others * int(rater.backbone.config.hidden_size) * len(layers)  # type: ignore[union-attr, arg-type]
    operations = 2 * sum(map(weight_count, layers)) + attention
    return float(_GRAPH_SHARE * _product_speed() / operations)


@cache
def _product_speed() -> float:
    """Operations a second of ONNX Runtime in a matrix product, which it may compute twice as fast as torch."""
    rows, inner, outer = _PRODUCT
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["left", "right"], ["product"])],
        "product",
        [helper.make_tensor_value_info("left", TensorProto.FLOAT, [rows, inner])],
        [helper.make_tensor_value_info("product", TensorProto.FLOAT, [rows, outer])],
        [numpy_helper.from_array(np.ones((inner, outer), np.float32), "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = create_session(model.SerializeToString(), torch.get_num_threads())
    left = {"left": np.ones((rows, inner), np.float32)}
    return 2 * rows * inner * outer / least_seconds(lambda: session.run(None, left), _PRODUCT_ROUNDS)
