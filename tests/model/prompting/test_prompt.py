"""A network with a prompt says, before any training, what the language model says of the words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray

from ratecast.config import FitConfig
from ratecast.errors import BackboneError, ConfigError
from ratecast.model.export import export_rater
from ratecast.model.graph import OnnxGraph
from ratecast.model.prompting import Prompt, check_prompt, load_prompted
from ratecast.model.rater import Rater, torch_probabilities
from ratecast.scale import RatingScale
from ratecast.text import TextEncoder
from ratecast.train.network import create_rater

ConfigOf = Callable[..., FitConfig]
WORDS = ("awful", "bad", "fine", "good", "great")
STARS = RatingScale.parse("1..5")
TEXTS = ["the food was very good", "a bad hotel, we hate the [MASK] staff " * 12, ""]
DECODERS = ("gpt2", "llama")


def network(config: FitConfig, scale: RatingScale = STARS) -> tuple[Rater, TextEncoder, Prompt]:
    check_prompt(config, scale)
    backbone, prompt = load_prompted(config, scale)
    assert prompt is not None
    return create_rater(backbone, scale, np.asarray(scale.levels), config, prompt).eval(), backbone.encoder, prompt


def expected(folder: str, prompts: list[str], words: tuple[str, ...] = WORDS) -> NDArray[np.float64]:
    """Softmax of the words' logits by transformers alone, for whole prompts: at the gap, or after the end."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    kind = "AutoModelForCausalLM" if "[MASK]" not in prompts[0] else "AutoModelForMaskedLM"
    model = getattr(transformers, kind).from_pretrained(folder).eval()
    ids = tokenizer.convert_tokens_to_ids(list(words))
    rows = []
    for text in prompts:
        encoded = tokenizer(text, return_tensors="pt")["input_ids"]
        if kind == "AutoModelForCausalLM":
            encoded, place = encoded[:, :-1], -1  # the tiny tokenizer puts [SEP] behind
        else:
            place = int((encoded[0] == tokenizer.mask_token_id).nonzero()[-1])
        with torch.inference_mode():
            logits = model(input_ids=encoded, attention_mask=torch.ones_like(encoded)).logits[0, place, ids]
        rows.append(logits.double().softmax(-1).numpy())
    return np.stack(rows)


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert", "electra", *DECODERS])
def test_before_training_it_is_the_language_model(config_of: ConfigOf, family: str) -> None:
    config = config_of(family)
    rater, encoder, prompt = network(config)
    assert not prompt.is_new
    assert (prompt.transform is None) == (family in DECODERS)
    short = [text for text in TEXTS if len(text) < 100]
    template = "Review:\n{text}\nAll in all, it was" if family in DECODERS else "{text} All in all, it was [MASK]."
    reference = expected(config.backbone.backbone, [template.replace("{text}", text) for text in short])
    np.testing.assert_allclose(torch_probabilities(rater, encoder, short), reference, atol=1e-5)
    assert np.abs(reference - 0.2).max() > 0.02  # else there would be nothing to compare


def test_a_gap_before_the_text(config_of: ConfigOf) -> None:
    config = config_of(prompt="a [MASK] movie: {text}")
    rater, encoder, prompt = network(config)
    assert prompt.pooling == "first+2"
    reference = expected(config.backbone.backbone, [f"a [MASK] movie: {text}" for text in TEXTS[::2]])
    np.testing.assert_allclose(torch_probabilities(rater, encoder, TEXTS[::2]), reference, atol=1e-5)


