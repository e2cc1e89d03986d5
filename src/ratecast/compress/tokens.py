"""A tokenizer with fewer tokens that reads everything that the whole one can read.

Each kind of tokenizer needs other tokens to stay besides those that are wanted: so that a text of wanted tokens alone becomes
the same ones again, and any other text is divided into smaller tokens, not into unknown ones. The idea is that of
Abdaoui et al. 2020, "Load What You Need: Smaller Versions of Multilingual BERT".
"""

import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from tokenizers import Tokenizer

from ratecast.errors import BackboneError
from ratecast.scale import IntArray

Model = dict[str, Any]
"""The part ``model`` of a ``tokenizer.json``."""

_BYTE: Final = re.compile(r"<0x[0-9A-F]{2}>")


@dataclass(frozen=True, kw_only=True)
class ReducedTokenizer:
    """A tokenizer with some of the tokens of another.

    Attributes:
        tokenizer: the tokenizer.
        kept: for each of its tokens the id that it had, ascending, shape ``(token,)``.
    """

    tokenizer: Tokenizer
    kept: IntArray


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """How the tokens of one kind of tokenizer depend on each other.

    Attributes:
        needed: tokens that must stay besides the wanted ones.
        reduced: the model with the kept tokens alone, by their new ids in ascending order.
    """

    needed: Callable[[Model, set[str]], set[str]]
    reduced: Callable[[Model, Mapping[str, int]], Model]


def reduce_tokenizer(tokenizer: Tokenizer, wanted: Iterable[int]) -> ReducedTokenizer:
    """A tokenizer with the wanted tokens, special and added tokens, and what its kind needs; kept tokens stay in their order.

    Args:
        tokenizer: the whole one; it is left as it is.
        wanted: ids of tokens.

    Raises:
        BackboneError: if it is of a kind whose tokens cannot be taken away.
    """
    content = json.loads(tokenizer.to_str())
    model: Model = content["model"]
    kind = _kind(model)
    ids = _own_ids(model) | {added["content"]: added["id"] for added in content["added_tokens"]}
    names = {number: token for token, number in ids.items()}
    tokens = {names[number] for number in wanted if number in names} | _named(content)
    tokens |= kind.needed(model, tokens)
    kept = sorted(ids[token] for token in tokens)
    new = {names[number]: place for place, number in enumerate(kept)}
    own = _own_ids(model)
    content["model"] = kind.reduced(model, {token: number for token, number in new.items() if token in own})
    for added in content["added_tokens"]:
        added["id"] = new[added["content"]]
    if content["padding"]:
        content["padding"]["pad_id"] = new[content["padding"]["pad_token"]]
    _renumber(content["post_processor"], new)
    reduced = Tokenizer.from_str(json.dumps(content, ensure_ascii=False))
    if any(reduced.token_to_id(token) != number for token, number in new.items()):
        raise BackboneError("the tokenizer's added tokens stand between others, which cannot be kept; take another backbone")
    return ReducedTokenizer(tokenizer=reduced, kept=np.array(kept, dtype=np.int64))


def _kind(model: Model) -> _Kind:
    name = model["type"]
    if name not in KINDS:
        raise BackboneError(f"cannot prune the vocabulary of a {name} tokenizer; expected one of {', '.join(KINDS)}")
    if name == "BPE" and (model["continuing_subword_prefix"] or model["end_of_word_suffix"]):
        raise BackboneError("cannot prune the vocabulary of a BPE tokenizer that marks tokens inside or at the end of words")
    return KINDS[name]


def _own_ids(model: Model) -> dict[str, int]:
    """Id of every token but the added ones."""
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        return dict(vocabulary)
    return {piece: number for number, (piece, _score) in enumerate(vocabulary)}


def _named(content: dict[str, Any]) -> set[str]:
    """Tokens that another part of the tokenizer speaks of."""
    model = content["model"]
    found = {added["content"] for added in content["added_tokens"]}
    if model.get("unk_token") is not None:
        found.add(model["unk_token"])
    if model.get("unk_id") is not None:
        found.add(model["vocab"][model["unk_id"]][0])
    return found | _framing(content["post_processor"])


