"""Every architecture, exported with every kind of added weights, and read again."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ratecast.model.adapters import Adapter
from ratecast.model.adapters.families import FAMILIES
from ratecast.model.adapters.folder import AdapterFolder, rebuild
from ratecast.model.backbone import Backbone
from ratecast.model.export import export_rater
from ratecast.model.graph import OnnxGraph
from ratecast.model.rater import Rater, torch_probabilities
from ratecast.scale import RatingScale
from ratecast.text import TextEncoder

SCALE = RatingScale.parse("1..5")
TEXTS = ["good food", "", "the " * 80, "bad awful room", "never again with the staff of the hotel"]
NetworkOf = Callable[..., tuple[Rater, TextEncoder, Adapter]]
KINDS = {
    "lora": FAMILIES,
    "prompt": FAMILIES,
    "ia3": ("llama",),
    "prefix": ("gpt2", "qwen2"),
    "bottleneck": ("gpt2", "deberta-v2"),
}
"""The kinds that the graph shows: merged weights, and virtual tokens. AdaLoRA is merged like LoRA, and P-tuning gives the same
graph as prompt tuning; test_folder.py has all of them on BERT, and test_every_head.py every pair without its graph."""
PAIRS = [(name, family) for name, families in KINDS.items() for family in families if family != "bert"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "family"), PAIRS)
def test_graph_and_adapter_predict_what_torch_did(
    name: str, family: str, network_of: NetworkOf, base_of: Callable[[str], Backbone], tmp_path: Path
) -> None:
    rater, encoder, adapter = network_of(family, tune=name, pooling="last")
    expected = torch_probabilities(rater, encoder, TEXTS)
    graph, stored = export_rater(rater, encoder, tmp_path, TEXTS, adapter=adapter)
    np.testing.assert_allclose(OnnxGraph.load(tmp_path, graph, 5).probabilities(TEXTS), expected, atol=1e-4)
    folder = AdapterFolder(folder=tmp_path, scale=SCALE, component=stored, text=encoder.settings)
    found = rebuild(folder, base_of(family))
    np.testing.assert_allclose(torch_probabilities(found.rater, found.encoder, TEXTS), expected, atol=1e-5)
