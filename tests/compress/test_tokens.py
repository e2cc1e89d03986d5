import json

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from ratecast.compress.tokens import reduce_tokenizer
from ratecast.errors import BackboneError

NEW = ["stor the wondering act", "非常 看好", "Essenzimmer gutes bad", "rue", "peliculas muy guter Phone!", "z"]


def used(tokenizer: Tokenizer, texts: list[str]) -> set[int]:
    return {number for found in tokenizer.encode_batch(texts) for number in found.ids}


@pytest.fixture(params=["unigram", "wordpiece", "bytewise"])
def whole(request: pytest.FixtureRequest) -> Tokenizer:
    from_kind: dict[str, Tokenizer] = request.getfixturevalue("tokenizers")
    return from_kind[request.param]


@pytest.mark.parametrize("kept", [slice(0, 1), slice(2, 4), slice(0, 6)])
def test_texts_of_wanted_tokens_are_divided_as_before(whole: Tokenizer, sentences: list[str], kept: slice) -> None:
    texts = sentences[kept]
    reduced = reduce_tokenizer(whole, used(whole, texts))
    assert (np.diff(reduced.kept) > 0).all()
    assert len(reduced.kept) == reduced.tokenizer.get_vocab_size() <= whole.get_vocab_size()
    for text in texts:
        before, after = whole.encode(text), reduced.tokenizer.encode(text)
        assert after.tokens == before.tokens
        assert reduced.kept[after.ids].tolist() == before.ids  # special tokens around the text too


def test_tokens_are_really_gone(whole: Tokenizer, sentences: list[str]) -> None:
    reduced = reduce_tokenizer(whole, used(whole, sentences[:1]))
    assert reduced.tokenizer.get_vocab_size() < 0.9 * whole.get_vocab_size()
    assert "Ġwonderful" not in reduced.tokenizer.get_vocab()
    assert "wonderful" not in reduced.tokenizer.get_vocab()


def test_no_text_has_unknown_tokens_that_had_none(whole: Tokenizer, sentences: list[str]) -> None:
    reduced = reduce_tokenizer(whole, []).tokenizer
    unknown = {"<unk>", "[UNK]"}
    differing = 0
    for text in [*sentences, *NEW]:
        before, after = whole.encode(text).tokens, reduced.encode(text).tokens
        differing += before != after
        if not unknown & set(before):
            assert not unknown & set(after), text
            assert "".join(after).replace("##", "") == "".join(before).replace("##", "")
    assert differing > 3


def test_the_whole_tokenizer_is_left_as_it_is(whole: Tokenizer, sentences: list[str]) -> None:
    before = whole.to_str()
    reduce_tokenizer(whole, [])
    assert whole.to_str() == before


def test_pieces_with_a_character_that_is_no_piece_itself_stay() -> None:
    pieces = [("<unk>", 0.0), ("ab", -1.0), ("a", -2.0), ("aa", -1.5), ("xa", -3.0)]
    unigram = reduce_tokenizer(Tokenizer(models.Unigram(pieces, unk_id=0)), []).tokenizer
    assert set(unigram.get_vocab()) == {"<unk>", "a", "ab", "xa"}
    tokens = ("[UNK]", "a", "b", "##b", "ab", "##ab", "ba", "bb")
    wordpiece = Tokenizer(models.WordPiece({token: number for number, token in enumerate(tokens)}, unk_token="[UNK]"))
    assert set(reduce_tokenizer(wordpiece, []).tokenizer.get_vocab()) == {"[UNK]", "a", "b", "##b", "##ab", "ba"}


def test_what_a_token_is_merged_from_stays() -> None:
    letters = {letter: number for number, letter in enumerate("abc")}
    merges = [("b", "c"), ("a", "b"), ("a", "bc"), ("ab", "c")]
    vocabulary = letters | {"bc": 3, "ab": 4, "abc": 5}
    reduced = reduce_tokenizer(Tokenizer(models.BPE(vocabulary, merges)), [5]).tokenizer
    assert set(reduced.get_vocab()) == {"a", "b", "c", "bc", "abc"}  # bc comes first, so that ab never arises in it
    assert json.loads(reduced.to_str())["model"]["merges"] == [["b", "c"], ["a", "bc"]]
    assert reduced.encode("abc").tokens == ["abc"]


def test_kinds_that_cannot_be_reduced_are_named() -> None:
    with pytest.raises(BackboneError, match="a WordLevel tokenizer; expected one of Unigram, WordPiece, BPE"):
        reduce_tokenizer(Tokenizer(models.WordLevel({"a": 0}, unk_token="a")), [])
    with pytest.raises(BackboneError, match="marks tokens inside or at the end of words"):
        reduce_tokenizer(Tokenizer(models.BPE({"a": 0}, [], end_of_word_suffix="</w>")), [])


def test_padding_and_nested_processors_get_the_new_ids(tokenizers: dict[str, Tokenizer], sentences: list[str]) -> None:
    from tokenizers import processors

    whole = Tokenizer.from_str(tokenizers["wordpiece"].to_str())
    mask = whole.token_to_id("[MASK]")
    whole.add_special_tokens(["<end>"])
    end = whole.token_to_id("<end>")
    framed = processors.TemplateProcessing(single="$A <end>", special_tokens=[("<end>", end)])
    whole.post_processor = processors.Sequence([processors.ByteLevel(), framed])
    whole.enable_padding(pad_id=end, pad_token="<end>")
    reduced = reduce_tokenizer(whole, []).tokenizer
    found = reduced.encode("a")
    assert end != reduced.token_to_id("<end>") == found.ids[-1]
    assert reduced.padding is not None
    assert reduced.padding["pad_id"] == found.ids[-1]
    assert reduced.token_to_id("[MASK]") == mask


def test_a_pre_tokenizer_and_a_normalizer_stay(tokenizers: dict[str, Tokenizer]) -> None:
    reduced = reduce_tokenizer(tokenizers["wordpiece"], []).tokenizer
    assert isinstance(reduced.pre_tokenizer, pre_tokenizers.BertPreTokenizer)
    assert reduced.encode("A", add_special_tokens=False).tokens == ["a"]
