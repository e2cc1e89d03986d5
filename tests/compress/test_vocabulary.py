import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from ratecast.compress import PrunedVocabulary, prune_vocabulary
from ratecast.config import FitConfig
from ratecast.errors import BackboneError, ConfigError, DataError, OutputError
from ratecast.model.backbone import load_backbone
from ratecast.progress import SilentReporter

TEXTS = ["the battery was great and very good", "the battery was awful, never again", "我非常喜欢"]
UNSEEN = "la historia was wonderful und gut"


def pruned(backbone: Path, out: Path, **settings: Any) -> PrunedVocabulary:
    return prune_vocabulary(
        pl.DataFrame({"text": TEXTS}), backbone=str(backbone), out=out, reporter=SilentReporter(), **settings
    )


def vectors(folder: Path, texts: list[str]) -> list[NDArray[np.float32]]:
    """Token vectors of each text as `fit` has them, shape ``(token, width)``."""
    import torch

    loaded = load_backbone(FitConfig().with_values(backbone=str(folder), max_tokens=48).backbone)
    loaded.model.eval()
    with torch.inference_mode():
        rows = [torch.from_numpy(ids.astype(np.int64))[None] for ids in loaded.encoder.encode(texts).ids]
        return [loaded.model(input_ids=ids).last_hidden_state[0].numpy() for ids in rows]


def test_reviews_of_kept_tokens_have_the_same_vectors(backbone: Path, tmp_path: Path) -> None:
    found = pruned(backbone, tmp_path / "small")
    assert found.changed == 0
    assert found.reviews == 3
    for before, after in zip(vectors(backbone, TEXTS), vectors(tmp_path / "small", TEXTS), strict=True):
        np.testing.assert_allclose(after, before, atol=1e-6)
    assert len(vectors(tmp_path / "small", [UNSEEN])[0]) > len(vectors(backbone, [UNSEEN])[0])


def test_the_folder_is_smaller_and_says_by_how_much(backbone: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file
    from transformers import AutoConfig, AutoTokenizer

    found = pruned(backbone, tmp_path / "small")
    tokenizer, config = AutoTokenizer.from_pretrained(tmp_path / "small"), AutoConfig.from_pretrained(tmp_path / "small")
    before, after = (load_file(folder / "model.safetensors") for folder in (backbone, tmp_path / "small"))
    assert len(tokenizer) == config.vocab_size == found.tokens_after < found.tokens_before
    assert before.keys() == after.keys()
    (table,) = (name for name in before if name.endswith(("word_embeddings.weight", "wte.weight")))
    assert len(after[table]) == found.tokens_after
    size = sum((tmp_path / "small" / name).stat().st_size for name in ("model.safetensors", "tokenizer.json"))
    assert found.megabytes_after == pytest.approx(size / 1e6, rel=0.2)
    assert found.megabytes_after < found.megabytes_before
    facts = json.loads((tmp_path / "small" / "vocabulary.json").read_text(encoding="utf-8"))
    assert facts["tokens_after"] == found.tokens_after
    assert f"{found.tokens_before:,} tokens before, {found.tokens_after:,} after" in found.describe()
    assert "0 of 3 reviews (0.0%)" in found.describe()


def test_special_tokens_keep_their_meaning(backbone: Path, tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoTokenizer

    pruned(backbone, tmp_path / "small")
    before, after = (AutoTokenizer.from_pretrained(folder) for folder in (backbone, tmp_path / "small"))
    assert after.special_tokens_map == before.special_tokens_map
    assert after.model_max_length == 64
    config = AutoConfig.from_pretrained(tmp_path / "small")
    for name in ("pad", "bos", "eos"):
        number = getattr(config, f"{name}_token_id")
        token = getattr(after, f"{name}_token")
        if number is not None and token is not None:
            assert after.convert_ids_to_tokens(number) == token, name


@pytest.mark.parametrize("backbone", ["unigram"], indirect=True)
def test_positions_stay_where_they_are_counted_from_the_padding_token(backbone: Path, tmp_path: Path) -> None:
    whole = shutil.copytree(backbone, tmp_path / "whole")
    settings = json.loads((whole / "config.json").read_text())
    (whole / "config.json").write_text(json.dumps(settings | {"pad_token_id": 50}))
    pruned(whole, tmp_path / "small")
    assert json.loads((tmp_path / "small" / "config.json").read_text())["pad_token_id"] == 50
    for before, after in zip(vectors(whole, TEXTS), vectors(tmp_path / "small", TEXTS), strict=True):
        np.testing.assert_allclose(after, before, atol=1e-6)


def test_what_tells_words_is_pruned_with_them(backbone: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

    if backbone.name == "unigram":  # which has no output layer, and none shall be made
        pruned(backbone, tmp_path / "small")
        assert json.loads((tmp_path / "small" / "config.json").read_text())["architectures"] == ["XLMRobertaModel"]
        return
    pruned(backbone, tmp_path / "small")
    kind = AutoModelForMaskedLM if backbone.name == "wordpiece" else AutoModelForCausalLM
    logits, names = [], []
    for folder in (backbone, tmp_path / "small"):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        with torch.inference_mode():
            logits.append(kind.from_pretrained(folder).eval()(**tokenizer(TEXTS[0], return_tensors="pt")).logits[0].numpy())
        names.append(tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))))
    rows = [names[0].index(name) for name in names[1]]
    assert logits[1].shape[1] < logits[0].shape[1]
    np.testing.assert_allclose(logits[1], logits[0][:, rows], atol=1e-5)


def test_rare_tokens_go_where_a_minimum_is_asked_for(backbone: Path, tmp_path: Path) -> None:
    every, common = pruned(backbone, tmp_path / "every"), pruned(backbone, tmp_path / "common", minimum_count=2)
    assert common.tokens_after < every.tokens_after
    assert 1 <= common.changed <= 3


def test_a_checkpoint_of_half_precision_stays_so(backbone: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file
    from transformers import AutoModel, AutoTokenizer

    AutoModel.from_pretrained(backbone).half().save_pretrained(tmp_path / "half")
    AutoTokenizer.from_pretrained(backbone).save_pretrained(tmp_path / "half")
    found = pruned(tmp_path / "half", tmp_path / "small")
    assert {str(weight.dtype) for weight in load_file(tmp_path / "small" / "model.safetensors").values()} == {"torch.float16"}
    assert found.megabytes_before < pruned(backbone, tmp_path / "single").megabytes_before


@pytest.mark.parametrize("backbone", ["wordpiece"], indirect=True)
def test_what_cannot_be_done_is_told_and_nothing_written(backbone: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="minimum count of a token is 0"):
        pruned(backbone, out, minimum_count=0)
    with pytest.raises(DataError, match="no text"):
        prune_vocabulary(pl.DataFrame({"text": [" ", ""]}), backbone=str(backbone), out=out, reporter=SilentReporter())
    with pytest.raises(BackboneError, match="there is no folder"):
        pruned(tmp_path / "absent", out)
    assert not out.exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="not a backbone of ratecast prune-vocabulary"):
        pruned(backbone, tmp_path / "other")


@pytest.mark.parametrize("backbone", ["wordpiece"], indirect=True)
def test_other_tables_over_the_tokens_are_refused(backbone: Path) -> None:
    import torch
    from transformers import AutoModel

    from ratecast.compress.vocabulary import shrink

    model = AutoModel.from_pretrained(backbone)
    model.further = torch.nn.Linear(4, model.config.vocab_size)
    with pytest.raises(BackboneError, match=r"cannot prune the vocabulary of BertModel: further\.weight"):
        shrink(model, np.arange(10))
