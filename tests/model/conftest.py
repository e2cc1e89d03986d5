"""A tiny decoder as a GGUF file, and the model of transformers that it was written from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

HEADS, KEY_HEADS, WIDTH = 4, 2, 32


@dataclass(frozen=True)
class TinyGguf:
    """The file, and what was written into it."""

    path: Path
    model: Any
    tokenizer: Any


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> TinyGguf:
    """A Llama of two layers, 32 wide, 96 positions, with a byte-level tokenizer that puts no special tokens around a text."""
    import torch
    from transformers import LlamaConfig, LlamaModel

    folder = tmp_path_factory.mktemp("gguf")
    tokenizer = byte_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        num_key_value_heads=KEY_HEADS,
        intermediate_size=64,
        max_position_embeddings=96,
        initializer_range=0.2,
    )
    model = LlamaModel(config).eval()
    write_gguf(folder / "tiny.gguf", model, tokenizer)
    return TinyGguf(path=folder / "tiny.gguf", model=model, tokenizer=tokenizer)


def byte_tokenizer() -> Any:
    """A byte-pair tokenizer that knows a few words; its first token ends a text, the second one pads."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>", "<|pad|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the food is awful bad fine good great and so the staff of the hotel"] * 3, trainer)
    return tokenizer


def write_gguf(path: Path, model: Any, tokenizer: Any, architecture: str = "llama") -> None:
    """Write a Llama as llama.cpp's converter does."""
    import json

    import gguf

    config = model.config
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(config.vocab_size)
    state = json.loads(tokenizer.to_str())
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.token_to_id)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL] * 2 + [gguf.TokenType.NORMAL] * (len(tokens) - 2))
    writer.add_token_merges([" ".join(merge) for merge in state["model"]["merges"]])
    writer.add_eos_token_id(0)
    writer.add_bos_token_id(0)
    writer.add_pad_token_id(1)
    for name, weight in model.state_dict().items():
        writer.add_tensor(gguf_name(name), interleaved(name, weight.numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gguf_name(name: str) -> str:
    """The name of a weight in a GGUF file."""
    parts = {"embed_tokens": "token_embd", "norm": "output_norm"}
    layer = {
        **{f"self_attn.{one}_proj": f"attn_{one}" for one in "qkv"},
        "self_attn.o_proj": "attn_output",
        **{f"mlp.{one}_proj": f"ffn_{one}" for one in ("gate", "up", "down")},
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    bare = name.removesuffix(".weight")
    if not bare.startswith("layers."):
        return f"{parts[bare]}.weight"
    _, number, rest = bare.split(".", 2)
    return f"blk.{number}.{layer[rest]}.weight"


def interleaved(name: str, weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of queries and keys in llama.cpp's order, where the two halves of a rotated pair stand side by side."""
    heads = {"q_proj": HEADS, "k_proj": KEY_HEADS}.get(name.split(".")[-2] if "." in name else "")
    if heads is None:
        return weight
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, weight.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weight.shape))
