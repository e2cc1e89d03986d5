"""Tiny untrained models of every architecture."""

import shutil
from pathlib import Path
from typing import Any


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
    relative: dict[str, object] = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 16}
    own: dict[str, tuple[str, dict[str, object]]] = {
        "bert": ("BertConfig", sizes),
        "roberta": ("RobertaConfig", sizes),
        "xlm-roberta": ("XLMRobertaConfig", sizes),
        "deberta-v2": ("DebertaV2Config", sizes | relative),
        "modernbert": ("ModernBertConfig", sizes | ends | {"cls_token_id": 2, "sep_token_id": 3}),
        "distilbert": (
            "DistilBertConfig",
            {"vocab_size": vocabulary, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}
            | {"max_position_embeddings": 96, "pad_token_id": 0, "initializer_range": 0.2},
        ),
        "gpt2": (
            "GPT2Config",
            {"vocab_size": vocabulary, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 96}
            | ends
            | {"initializer_range": 0.2},
        ),
        "llama": ("LlamaConfig", sizes | ends | {"num_key_value_heads": 2}),
        "qwen2": ("Qwen2Config", sizes | ends | {"num_key_value_heads": 2}),
        "qwen3": ("Qwen3Config", sizes | ends | {"num_key_value_heads": 2, "head_dim": 8}),
        "smollm3": ("SmolLM3Config", sizes | ends | {"num_key_value_heads": 2}),
        "electra": ("ElectraConfig", sizes | {"embedding_size": 16}),
        "t5": ("T5Config", {"vocab_size": vocabulary, "d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}),
    }
    kind, settings = own[family]
    return getattr(transformers, kind)(**settings)


def write_tiny(folder: Path, family: str, tokenizer: Path, kind: str = "AutoModel", gains: float = 0.0) -> Path:
    """Write such a model, with a tokenizer, as a backbone.

    Args:
        folder: where to; it is given back.
        family: name of the architecture.
        tokenizer: folder that holds the tokenizer.
        kind: class of transformers.
        gains: standard deviation of the biases and gains, so that they matter too; 0 leaves them as they are.
    """
    import torch
    import transformers
    from tokenizers import Tokenizer

    for path in tokenizer.glob("*token*"):
        shutil.copy(path, folder)
    vocabulary = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size()
    torch.manual_seed(0)
    model = getattr(transformers, kind).from_config(architecture(family, vocabulary))
    for weight in model.parameters():
        if gains and weight.ndim == 1:
            torch.nn.init.normal_(weight, std=gains)
    model.save_pretrained(str(folder))
    return folder
