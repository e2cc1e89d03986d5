"""Masks, output layers and losses against independent computations."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ratecast.config import PretrainConfig
from ratecast.errors import BackboneError, ConfigError
from ratecast.pretraining.corpus import Corpus
from ratecast.pretraining.examples import Batch
from ratecast.pretraining.language import LanguageModel, load_language
from ratecast.pretraining.objectives import OBJECTIVES, create_objective
from ratecast.pretraining.objectives.contrastive import contrast
from ratecast.pretraining.objectives.masked import MaskedObjective

LanguageOf = Callable[..., LanguageModel]
CorpusOf = Callable[..., Corpus]
ConfigOf = Callable[..., PretrainConfig]


def random_batch(rows: int, width: int, tokens: range, word_tokens: int = 3) -> Batch:
    rng = np.random.default_rng(0)
    ids = rng.integers(tokens.start, tokens.stop, (rows, width))
    ids[:, 0], ids[:, -1] = 2, 3
    return Batch(
        input_ids=ids,
        attention_mask=np.ones_like(ids),
        words=np.arange(ids.size).reshape(ids.shape) // word_tokens,
    )


def test_masks_take_15_percent_of_the_tokens_whole_words_and_80_10_10(language_of: LanguageOf, config_of: ConfigOf) -> None:
    language = language_of()
    objective = MaskedObjective(language, config_of())
    size = language.vocabulary_size
    batch = random_batch(400, 122, range(5, size))
    changed, chosen = objective.hide(batch, (0, 1))
    words = ~np.isin(batch.input_ids, language.special)
    assert chosen[words].mean() == pytest.approx(0.15, abs=0.01)
    assert not chosen[~words].any()
    np.testing.assert_array_equal(changed[~chosen], batch.input_ids[~chosen])

    by_word: dict[int, set[bool]] = {}
    for word, is_chosen in zip(batch.words[words].tolist(), chosen[words].tolist(), strict=True):
        by_word.setdefault(word, set()).add(is_chosen)
    assert all(len(fates) == 1 for fates in by_word.values())

    new, old = changed[chosen], batch.input_ids[chosen]
    hidden, kept = new == language.mask_id, new == old
    assert hidden.mean() == pytest.approx(0.8, abs=0.02)
    assert kept.mean() == pytest.approx(0.1 + 0.1 / (size - 5), abs=0.02)
    random = new[~hidden & ~kept]
    assert random.min() >= 5
    counts = np.bincount(random, minlength=size)[5:]
    assert counts.std() / counts.mean() < 3 / math.sqrt(counts.mean())  # uniform: a Poisson's deviation, with room
    assert len(np.unique(random)) > 0.9 * (size - 5)


def test_masks_follow_from_the_seed_alone_and_differ_between_steps(language_of: LanguageOf, config_of: ConfigOf) -> None:
    objective = MaskedObjective(language_of(), config_of())
    batch = random_batch(8, 32, range(5, 60))
    first, again, other = (objective.hide(batch, (0, step)) for step in (1, 1, 2))
    np.testing.assert_array_equal(first[0], again[0])
    assert not np.array_equal(first[1], other[1])


def test_something_is_always_hidden(language_of: LanguageOf, config_of: ConfigOf) -> None:
    objective = MaskedObjective(language_of(), config_of(masked_fraction=1e-9))
    assert objective.hide(random_batch(1, 12, range(5, 60), word_tokens=1), (0, 0))[1].sum() == 1


def test_the_output_layer_is_tied_and_is_that_of_bert(language_of: LanguageOf) -> None:
    language = language_of()
    assert {name.rpartition(".")[2] for name in language.new} == {"weight", "bias"}
    ids = torch.randint(5, 60, (2, 9))
    mask = torch.ones_like(ids)
    places = torch.tensor([1, 4, 12])
    language.eval()
    with torch.no_grad():
        head = language.model.cls.predictions
        torch.nn.init.normal_(head.bias)
        found = language.logits(ids, mask, places)
        states = language.vectors(ids, mask).reshape(18, 32)[places].double().numpy()
    weights = {name: value.detach().double().numpy() for name, value in head.named_parameters()}
    dense = states @ weights["transform.dense.weight"].T + weights["transform.dense.bias"]
    active = dense * 0.5 * (1 + np.vectorize(math.erf)(dense / math.sqrt(2)))  # the exact GELU
    centred = active - active.mean(1, keepdims=True)
    normed = centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-12)
    normed = normed * weights["transform.LayerNorm.weight"] + weights["transform.LayerNorm.bias"]
    embeddings = language.model.get_input_embeddings().weight
    logits = normed @ embeddings.detach().double().numpy().T + weights["bias"]
    np.testing.assert_allclose(found.numpy(), logits, atol=1e-4)
    assert head.decoder.weight is embeddings


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_logits_at_some_places_are_those_of_the_whole_model(language_of: LanguageOf, kind: str) -> None:
    language = language_of(kind)
    language.eval()
    ids = torch.randint(5, 60, (3, 10))
    mask, places = torch.ones_like(ids), torch.tensor([0, 7, 8, 29])
    with torch.no_grad():
        some = language.logits(ids, mask, places)
        whole = language.model(input_ids=ids, attention_mask=mask).logits.flatten(0, 1)[places]
    torch.testing.assert_close(some, whole)


def test_the_masked_loss_is_the_cross_entropy_of_the_chosen_tokens(language_of: LanguageOf, config_of: ConfigOf) -> None:
    language = language_of()
    language.eval()
    objective = MaskedObjective(language, config_of())
    batch = random_batch(4, 20, range(5, 60))
    loss = objective.loss(batch, (3, 4))
    changed, chosen = objective.hide(batch, (3, 4))
    with torch.no_grad():
        logits = language.model(input_ids=torch.from_numpy(changed)).logits.double().numpy()
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    expected = -np.log(shares[np.arange(4)[:, None], np.arange(20), batch.input_ids])[chosen].mean()
    assert loss.mean.item() == pytest.approx(expected, rel=1e-5)
    assert loss.count == chosen.sum()


def test_the_causal_loss_is_that_of_transformers(language_of: LanguageOf, config_of: ConfigOf) -> None:
    language = language_of("decoder")
    language.eval()
    objective = create_objective(language, config_of(objective="causal"))
    batch = random_batch(4, 20, range(5, 60))
    ids = torch.from_numpy(batch.input_ids)
    loss = objective.loss(batch, (0,))
    assert loss.mean.item() == pytest.approx(language.model(input_ids=ids, labels=ids).loss.item(), rel=1e-5)
    assert loss.count == 4 * 19


def test_contrast_against_a_sum_over_pairs() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 5, 7))
    cosines = np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in second] for a in first])
    expected = np.mean(
        [-math.log(math.exp(row[i] / 0.05) / sum(math.exp(x / 0.05) for x in row)) for i, row in enumerate(cosines)]
    )
    assert contrast(torch.from_numpy(first), torch.from_numpy(second)).item() == pytest.approx(expected)


def test_contrastive_pairs_differ_by_dropout_which_follows_from_the_seed(language_of: LanguageOf, config_of: ConfigOf) -> None:
    batch = random_batch(6, 20, range(5, 60))
    objective = create_objective(language_of(inner_dropout=True), config_of(objective="contrastive"))
    before = torch.get_rng_state()
    losses = [objective.loss(batch, (0, step)).mean.item() for step in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), before)
    assert losses[0] == losses[1] != losses[2]
    undropped = create_objective(language_of(), config_of(objective="contrastive"))
    vectors = undropped.language.vectors(*undropped.tensors(batch)).mean(1)
    assert undropped.loss(batch, (0, 1)).mean.item() == pytest.approx(contrast(vectors, vectors).item(), abs=1e-5)
    assert losses[0] != pytest.approx(contrast(vectors, vectors).item(), abs=1e-5)


def test_inner_dropout_is_on_only_where_it_is_asked_for_and_never_written(language_of: LanguageOf, tmp_path: Path) -> None:
    def rates(language: LanguageModel) -> set[float]:
        return {part.p for part in language.modules() if isinstance(part, torch.nn.Dropout)}

    off, on = language_of(), language_of(inner_dropout=True)
    assert rates(off) == {0.0}
    assert rates(on) == {0.1}
    off.save(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["hidden_dropout_prob"] == 0.1
    again = load_language(str(tmp_path / "saved"), block_tokens=32, precision="float32", inner_dropout=True)
    assert rates(again) == {0.1}
    assert not again.new


def test_a_backbone_that_was_made_without_dropout_gets_some(tiny_backbone: Path, tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    config = BertConfig.from_pretrained(tiny_backbone)
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    BertModel(config).save_pretrained(str(tmp_path))
    (tmp_path / "tokenizer.json").write_bytes((tiny_backbone / "tokenizer.json").read_bytes())
    (tmp_path / "tokenizer_config.json").write_bytes((tiny_backbone / "tokenizer_config.json").read_bytes())
    language = load_language(str(tmp_path), block_tokens=32, precision="float32", inner_dropout=True)
    assert {part.p for part in language.modules() if isinstance(part, torch.nn.Dropout)} == {0.1}


@pytest.mark.parametrize(
    ("kind", "objective", "message"),
    [
        ("decoder", "masked", r"'masked' does not fit the backbone .*, which is a decoder; choose causal or contrastive"),
        ("encoder", "causal", r"'causal' does not fit the backbone .*, which is an encoder; choose masked or contrastive"),
    ],
)
def test_an_objective_that_does_not_fit_is_refused(
    language_of: LanguageOf, config_of: ConfigOf, kind: str, objective: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        create_objective(language_of(kind), config_of(objective=objective))


def test_the_default_is_that_of_the_kind(language_of: LanguageOf, config_of: ConfigOf) -> None:
    assert [create_objective(language_of(kind), config_of()).name for kind in ("encoder", "decoder")] == ["masked", "causal"]
    assert all(made.name == name for name, made in OBJECTIVES.items())


def test_an_encoder_without_a_mask_token_is_refused(language_of: LanguageOf, config_of: ConfigOf) -> None:
    language = language_of()
    language.mask_id = None
    with pytest.raises(BackboneError, match="has no mask token"):
        create_objective(language, config_of())


def test_an_encoder_decoder_is_refused(tmp_path: Path, tiny_backbone: Path) -> None:
    from transformers import T5Config, T5Model

    T5Model(T5Config(vocab_size=60, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)).save_pretrained(str(tmp_path))
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / file).write_bytes((tiny_backbone / file).read_bytes())
    with pytest.raises(BackboneError, match="is neither an encoder"):
        load_language(str(tmp_path), block_tokens=32, precision="float32", inner_dropout=False)


def test_what_is_not_trained_is_not_written(language_of: LanguageOf, config_of: ConfigOf, tmp_path: Path) -> None:
    from safetensors import safe_open

    language = language_of(inner_dropout=True)
    create_objective(language, config_of(objective="contrastive"))
    trained: dict[str, Any] = {name: weight for name, weight in language.named_parameters() if weight.requires_grad}
    assert not any(".cls." in name for name in trained)
    assert any("word_embeddings" in name for name in trained)
    language.save(tmp_path)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert not any(name.startswith("cls") for name in file.keys())  # noqa: SIM118 - it is no dictionary
