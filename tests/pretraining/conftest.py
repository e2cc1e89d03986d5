"""A small corpus of tiny reviews, and a tiny decoder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ratecast.config import PretrainConfig
from ratecast.pretraining.corpus import Corpus, build_corpus
from ratecast.pretraining.language import LanguageModel, load_language
from ratecast.progress import SilentReporter


@pytest.fixture(scope="session")
def tiny_decoder(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path) -> Path:
    """Folder with an untrained GPT-2 of two layers, 32 wide, 64 positions, and its byte-level tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={token: row for row, token in enumerate(["<|end|>", *alphabet])}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    folder = tmp_path_factory.mktemp("decoder")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>").save_pretrained(str(folder))
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=257, n_embd=32, n_layer=2, n_head=2, n_positions=64, bos_token_id=0, eos_token_id=0)
    GPT2LMHeadModel(config).save_pretrained(str(folder))
    return folder


@pytest.fixture
def language_of(tiny_backbone: Path, tiny_decoder: Path) -> Callable[..., LanguageModel]:
    """Loads a tiny model: "encoder" or "decoder"."""

    def load(kind: str = "encoder", *, block_tokens: int = 32, inner_dropout: bool = False) -> LanguageModel:
        folder = tiny_backbone if kind == "encoder" else tiny_decoder
        return load_language(str(folder), block_tokens=block_tokens, precision="float32", inner_dropout=inner_dropout)

    return load


@pytest.fixture
def corpus_of(tmp_path: Path) -> Callable[..., Corpus]:
    """Builds a corpus of texts for a model."""

    def build(language: LanguageModel, texts: list[str]) -> Corpus:
        return build_corpus([texts[:40], texts[40:]], language.encoder.tokenizer, tmp_path / "corpus", SilentReporter())

    return build


@pytest.fixture
def config_of(tiny_backbone: Path) -> Callable[..., PretrainConfig]:
    """Settings for the tiny backbone."""

    def make(**settings: Any) -> PretrainConfig:
        defaults: dict[str, Any] = {"backbone": str(tiny_backbone), "block_tokens": 32, "batch_tokens": 256}
        return PretrainConfig().with_values(**(defaults | settings))

    return make