def test_only_the_review_is_cut_and_its_own_gaps_do_not_count(config_of: ConfigOf) -> None:
    rater, encoder, _ = network(config_of(max_tokens=32))
    ids = encoder.encode(TEXTS).ids
    tokenizer = encoder.tokenizer
    end = tokenizer.encode(" All in all, it was [MASK].", add_special_tokens=False).ids
    assert [list(row[-len(end) - 1 : -1]) for row in ids] == [end] * 3
    assert len(ids[1]) == 32
    together = torch_probabilities(rater, encoder, TEXTS)
    alone = np.concatenate([torch_probabilities(rater, encoder, [text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_the_graph_gives_the_same(config_of: ConfigOf, family: str, tmp_path: Path) -> None:
    rater, encoder, _ = network(config_of(family))
    before = torch_probabilities(rater, encoder, TEXTS)
    graph, _ = export_rater(rater, encoder, tmp_path, TEXTS)
    loaded = OnnxGraph.load(tmp_path, graph, len(STARS))
    np.testing.assert_allclose(loaded.probabilities(TEXTS), before, atol=1e-5)


def test_mixed_levels_have_mixed_logits(config_of: ConfigOf) -> None:
    scale = RatingScale.parse("1..5/0.5")
    rater, encoder, _ = network(config_of(verbaliser="1=bad,5=great"), scale)
    whole = torch_probabilities(rater, encoder, TEXTS)
    reference = expected(config_of().backbone.backbone, [f"{TEXTS[0]} All in all, it was [MASK]."], ("bad", "great"))
    logits = np.log(reference[0])
    mixed = np.exp(np.linspace(logits[0], logits[1], 9))
    np.testing.assert_allclose(whole[0], mixed / mixed.sum(), atol=1e-5)


def test_a_decoder_says_words_after_the_default_prompt(config_of: ConfigOf) -> None:
    config = config_of("gpt2", verbaliser="1=bad,5=great")
    rater, encoder, prompt = network(config)
    reference = expected(config.backbone.backbone, [f"Review:\n{TEXTS[0]}\nAll in all, it was"], prompt.words)
    ends = torch_probabilities(rater, encoder, TEXTS[:1])[0, [0, -1]]
    np.testing.assert_allclose(ends / ends.sum(), reference[0], atol=1e-5)
    with pytest.raises(ConfigError, match="'terrible'"):  # which is more than one token to this tokenizer
        check_prompt(config_of("gpt2", verbaliser=None), STARS)


def test_a_decoder_that_is_asked_for_a_number_says_one_where_numbers_are_tokens(config_of: ConfigOf) -> None:
    config = config_of("gpt2", prompt="Review:\n{text}\nRating from {low} to {high}:", verbaliser=None)
    rater, encoder, prompt = network(config)
    assert prompt.words == ("1", "2", "3", "4", "5")
    reference = expected(config.backbone.backbone, [f"Review:\n{TEXTS[0]}\nRating from 1 to 5:"], prompt.words)
    np.testing.assert_allclose(torch_probabilities(rater, encoder, TEXTS[:1]), reference, atol=1e-5)


def test_a_token_that_all_words_begin_with_belongs_to_the_template(config_of: ConfigOf) -> None:
    config = config_of("gpt2", prompt="{text} the", verbaliser="1=xa,5=xi")
    with pytest.raises(ConfigError, match=r"'xa' \(2 tokens\)"):
        check_prompt(config_of("bert", verbaliser="1=xa,5=xi"), STARS)
    rater, encoder, _ = network(config)
    (row,) = encoder.encode(["good"]).ids
    tokens = [encoder.tokenizer.id_to_token(token) for token in row]
    assert tokens == ["[CLS]", "good", "the", "x", "[SEP]"]
    reference = expected(config.backbone.backbone, ["good the x"], ("##a", "##i"))
    ends = torch_probabilities(rater, encoder, ["good"])[0, [0, -1]]
    np.testing.assert_allclose(ends / ends.sum(), reference[0], atol=1e-5)


def test_a_backbone_without_output_layer_takes_its_input_embeddings_and_warns(tiny_backbone: Path, config_of: ConfigOf) -> None:
    _, _, prompt = network(config_of(backbone=str(tiny_backbone)))
    assert prompt.is_new
    assert prompt.transform is None
    model = transformers.AutoModel.from_pretrained(str(tiny_backbone))
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(tiny_backbone))
    rows = model.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids(list(WORDS))]
    torch.testing.assert_close(prompt.weight, rows.detach())
    assert "nothing has taught it to tell words" in (prompt.warning() or "")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"verbaliser": "awful,bad,terrible,good,great"}, r"found 'terrible' \(8 tokens\); choose others"),
        ({"verbaliser": "awful,bad,ж,good,great"}, "does not know 'ж'; choose others"),
        ({"verbaliser": "good,bad,fine,GOOD,great"}, "the words 'good', 'GOOD' of the verbaliser are the same"),
        ({"verbaliser": "bad,good"}, "has 2 words"),
        ({"prompt": "{text} It was good."}, "must have"),
        ({"head": "corn"}, "needs a head with a logit for each level, found head=corn"),
        ({"max_tokens": 16}, "the prompt takes 14 of 16 tokens, which leaves too few for the review"),
    ],
)
def test_what_cannot_be_used_is_told_before_any_work(config_of: ConfigOf, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_prompt(config_of(**settings), STARS)


def test_an_architecture_without_words_is_refused(config_of: ConfigOf) -> None:
    with pytest.raises(BackboneError, match=r"\(t5\) has no output layer that tells words"):
        check_prompt(config_of("t5"), STARS)
