"""Decoders in GGUF files through fine-tuning: a tiny one, and SmolLM2 itself."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ratecast.config import FitConfig
from ratecast.data.sample import load_sample
from ratecast.errors import BackboneError
from ratecast.model.adapters import load_adapter, save_adapter
from ratecast.model.adapters.folder import ADAPTER_FILE
from ratecast.model.export import export_rater
from ratecast.model.graph import TOKENIZER_FILE, OnnxGraph, graph_settings
from ratecast.model.rater import torch_probabilities
from ratecast.model.store import Manifest, create_component, read_manifest, write_manifest
from ratecast.progress import SilentReporter
from ratecast.records import Reviews
from ratecast.scale import RatingScale
from ratecast.train.finetune import finetune
from ratecast.train.finetuned import FineTuned
from ratecast.train.loop import Run

pytestmark = pytest.mark.slow
TEXTS = ["the food is good", "", "awful " * 60, "bad staff, 3/10!"]
LOAD = """
import json, sys
from ratecast.model.adapters import load_adapter, save_adapter
from ratecast.model.rater import torch_probabilities
found = load_adapter(sys.argv[1])
print(json.dumps(torch_probabilities(found.rater, found.encoder, json.loads(sys.argv[2])).tolist()))
"""


def shaken(tuned: FineTuned) -> FineTuned:
    """With the added weights further from where they start than a few steps bring them."""
    with torch.no_grad():
        for weight in tuned.rater.backbone.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight) * 0.02)
    return tuned


def written(tuned: FineTuned, folder: Path, scale: RatingScale, texts: list[str]) -> Any:
    """Write a model folder; returns what torch predicted before. The graph is compared with that while it is written."""
    folder.mkdir()
    expected = torch_probabilities(tuned.rater.eval(), tuned.backbone.encoder, texts)
    parts = export_rater(tuned.rater, tuned.backbone.encoder, folder, texts, adapter=tuned.adapter)
    write_manifest(folder, Manifest(scale=scale, components=parts, chain=("graph",)))
    return expected


@pytest.mark.parametrize("pooling", [None, "mean"])
def test_adapter_over_a_gguf_file(
    pooling: str | None, tiny_gguf: Any, run_of: Callable[..., Run], tuned_by: Callable[[Run], FineTuned], tmp_path: Path
) -> None:
    tuned = shaken(tuned_by(run_of(backbone=str(tiny_gguf.path), tune="lora", pooling=pooling)))
    assert tuned.config.backbone.pooling == (pooling or "last")
    expected = written(tuned, tmp_path / "model", RatingScale.parse("1..5"), TEXTS)
    assert np.isfinite(expected).all()
    graph = OnnxGraph.load(tmp_path / "model", read_manifest(tmp_path / "model").components[0], 5)
    alone = np.concatenate([graph.probabilities([text]) for text in TEXTS])
    np.testing.assert_allclose(alone, expected, atol=1e-4)
    found = load_adapter(tmp_path / "model")
    np.testing.assert_allclose(torch_probabilities(found.rater, found.encoder, TEXTS), expected, atol=1e-5)
    other = tmp_path / "other.gguf"
    content = bytearray(tiny_gguf.path.read_bytes())
    content[-1] ^= 1  # of the last weight
    other.write_bytes(content)
    with pytest.raises(BackboneError, match="give the backbone that it was trained on"):
        load_adapter(tmp_path / "model", backbone=str(other))


def test_smollm2_learns_is_saved_and_predicts_the_same_elsewhere(tmp_path: Path) -> None:
    scale, sample = RatingScale.parse("1..10"), load_sample()
    rows = np.random.default_rng(0).permutation(len(sample))
    chosen: dict[str, Reviews] = {"train": sample.take(rows[:24]), "validation": sample.take(rows[24:36])}
    config = FitConfig().with_values(
        backbone="SmolLM2-135M-Instruct", tune="lora", max_tokens=24, batch_reviews=4, steps=4, precision="float32"
    )
    folder, reporter = tmp_path / "run", SilentReporter()
    run = Run(config=config, folder=folder, fingerprint="", resume=False, reporter=reporter, log_folder=tmp_path / "logs")
    tuned = finetune(chosen, scale, run, time_left=None, reviews_after=0, judged="validation")
    assert tuned is not None
    losses = [point["training_loss"] for point in tuned.result.curve]
    assert np.isfinite(losses[-1])
    texts = [*TEXTS, *chosen["validation"].joined()[:2]]
    encoder, model = tuned.backbone.encoder, tmp_path / "model"
    expected = torch_probabilities(shaken(tuned).rater.eval(), encoder, texts)
    assert tuned.adapter is not None
    model.mkdir()
    encoder.save(model / TOKENIZER_FILE)
    stored = save_adapter(tuned.rater, tuned.adapter, model)
    # Without the graph itself, 540 MB that take minutes: it is written as that of the tiny decoder above is.
    graph = create_component(model, "graph", "onnx", [TOKENIZER_FILE], **graph_settings(encoder))
    write_manifest(model, Manifest(scale=scale, components=(graph, stored), chain=(graph.name,)))
    assert (model / ADAPTER_FILE).stat().st_size < 4e6
    del tuned
    command = [sys.executable, "-c", LOAD, str(model), json.dumps(texts)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    np.testing.assert_allclose(json.loads(found.stdout), expected, atol=1e-5)
    assert stored.settings["base"] == "SmolLM2-135M-Instruct"
