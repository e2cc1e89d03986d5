"""Texts to tokens on disk: without copies, in two parts, with word beginnings."""

import hashlib
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ratecast.errors import DataError, OutputError
from ratecast.pretraining.corpus import WORD_BEGINS, Corpus, build_corpus, mark_whole, open_corpus
from ratecast.pretraining.language import LanguageModel
from ratecast.progress import SilentReporter

LanguageOf = Callable[..., LanguageModel]
CorpusOf = Callable[..., Corpus]


def texts_of(count: int) -> list[str]:
    return [f"the movie was great {number}" for number in range(count)]


def test_tokens_are_the_tokenizers_and_words_begin_where_they_do(language_of: LanguageOf, corpus_of: CorpusOf) -> None:
    language = language_of()
    texts = [*texts_of(60), "the storyx was great!"]
    corpus = corpus_of(language, texts)
    for row in (0, 39, 40, 60):
        encoding = language.encoder.tokenizer.encode(texts[row], add_special_tokens=False)
        stored = corpus.review(row)
        assert (stored & ~WORD_BEGINS).tolist() == encoding.ids
        expected = [not token.startswith("##") for token in encoding.tokens]
        assert ((stored & WORD_BEGINS) != 0).tolist() == expected
    assert not all(expected)


def test_every_token_of_a_very_long_word_is_a_word(language_of: LanguageOf, corpus_of: CorpusOf) -> None:
    corpus = corpus_of(language_of(), [*texts_of(60), "qqqqqqqqqqqq"])
    stored = corpus.review(60)
    assert len(stored) == 12
    assert ((stored & WORD_BEGINS) != 0).all()


def test_copies_are_left_out_and_some_are_held_out_by_hash(language_of: LanguageOf, corpus_of: CorpusOf) -> None:
    texts = texts_of(1000)
    corpus = corpus_of(language_of(), [*texts, *texts[:7], f"  {texts[3]} "])
    assert corpus.copies == 8
    assert len(corpus.held_out) == 20
    assert sorted([*corpus.training, *corpus.held_out]) == list(range(1000))
    digests = [hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts]
    order = sorted(range(1000), key=lambda row: int.from_bytes(digests[row], "little"))
    assert corpus.held_out.tolist() == sorted(order[:20])


def test_what_is_held_out_does_not_depend_on_the_order(language_of: LanguageOf, tmp_path: Path) -> None:
    tokenizer, texts = language_of().encoder.tokenizer, texts_of(300)
    forth, back = (
        build_corpus([part], tokenizer, tmp_path / name, SilentReporter())
        for name, part in (("forth", texts), ("back", texts[::-1]))
    )
    assert {texts[row] for row in forth.held_out} == {texts[::-1][row] for row in back.held_out}
    assert len(forth.held_out) == 10
    assert forth.fingerprint != back.fingerprint


def test_the_share_of_a_token(language_of: LanguageOf, corpus_of: CorpusOf) -> None:
    language = language_of()
    corpus = corpus_of(language, [f"好 the {letter} {other}" for letter in "abcdefgh" for other in "ijklmnop"])
    tokenizer = language.encoder.tokenizer
    assert corpus.fraction_of(tokenizer.token_to_id("[UNK]")) == 1 / 4
    assert corpus.fraction_of(tokenizer.token_to_id("the")) == 1 / 4
    assert corpus.fraction_of(None) == 0


def test_too_few_reviews_are_told(language_of: LanguageOf, corpus_of: CorpusOf) -> None:
    with pytest.raises(DataError, match="found 49 different reviews with text; pretraining needs at least 50"):
        corpus_of(language_of(), [*texts_of(49), *texts_of(49)])


def test_a_corpus_is_found_again_only_if_it_is_whole_and_the_same(
    language_of: LanguageOf, corpus_of: CorpusOf, tmp_path: Path
) -> None:
    made = corpus_of(language_of(), texts_of(80))
    folder = tmp_path / "corpus"
    assert open_corpus(folder, "stamp") is None
    mark_whole(folder, "stamp")
    assert open_corpus(folder, "other") is None
    found = open_corpus(folder, "stamp")
    assert found is not None
    assert found.fingerprint == made.fingerprint
    np.testing.assert_array_equal(found.tokens, made.tokens)


def test_reading_ends_with_the_time(language_of: LanguageOf, tmp_path: Path) -> None:
    def endless() -> Iterator[list[str]]:
        number = 0
        while True:
            number += 1000
            yield [f"the movie was great {index}" for index in range(number, number + 1000)]

    corpus = build_corpus(endless(), language_of().encoder.tokenizer, tmp_path / "corpus", SilentReporter(), deadline=0.0)
    assert len(corpus.training) == 980


def test_a_full_disk_is_told(language_of: LanguageOf, tmp_path: Path) -> None:
    full = tmp_path / "corpus"
    full.mkdir()
    (full / "tokens.bin").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="the disk is full"):
        build_corpus([texts_of(5000)], language_of().encoder.tokenizer, full, SilentReporter())


@pytest.mark.slow
def test_memory_stays_flat(tiny_backbone: Path, tmp_path: Path) -> None:
    """Ten times the table takes hardly more memory."""
    code = """
import resource, sys
from pathlib import Path
from ratecast.config import ColumnsConfig
from ratecast.data import stream_texts
from ratecast.pretraining.corpus import build_corpus
from ratecast.progress import SilentReporter
from tokenizers import Tokenizer
tokenizer = Tokenizer.from_file(sys.argv[2])
tokenizer.no_truncation()
build_corpus(stream_texts(sys.argv[1], ColumnsConfig(), print), tokenizer, Path(sys.argv[3]), SilentReporter())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    peaks = []
    for rows in (10_000, 100_000):
        table = tmp_path / f"{rows}.csv"
        with table.open("w", encoding="utf-8") as file:
            file.write("text\n")
            file.writelines(f"{'the movie was very great and awful ' * 20}{row}\n" for row in range(rows))
        arguments = [sys.executable, "-c", code, str(table), str(tiny_backbone / "tokenizer.json"), str(tmp_path / f"{rows}")]
        shown = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
        peaks.append(int(shown.split()[-1]))
    assert table.stat().st_size > 70_000_000
    assert peaks[1] < peaks[0] + 60_000, (peaks, resource.RUSAGE_SELF)  # kilobytes
