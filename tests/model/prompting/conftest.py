"""Tiny untrained language models with their output layers."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ratecast.config import FitConfig

WORDS = ("awful", "bad", "fine", "good", "great")
"""Words that the tiny tokenizer knows, for five levels."""


def architecture(family: str, vocabulary: int) -> Any:
    """A tiny architecture of two layers, 32 wide, 96 positions."""
    import transformers

    sizes: dict[str, object] = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 96,
        "pad_token_id": 0,
        "initializer_range": 0.2,  # so that every weight matters
    }
    ends: dict[str, object] = {"bos_token_id": 2, "eos_token_id": 3}
    gpt2 = {"vocab_size": vocabulary, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 96, "initializer_range": 0.2}
    own: dict[str, tuple[str, dict[str, object]]] = {
        "bert": ("BertConfig", sizes),
        "roberta": ("RobertaConfig", sizes),
        "modernbert": ("ModernBertConfig", sizes | ends | {"cls_token_id": 2, "sep_token_id": 3}),
        "electra": ("ElectraConfig", sizes | {"embedding_size": 16}),
        "gpt2": ("GPT2Config", gpt2 | ends),
        "llama": ("LlamaConfig", sizes | ends | {"num_key_value_heads": 2}),
        "t5": ("T5Config", {"vocab_size": vocabulary, "d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}),
    }
    kind, settings = own[family]
    return getattr(transformers, kind)(**settings)


@pytest.fixture(scope="session")
def language_of(tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the folder of a tiny language model of an architecture, with the tokenizer that all of them share."""
    made: dict[str, Path] = {}

    def make(family: str) -> Path:
        import torch
        import transformers
        from tokenizers import Tokenizer

        if family not in made:
            folder = tmp_path_factory.mktemp(family)
            for path in tiny_backbone.glob("*token*"):
                shutil.copy(path, folder)
            vocabulary = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size()
            kind = {"gpt2": "AutoModelForCausalLM", "llama": "AutoModelForCausalLM", "t5": "AutoModelForSeq2SeqLM"}
            torch.manual_seed(0)
            model = getattr(transformers, kind.get(family, "AutoModelForMaskedLM")).from_config(
                architecture(family, vocabulary)
            )
            for weight in model.parameters():
                if weight.ndim == 1:  # biases and gains too shall matter
                    torch.nn.init.normal_(weight, std=0.5)
            model.save_pretrained(str(folder))
            made[family] = folder
        return made[family]

    return make


@pytest.fixture
def config_of(language_of: Callable[[str], Path]) -> Callable[..., FitConfig]:
    """Settings of a prompt for a tiny language model."""

    def make(family: str = "bert", **settings: Any) -> FitConfig:
        defaults: dict[str, Any] = {
            "max_tokens": 64,
            "prompt": "default",
            "verbaliser": ",".join(WORDS),
            "precision": "float32",
        }
        return FitConfig().with_values(**({"backbone": str(language_of(family))} | defaults | settings))

    return make
