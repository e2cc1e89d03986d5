"""What all tests share: no network, fixed seeds, and a backbone small enough to be made on the spot."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports huggingface_hub, which reads it once
os.environ["WANDB_MODE"] = "offline"
os.environ["WANDB_SILENT"] = "true"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models: waiting for a second thread costs more than it gives
if "PYTEST_XDIST_WORKER" in os.environ and hasattr(os, "sched_setaffinity"):
    # So that a worker, and the processes that it starts, count one processor and train with one thread.
    _processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {_processors[int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw")) % len(_processors)]})

import random
import shutil
import string
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest_plugins = ("databases",)

WORDS = (
    "a an and the this that it is was not very great good fine poor bad awful love like hate movie film story phone battery "
    "room hotel food service staff price star stars never always again but with for of to in on i we they"
).split()
"""The tiny backbone knows these words, and single letters."""


LONGEST = (
    "test_documents.py",
    "test_gguf.py",
    "test_folder.py",
    "test_estimator.py",
    "test_pretrain.py",
    "test_tune.py",
    "test_tutorial.py",
)
"""Files that take minutes. They come first, so that no processor works at one of them while the others have nothing left."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))
    for item in items:
        if "tiny_model" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)  # the first of them waits for the model


@pytest.fixture(autouse=True)
def _seeds() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - libraries under test draw from the old global state
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session")
def tiny_reviews() -> tuple[list[str], list[float]]:
    """120 different short texts and their ratings from 1 to 5, which follow from the words."""
    draw = random.Random(0)
    good, bad = ("great", "good", "love", "fine", "very good"), ("bad", "awful", "hate", "poor", "very poor")
    things = ("movie", "story", "phone", "battery", "room", "hotel", "food", "service", "staff", "price")
    ratings = [float(number % 5 + 1) for number in range(120)]
    texts = []
    for number, rating in enumerate(ratings):
        words = [draw.choice(good if draw.random() < (rating - 1) / 4 else bad) for _ in range(6)]
        texts.append(" and ".join(f"the {draw.choice(things)} was {word}" for word in words) + f" {number} {draw.random():.8f}")
    return texts, ratings


@pytest.fixture(scope="session")
def tiny_model(
    tiny_backbone: Path, tiny_reviews: tuple[list[str], list[float]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Folder of a model with the tiny backbone, fitted on the tiny reviews. Tests must leave it as it is."""
    import ratecast
    from ratecast.progress import SilentReporter

    folder = tmp_path_factory.mktemp("models") / "tiny"
    texts, ratings = tiny_reviews
    config = ratecast.FitConfig().with_values(backbone=str(tiny_backbone), max_tokens=64, epochs=1.0, threads=1, blend=False)
    ratecast.fit(texts=texts, ratings=ratings, out=folder, config=config, reporter=SilentReporter())
    return folder


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with an untrained BERT of two layers, 32 wide, 160 positions, and its tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = list(string.ascii_lowercase + string.digits + string.punctuation)
    tokens = list(dict.fromkeys([*special, *WORDS, *letters, *(f"##{letter}" for letter in letters)]))
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    folder = tmp_path_factory.mktemp("backbone")
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
    fast.save_pretrained(str(folder))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=160,
        pad_token_id=0,
    )
    BertModel(config).save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="session")
def tiny_language(tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the tiny BERT's architecture and an output layer, untrained; some words are far more probable than others."""
    import torch
    from transformers import AutoConfig, AutoModelForMaskedLM

    folder = tmp_path_factory.mktemp("language")
    for path in tiny_backbone.glob("*token*"):
        shutil.copy(path, folder)
    torch.manual_seed(0)
    model = AutoModelForMaskedLM.from_config(AutoConfig.from_pretrained(str(tiny_backbone)))
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    model.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="session")
def tiny_translator(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes folders of untrained sequence-to-sequence models, T5 or BART, that read and write 40 tokens at once.

    What they write is nonsense, but it depends on the text, and ends where the settings for generation make it end.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import (
        BartConfig,
        BartForConditionalGeneration,
        GenerationConfig,
        PreTrainedTokenizerFast,
        T5Config,
        T5ForConditionalGeneration,
    )

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    alphabet = list(string.ascii_lowercase + string.digits + ".,!?")
    trainer = trainers.BpeTrainer(
        vocab_size=200, special_tokens=["<pad>", "</s>", "<unk>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([" ".join(WORDS)] * 3, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    shared = {"vocab_size": tokenizer.get_vocab_size(), "d_model": 16}
    special = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_layers": 1, "decoder_layers": 1}
    widths = {"encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "max_position_embeddings": 40, "init_std": 1.0}

    def make(kind: str, *, beams: int = 1, ends: bool = True) -> Path:
        folder = tmp_path_factory.mktemp(kind)
        fast = PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=40
        )
        fast.save_pretrained(str(folder))
        torch.manual_seed(3)
        model = (
            T5ForConditionalGeneration(
                T5Config(**shared, **special, d_kv=8, d_ff=16, num_layers=1, num_heads=2, initializer_factor=4.0)
            )
            if kind == "t5"
            else BartForConditionalGeneration(BartConfig(**shared, **special, **heads, **widths, bos_token_id=0))
        )
        model.generation_config = GenerationConfig(
            **special,
            num_beams=beams,
            suppress_tokens=[0, 2],
            exponential_decay_length_penalty=(4, 1.5) if ends else None,
            forced_eos_token_id=None if kind == "t5" else 1,
        )
        model.save_pretrained(str(folder))
        return folder

    return make
