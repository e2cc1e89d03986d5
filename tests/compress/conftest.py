"""Three untrained backbones with a tokenizer of each kind, trained on a few sentences."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SENTENCES = [
    "the phone was great and the battery was very good",
    "awful service, never again! the staff was rude",
    "a wonderful story with wonderful actors",
    "这部电影非常好看 我非常喜欢",
    "das Zimmer war sauber und das Essen war gut",
    "la película fue muy aburrida",
]
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def unigram() -> Tokenizer:
    """As XLM-R has it: the padding token is the second, the mask the last."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=140, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES * 4, trainer)
    tokenizer.add_special_tokens(["<mask>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return tokenizer


def wordpiece() -> Tokenizer:
    """As BERT has it."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=220, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(SENTENCES * 4, trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def bytewise() -> Tokenizer:
    """As GPT-2 has it: the end of a text is the last token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        SENTENCES * 4, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.add_special_tokens(["<|end|>"])
    return tokenizer


TOKENIZERS: dict[str, Callable[[], Tokenizer]] = {"unigram": unigram, "wordpiece": wordpiece, "bytewise": bytewise}


def _model(kind: str, tokenizer: Tokenizer) -> tuple[Any, dict[str, str]]:
    """An untrained model with its output layer, and the names of its special tokens."""
    import transformers

    size = tokenizer.get_vocab_size()
    if kind == "unigram":  # with rows that no token has, as multilingual-e5-small has them
        config = transformers.XLMRobertaConfig(**SIZES, vocab_size=size + 5, max_position_embeddings=120, pad_token_id=1)
        named = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>"}
        return transformers.XLMRobertaModel(config), named | {"unk_token": "<unk>", "mask_token": "<mask>"}
    if kind == "wordpiece":
        config = transformers.BertConfig(**SIZES, vocab_size=size, max_position_embeddings=64, pad_token_id=0)
        named = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]"}
        return transformers.BertForMaskedLM(config), named | {"mask_token": "[MASK]"}
    end = tokenizer.token_to_id("<|end|>")
    config = transformers.GPT2Config(
        vocab_size=size, n_embd=32, n_layer=2, n_head=2, n_positions=64, bos_token_id=end, eos_token_id=end
    )
    return transformers.GPT2LMHeadModel(config), {"bos_token": "<|end|>", "eos_token": "<|end|>"}


@pytest.fixture(scope="session")
def tokenizers() -> dict[str, Tokenizer]:
    """A tokenizer of each kind. Tests must leave them as they are."""
    return {name: make() for name, make in TOKENIZERS.items()}


@pytest.fixture(scope="session")
def sentences() -> list[str]:
    """What the tokenizers were trained on."""
    return SENTENCES


@pytest.fixture(scope="session", params=list(TOKENIZERS))
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a backbone whose name is the kind of its tokenizer. Tests must leave it as it is."""
    import torch
    from transformers import PreTrainedTokenizerFast

    tokenizer = TOKENIZERS[request.param]()
    folder: Path = tmp_path_factory.mktemp("backbones") / request.param
    torch.manual_seed(0)
    model, named = _model(request.param, tokenizer)
    for weight in model.parameters():
        weight.data.normal_(std=0.2)  # biases too, which are 0 before training
    model.save_pretrained(str(folder))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **named).save_pretrained(str(folder))
    return folder