def _framing(processor: Any) -> set[str]:
    """Tokens that are put around texts."""
    if processor is None:
        return set()
    found = {token for part in processor.get("processors", []) for token in _framing(part)}
    if processor["type"] in {"BertProcessing", "RobertaProcessing"}:
        found |= {processor["sep"][0], processor["cls"][0]}
    if processor["type"] == "TemplateProcessing":
        found |= {token for special in processor["special_tokens"].values() for token in special["tokens"]}
    return found


def _renumber(processor: Any, new: Mapping[str, int]) -> None:
    """Put the new ids into the part that adds special tokens."""
    if processor is None:
        return
    for part in processor.get("processors", []):
        _renumber(part, new)
    if processor["type"] in {"BertProcessing", "RobertaProcessing"}:
        for side in ("sep", "cls"):
            processor[side][1] = new[processor[side][0]]
    if processor["type"] == "TemplateProcessing":
        for special in processor["special_tokens"].values():
            special["ids"] = [new[token] for token in special["tokens"]]


def _needed_by_unigram(model: Model, _wanted: set[str]) -> set[str]:
    """Characters and bytes, and every piece with a character that is no piece itself.

    The best division of a text stays the best when others become impossible (Kudo 2018, "Subword Regularization", section 3.2).
    """
    pieces = [piece for piece, _score in model["vocab"]]
    characters = {piece for piece in pieces if len(piece) == 1}
    return characters | {piece for piece in pieces if _BYTE.fullmatch(piece) or not characters.issuperset(piece)}


def _reduced_unigram(model: Model, new: Mapping[str, int]) -> Model:
    vocabulary = [entry for entry in model["vocab"] if entry[0] in new]
    unknown = model["unk_id"]
    return model | {"vocab": vocabulary, "unk_id": None if unknown is None else new[model["vocab"][unknown][0]]}


def _needed_by_wordpiece(model: Model, _wanted: set[str]) -> set[str]:
    """Characters, at the beginning of words and inside, and every piece that could not be divided into these.

    Of each word the longest piece is taken again and again, and stays the longest when others are gone.
    """
    prefix, vocabulary = model["continuing_subword_prefix"], model["vocab"]

    def divided(token: str) -> list[str]:
        inside = token.startswith(prefix) and len(token) > len(prefix)
        characters = token.removeprefix(prefix) if inside else token
        return [prefix + character if inside or place else character for place, character in enumerate(characters)]

    parts = {token: divided(token) for token in vocabulary if token}
    return {token for token, found in parts.items() if len(found) == 1 or not all(part in vocabulary for part in found)}


def _needed_by_bpe(model: Model, wanted: set[str]) -> set[str]:
    """Characters (the bytes, where it works on bytes), and all that the wanted tokens are merged from.

    The pair that was merged first is merged first again where others are gone (Sennrich et al. 2016, section 3.2). What a token
    is merged from is the same in every text: no pair across its ends is ever merged.
    """
    ranks = {(left, right): rank for rank, (left, right) in enumerate(model["merges"])}
    found = {token for token in model["vocab"] if len(token) == 1 or _BYTE.fullmatch(token)}
    for token in wanted - found:
        if token in model["vocab"]:
            found |= _merged(token, ranks)
    return found


def _merged(token: str, ranks: Mapping[tuple[str, str], int]) -> set[str]:
    """Every token that arises while the characters of this one are merged."""
    symbols, found = list(token), set[str]()
    while True:
        pairs = [(ranks[pair], place) for place, pair in enumerate(itertools.pairwise(symbols)) if pair in ranks]
        if not pairs:
            return found
        place = min(pairs)[1]
        symbols[place : place + 2] = ["".join(symbols[place : place + 2])]
        found.add(symbols[place])


def _reduced_words(model: Model, new: Mapping[str, int]) -> Model:
    return model | {"vocab": dict(new)}


def _reduced_bpe(model: Model, new: Mapping[str, int]) -> Model:
    merges = [pair for pair in model["merges"] if new.keys() >= {*pair, "".join(pair)}]
    return model | {"vocab": dict(new), "merges": merges}


KINDS: Final[Mapping[str, _Kind]] = {
    "Unigram": _Kind(needed=_needed_by_unigram, reduced=_reduced_unigram),
    "WordPiece": _Kind(needed=_needed_by_wordpiece, reduced=_reduced_words),
    "BPE": _Kind(needed=_needed_by_bpe, reduced=_reduced_bpe),
}
"""Kinds of tokenizers that can be reduced, by the ``type`` in their ``tokenizer.json``."""
