"""Fitting with a prompt, from a table to a folder."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ratecast
from ratecast.model.adapters import load_adapter
from ratecast.model.rater import torch_probabilities
from ratecast.pretraining import pretrain_texts
from ratecast.progress import SilentReporter

Reviews = tuple[list[str], list[float]]
WORDS = "awful,bad,fine,good,great"


class Listener(SilentReporter):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def tell(self, message: str) -> None:
        self.told.append(message)


@pytest.fixture
def fitted(tiny_backbone: Path, tiny_reviews: Reviews, tmp_path: Path) -> Callable[..., tuple[ratecast.Predictor, Listener]]:
    def fit(**settings: object) -> tuple[ratecast.Predictor, Listener]:
        listener = Listener()
        texts, ratings = tiny_reviews
        common = {"backbone": str(tiny_backbone), "max_tokens": 64, "steps": 4, "threads": 1, "blend": False}
        chosen = ratecast.FitConfig().with_values(**(common | {"prompt": "default", "verbaliser": WORDS} | settings))
        model = ratecast.fit(texts=texts, ratings=ratings, out=tmp_path / "model", config=chosen, reporter=listener)
        return model, listener

    return fit


@pytest.mark.slow
def test_a_fit_with_a_prompt_that_pretraining_has_taught(
    fitted: Callable[..., tuple[ratecast.Predictor, Listener]], tiny_backbone: Path, tiny_reviews: Reviews, tmp_path: Path
) -> None:
    settings = ratecast.PretrainConfig(backbone=str(tiny_backbone), steps=2, block_tokens=32, batch_tokens=256, threads=1)
    taught = tmp_path / "taught"
    pretrain_texts(tiny_reviews[0], out=taught, config=settings, resume=False, reporter=SilentReporter())
    model, listener = fitted(backbone=str(taught))
    told = "\n".join(listener.told)
    assert "prompt: '{text} All in all, it was [MASK].' with the words awful, bad, fine, good, great" in told
    assert "warning" not in told  # the pretrained folder has an output layer, which is taken
    assert any("were read in the prompt" in note for note in model.notes())
    files = [name for part in model.manifest.components if part.kind == "weights" for name in part.files]
    assert "model.safetensors" in files
    assert model.predict(tiny_reviews[0][:3]).probabilities.shape == (3, 5)


@pytest.mark.slow
def test_an_adapter_with_a_prompt_is_loaded_again(
    fitted: Callable[..., tuple[ratecast.Predictor, Listener]], tiny_reviews: Reviews, tiny_language: Path
) -> None:
    model, _ = fitted(tune="lora", backbone=str(tiny_language))
    loaded = load_adapter(model.folder)
    assert loaded.rater.transform is not None
    texts = tiny_reviews[0][:5]
    found = torch_probabilities(loaded.rater, loaded.encoder, texts)
    np.testing.assert_allclose(model.chain.members(texts)["backbone"], found, atol=1e-4)


@pytest.mark.slow
def test_a_backbone_without_output_layer_is_warned_of(fitted: Callable[..., tuple[ratecast.Predictor, Listener]]) -> None:
    model, listener = fitted()
    assert any(line.startswith("warning: the backbone has no output layer") for line in listener.told)
    assert any(note.startswith("Warning: the backbone has no output layer") for note in model.notes())
