import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from ratecast.text.unknown import fraction_warning, unknown_fractions, unknown_id, unknown_warning


def wordpiece() -> Tokenizer:
    """Knows the word "good" and the letter a; Chinese characters stand by themselves, as BERT has them."""
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "good": 1, "a": 2}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def unigram() -> Tokenizer:
    return Tokenizer(models.Unigram([("<unk>", 0.0), ("good", -1.0), (" ", -1.0)], unk_id=0))


def bytewise() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def test_what_is_unknown_is_found_whatever_the_kind_of_tokenizer() -> None:
    assert unknown_id(wordpiece()) == 0
    assert unknown_id(unigram()) == 0
    assert unknown_id(bytewise()) is None


def test_the_share_of_unknown_tokens() -> None:
    texts = ["good good", "good 真好 a", "", "真"]
    np.testing.assert_allclose(unknown_fractions(wordpiece(), texts), [0, 2 / 4, 0, 1])
    np.testing.assert_allclose(unknown_fractions(unigram(), ["good good", "good!"]), [0, 1 / 2])
    np.testing.assert_allclose(unknown_fractions(bytewise(), texts), np.zeros(4))


def test_reviews_in_a_language_that_the_backbone_lacks_are_worth_a_warning_that_names_both() -> None:
    warning = unknown_warning(wordpiece(), ["这部电影很好", "真的很好看 good"], "tiny")
    assert warning is not None
    assert warning.startswith(
        "92% of the tokens of these reviews, which are mostly Chinese, are unknown to the backbone 'tiny'"
    )
    assert "--backbone" in warning
    assert unknown_warning(wordpiece(), ["good a"] * 5, "tiny") is None
    assert unknown_warning(bytewise(), ["这部电影很好"], "tiny") is None
    assert unknown_warning(wordpiece(), [], "tiny") is None


@pytest.mark.parametrize(("fraction", "is_much"), [(0.0, False), (0.05, False), (0.06, True)])
def test_a_few_unknown_tokens_are_no_cause_for_one(fraction: float, is_much: bool) -> None:
    assert (fraction_warning(fraction, (), "tiny") is not None) is is_much
