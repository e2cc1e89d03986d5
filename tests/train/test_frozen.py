"""Stored outputs of frozen layers, for several families of backbones."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, BertConfig, DebertaV2Config, DistilBertConfig, LlamaConfig, ModernBertConfig, RobertaConfig

from ratecast.model.backbone import transformer_layers
from ratecast.model.heads import create_head
from ratecast.model.rater import Rater
from ratecast.progress import SilentReporter
from ratecast.scale import RatingScale
from ratecast.text import TextSettings, TokenisedTexts, pad
from ratecast.train.frozen import encode, stored_layers

SIZE = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 100}
CONFIGS = {
    "bert": BertConfig(**SIZE),
    "roberta": RobertaConfig(**SIZE, max_position_embeddings=40),
    "distilbert": DistilBertConfig(dim=32, n_layers=3, n_heads=2, hidden_dim=64, vocab_size=100),
    "deberta": DebertaV2Config(**SIZE, relative_attention=True, pos_att_type=["c2p", "p2c"]),
    "modernbert": ModernBertConfig(**SIZE, pad_token_id=1, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3),
    "llama": LlamaConfig(**SIZE),
}
TEXTS = TokenisedTexts(
    ids=[np.random.default_rng(length).integers(4, 100, length).astype(np.int32) for length in (7, 3, 12, 5)],
    shortened=np.zeros(4, dtype=bool),
)


def rater_of(family: str) -> Rater:
    torch.manual_seed(0)
    model = AutoModel.from_config(CONFIGS[family]).eval()
    return Rater(model, create_head("softmax", 32, RatingScale.parse("1..5"), np.array([1.0, 5.0])), pooling="mean")


SETTINGS = TextSettings(max_tokens=16, head_fraction=0.5, prefix_ids=(), suffix_ids=(), pad_id=1)


@pytest.mark.parametrize("family", CONFIGS)
def test_texts_that_the_head_is_not_fitted_to_are_read_as_far_as_is_stored(family: str, tmp_path: Path) -> None:
    rater = rater_of(family)
    given: dict[str, Any] = {"frozen": 2, "reporter": SilentReporter(), "task": ""}
    whole = encode(rater, TEXTS, SETTINGS, store=tmp_path / "whole.npy", **given)
    passes: list[int] = []
    transformer_layers(rater.backbone)[2].register_forward_hook(lambda *call: passes.append(len(call[1][0])))
    part = encode(rater, TEXTS, SETTINGS, store=tmp_path / "part.npy", read=np.array([1, 2]), **given)
    assert sum(passes) == 2
    assert whole.hidden is not None
    assert part.hidden is not None
    torch.testing.assert_close(part.vectors, whole.vectors[[1, 2]], atol=1e-5, rtol=1e-4)
    np.testing.assert_allclose(part.hidden.values, whole.hidden.values, atol=2e-3)
    assert part.hidden.tuple_length == whole.hidden.tuple_length
    only = encode(rater, TEXTS, SETTINGS, store=None, read=np.array([1, 2]), **given)
    assert sum(passes) == 4  # what is not stored either is not read at all
    torch.testing.assert_close(only.vectors, part.vectors)


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("frozen", [1, 2])
def test_stored_outputs_give_the_same_vectors(family: str, frozen: int, tmp_path: Path) -> None:
    rater = rater_of(family)
    found = encode(rater, TEXTS, SETTINGS, frozen=frozen, store=tmp_path / "x.npy", reporter=SilentReporter(), task="")
    assert found.hidden is not None
    rows = np.arange(4)
    batch = pad(TEXTS.ids, rows, pad_id=1)
    with torch.no_grad(), stored_layers(rater, frozen, found.hidden.tuple_length) as stand_in:
        stand_in.states = found.hidden.padded(rows, batch.input_ids.shape[1])
        again = rater.vectors(torch.from_numpy(batch.input_ids), torch.from_numpy(batch.attention_mask))
    torch.testing.assert_close(again, found.vectors, atol=5e-3, rtol=5e-3)
    assert float((again[0] - again[1]).abs().max()) > 0.05
