"""Packing without padding or loss, and batches of single reviews."""

from collections import Counter
from collections.abc import Callable
from itertools import chain

import numpy as np
import pytest

from ratecast.pretraining.corpus import WORD_BEGINS, Corpus
from ratecast.pretraining.examples import Blocks, SingleReviews
from ratecast.pretraining.language import LanguageModel

LanguageOf = Callable[..., LanguageModel]
CorpusOf = Callable[..., Corpus]


def texts_of(count: int) -> list[str]:
    return [f"the movie was great {'and good ' * (number % 9)}{number}" for number in range(count)]


def blocks_of(language: LanguageModel, corpus: Corpus, batch_tokens: int = 96) -> Blocks:
    settings = language.encoder.settings
    return Blocks(corpus, corpus.training, settings, separators=language.separators, batch_tokens=batch_tokens)


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_blocks_hold_the_reviews_with_their_separators_in_order(
    language_of: LanguageOf, corpus_of: CorpusOf, kind: str
) -> None:
    language = language_of(kind)
    corpus = corpus_of(language, texts_of(90))
    blocks = blocks_of(language, corpus)
    reviews = [(corpus.review(row) & ~WORD_BEGINS).tolist() for row in corpus.training]
    stream = list(chain.from_iterable([*review, *language.separators] for review in reviews))
    found = [line for number in range(len(blocks)) for line in blocks.batch(number).input_ids.tolist()]
    prefix, suffix = ([2], [3]) if kind == "encoder" else ([], [])
    room = 32 - len(prefix) - len(suffix)
    whole = [stream[start : start + room] for start in range(0, len(stream) - room + 1, room)]
    if len(stream) % room:
        whole.append(stream[-room:])
    assert found == [[*prefix, *part, *suffix] for part in whole]
    assert language.separators == ((3,) if kind == "encoder" else (0,))


def test_no_token_is_lost_in_any_pass_and_nothing_is_padding(language_of: LanguageOf, corpus_of: CorpusOf) -> None:
    language = language_of()
    corpus = corpus_of(language, texts_of(90))
    everything = Counter((np.concatenate([corpus.review(row) for row in corpus.training]) & ~WORD_BEGINS).tolist())
    orders = []
    for epoch in (0, 1):
        blocks = blocks_of(language, corpus).in_pass(7, epoch)
        batches = [blocks.batch(number) for number in range(len(blocks))]
        found = Counter(np.concatenate([batch.input_ids.ravel() for batch in batches]).tolist())
        assert all(found[token] >= count for token, count in everything.items())
        assert found.total() - everything.total() < 3 * 33 * len(batches) + 32 + len(corpus.training)
        assert all(batch.attention_mask.all() and batch.input_ids.shape[1] == 32 for batch in batches)
        assert blocks.tokens == found.total()
        orders.append(np.concatenate([batch.input_ids for batch in batches]))
    again = blocks_of(language, corpus).in_pass(7, 1)
    np.testing.assert_array_equal(np.concatenate([again.batch(number).input_ids for number in range(len(again))]), orders[1])
    assert not np.array_equal(orders[0], orders[1])


def test_words_of_a_block_are_numbered_by_their_beginnings(language_of: LanguageOf, corpus_of: CorpusOf) -> None:
    language = language_of()
    corpus = corpus_of(language, [f"storyx {number}" for number in range(60)])
    batch = blocks_of(language, corpus).batch(0)
    tokens = [str(language.encoder.tokenizer.id_to_token(token)) for token in batch.input_ids[0]]
    words = batch.words[0].tolist()
    for place in range(1, len(tokens)):
        assert (words[place] == words[place - 1]) == tokens[place].startswith("##"), tokens[:place]
    assert batch.words[1][0] == batch.words[0][-1] + 1


def test_fewer_tokens_than_a_block_are_one_shorter_block(language_of: LanguageOf, corpus_of: CorpusOf) -> None:
    language = language_of(block_tokens=160)
    corpus = corpus_of(language, texts_of(60))
    few = Blocks(corpus, corpus.training[:2], language.encoder.settings, separators=language.separators, batch_tokens=320)
    assert len(few) == 1
    assert few.batch(0).input_ids.shape == (1, int(corpus.lengths(corpus.training[:2]).sum()) + 2 + 2)


def test_single_reviews_are_framed_cut_and_batched_by_length(language_of: LanguageOf, corpus_of: CorpusOf) -> None:
    language = language_of(block_tokens=16)
    texts = texts_of(90)
    corpus = corpus_of(language, texts)
    expected = {tuple(ids) for ids in language.encoder.encode([texts[row] for row in corpus.training]).ids}
    singles = SingleReviews(corpus, corpus.training, language.encoder.settings, batch_tokens=64)
    for examples in (singles, singles.in_pass(0, 3)):
        batches = [examples.batch(number) for number in range(len(examples))]
        found = [
            tuple(ids[mask == 1]) for batch in batches for ids, mask in zip(batch.input_ids, batch.attention_mask, strict=True)
        ]
        assert len(found) == len(corpus.training)
        assert set(found) == expected
        assert examples.tokens == sum(map(len, found)) < corpus.lengths(corpus.training).sum()
        assert np.mean(np.concatenate([batch.attention_mask.ravel() for batch in batches])) > 0.9
