"""Top layers that start anew, in loaded models of several families."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, BertConfig, GPT2Config, LlamaConfig, ModernBertConfig

from ratecast.config import BackboneConfig
from ratecast.errors import ConfigError
from ratecast.model.backbone import load_backbone
from ratecast.train.reinitialise import reinitialise, top_layers

SIZE = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 128, "vocab_size": 100}
CONFIGS = {
    "bert": BertConfig(**SIZE, initializer_range=0.05),
    "modernbert": ModernBertConfig(**SIZE, pad_token_id=1, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3),
    "llama": LlamaConfig(**SIZE, initializer_range=0.05),
    "gpt2": GPT2Config(n_embd=64, n_layer=3, n_head=2, vocab_size=100),
}


def loaded(config: Any, folder: Path) -> torch.nn.Module:
    """A model as it comes from a folder, with weights that no architecture starts from."""
    model = AutoModel.from_config(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.fill_(3.0)
    model.save_pretrained(folder)
    found: torch.nn.Module = AutoModel.from_pretrained(folder)
    return found


@pytest.mark.parametrize("family", CONFIGS)
def test_only_top_layers_change_and_are_as_in_a_new_model(family: str, tmp_path: Path) -> None:
    model = loaded(CONFIGS[family], tmp_path)
    reinitialise(model, top_layers(model, 2), seed=0)
    new = dict(AutoModel.from_config(CONFIGS[family]).named_parameters())
    for name, weight in model.named_parameters():
        if not any(f".{layer}." in f".{name}" for layer in (1, 2)):
            assert bool((weight == 3).all()), name
            continue
        assert float(weight.detach().std()) == pytest.approx(float(new[name].detach().std()), rel=0.15, abs=1e-8), name
        assert float(weight.detach().mean()) == pytest.approx(float(new[name].detach().mean()), abs=0.01), name


def test_seeded_without_touching_other_random_numbers(tiny_backbone: Path) -> None:
    def start(seed: int) -> torch.Tensor:
        model = load_backbone(BackboneConfig(backbone=str(tiny_backbone), max_tokens=16)).model
        reinitialise(model, top_layers(model, 1), seed)
        return torch.cat([weight.detach().flatten() for weight in model.parameters()])

    state = torch.get_rng_state()
    first = start(1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, start(1))
    assert not torch.equal(first, start(2))


def test_more_layers_than_there_are(tiny_backbone: Path) -> None:
    model = load_backbone(BackboneConfig(backbone=str(tiny_backbone), max_tokens=16)).model
    assert top_layers(model, 0) == []
    with pytest.raises(ConfigError, match="reinitialised_layers is 3, but the backbone has only 2"):
        top_layers(model, 3)
