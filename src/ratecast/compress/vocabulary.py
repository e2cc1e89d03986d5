"""A backbone with only the tokens that the user's reviews need."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from tokenizers import Tokenizer

from ratecast.compress.tokens import ReducedTokenizer, reduce_tokenizer
from ratecast.config import ColumnsConfig
from ratecast.data import Source, stream_texts
from ratecast.errors import BackboneError, ConfigError, DataError, require
from ratecast.model.store import FolderKind, check_target, new_folder, package_versions, write_json
from ratecast.progress import ConsoleReporter, Reporter
from ratecast.scale import IntArray

if TYPE_CHECKING:
    from ratecast.model.backbone import Pretrained

FACTS_FILE: Final = "vocabulary.json"
PRUNED: Final = FolderKind(what="a backbone of ratecast prune-vocabulary", marker=FACTS_FILE)

Texts = Callable[[], Iterable[Sequence[str]]]

_TOKENISED_TEXTS: Final = 1_000
_FIRST_TOKENS: Final = 256
"""A padding token among so many first ones keeps its id: RoBERTa and its kin number positions from it on."""


@dataclass(frozen=True, kw_only=True)
class PrunedVocabulary:
    """A backbone with fewer tokens.

    Attributes:
        folder: where it is; ``fit`` takes it as its ``backbone``.
        tokens_before: rows of the token embeddings before.
        tokens_after: and now.
        megabytes_before: size of weights and tokenizer before, in 10^6 bytes.
        megabytes_after: and now.
        reviews: reviews with text that were read.
        changed: those of them that the smaller tokenizer divides into other tokens; 0 if every token that occurs was kept.
    """

    folder: Path
    tokens_before: int
    tokens_after: int
    megabytes_before: float
    megabytes_after: float
    reviews: int
    changed: int

    def describe(self) -> str:
        """What came of it, in a sentence."""
        return (
            f"{self.tokens_before:,} tokens before, {self.tokens_after:,} after; {self.megabytes_before:,.1f} MB before, "
            f"{self.megabytes_after:,.1f} MB after; {self.changed:,} of {self.reviews:,} reviews "
            f"({self.changed / self.reviews:.1%}) are read in other tokens than before"
        )


def prune_vocabulary(
    source: Source,
    *,
    backbone: str,
    out: str | Path,
    minimum_count: int = 1,
    columns: ColumnsConfig | None = None,
    reporter: Reporter | None = None,
) -> PrunedVocabulary:
    """Write a backbone that has only the tokens which occur in the texts of a table, and those that other texts fall back on.

    Characters, bytes and special tokens always stay, so that no text has unknown words that had none before; what was one token
    may become several. Reviews whose tokens were all kept give the same vectors as before.

    Args:
        source: a file, folder, pattern, database or frame of reviews; no ratings are needed. Files are read piece by piece.
        backbone: the backbone: a folder, or a name on the hub.
        out: folder for the smaller one; an older one there is replaced.
        minimum_count: how often a token must occur to stay; those of fewer are written in smaller ones.
        columns: columns that are known already, and the SQL query.
        reporter: shows messages; on standard error by default.

    Raises:
        BackboneError: if the backbone cannot be loaded, or its tokenizer is of a kind that cannot be reduced.
        ConfigError: if the minimum count is less than 1.
        DataError: if the table cannot be used or has no text.
        OutputError: if the folder cannot be written.

    Example:
        ``prune_vocabulary("reviews.csv", backbone="multilingual-e5-small/", out="smaller/")``
    """
    told = reporter or ConsoleReporter()
    target = Path(out)
    if minimum_count < 1:
        raise ConfigError(f"the minimum count of a token is {minimum_count}; expected 1 or more")
    check_target(target, PRUNED)
    require("torch", "train", "pruning a vocabulary")
    from ratecast.model.backbone import fast_tokenizer, load_pretrained

    loaded = load_pretrained(backbone, _class)
    tokenizer = fast_tokenizer(loaded.tokenizer, backbone)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    rows = int(loaded.model.get_input_embeddings().weight.shape[0])
    if rows < tokenizer.get_vocab_size():
        raise BackboneError(f"the tokenizer of {backbone!r} has more tokens than the backbone; they do not belong together")
    chosen = columns or ColumnsConfig()
    counts = _count(stream_texts(source, chosen, told.tell), tokenizer, rows)
    wanted = {*np.flatnonzero(counts >= minimum_count).tolist(), *_special(loaded)}
    reduced = reduce_tokenizer(tokenizer, wanted)
    before = _megabytes(loaded, tokenizer)
    shrink(loaded.model, reduced.kept)
    reviews, changed = _compare(stream_texts(source, chosen, lambda _line: None), tokenizer, reduced)
    found = PrunedVocabulary(
        folder=target,
        tokens_before=rows,
        tokens_after=len(reduced.kept),
        megabytes_before=before,
        megabytes_after=_megabytes(loaded, reduced.tokenizer),
        reviews=reviews,
        changed=changed,
    )
    with new_folder(target, PRUNED) as new:
        _write(new, loaded, reduced, found, {"backbone": backbone, "minimum_count": minimum_count})
    return found


def shrink(model: Any, kept: IntArray) -> None:
    """Leave a model of transformers only some rows of its token embeddings, and of its layer that tells tokens if it has one.

    Args:
        model: the model; its configuration gets the new number of tokens and ids of special tokens.
        kept: the rows that stay, in their new order, shape ``(token,)``.

    Raises:
        BackboneError: if it has another table over its tokens.
    """
    import torch

    rows, before = torch.from_numpy(kept), int(model.get_input_embeddings().weight.shape[0])
    tables = [layer for layer in (model.get_input_embeddings(), model.get_output_embeddings()) if layer is not None]
    weights = {id(weight): weight for layer in tables for weight in layer.parameters(recurse=False)}
    with torch.no_grad():
        for weight in weights.values():
            weight[: len(rows)] = weight[rows]
    model.resize_token_embeddings(len(rows), mean_resizing=False)
    others = [name for name, weight in model.named_parameters() if before > len(rows) and weight.shape[0] == before]
    if others:
        raise BackboneError(f"cannot prune the vocabulary of {type(model).__name__}: {others[0]} goes over its tokens too")
    for settings in (model.config, model.config.get_text_config(), getattr(model, "generation_config", None)):
        _renumber(settings, {number: place for place, number in enumerate(kept.tolist())})


def _class(config: Any) -> str:
    """The class of transformers that a checkpoint was written by, so that an output layer stays, or the bare model."""
    import transformers

    if getattr(config, "is_encoder_decoder", False):
        raise BackboneError(f"a {config.model_type} is a sequence-to-sequence model, which nothing here reads with afterwards")
    names = getattr(config, "architectures", None) or []
    return names[0] if names and hasattr(transformers, names[0]) else "AutoModel"


def _special_settings(settings: Any) -> Iterator[tuple[str, list[int]]]:
    """Settings of a configuration that are ids of special tokens."""
    for name, value in ({} if settings is None else settings.to_dict()).items():
        ids = value if isinstance(value, list) else [value]
        if name.endswith("_token_id") and ids and all(isinstance(number, int) for number in ids):
            yield name, ids


def _renumber(settings: Any, new: dict[int, int]) -> None:
    for name, ids in _special_settings(settings):
        found = [new.get(number, number) for number in ids]
        setattr(settings, name, found if isinstance(getattr(settings, name), list) else found[0])


def configured_ids(model: Any) -> set[int]:
    """Ids of tokens that a model's configuration speaks of, and those before a padding token at the beginning."""
    config = model.config
    found = {
        number for settings in (config, config.get_text_config()) for _, ids in _special_settings(settings) for number in ids
    }
    return found | _up_to(config.pad_token_id)


def _special(loaded: "Pretrained") -> set[int]:
    """Ids that the tokenizer or the configuration speak of, and those before a padding token at the beginning."""
    return {*loaded.tokenizer.all_special_ids, *configured_ids(loaded.model), *_up_to(loaded.tokenizer.pad_token_id)}


def _up_to(pad: int | None) -> set[int]:
    return set(range(pad + 1)) if pad is not None and pad < _FIRST_TOKENS else set()


def _pieces(texts: Iterable[Sequence[str]]) -> Iterator[Sequence[str]]:
    for piece in texts:
        for start in range(0, len(piece), _TOKENISED_TEXTS):
            yield piece[start : start + _TOKENISED_TEXTS]


def _count(texts: Iterable[Sequence[str]], tokenizer: Tokenizer, tokens: int) -> IntArray:
    """How often each token occurs, shape ``(token,)``."""
    counts = np.zeros(tokens, dtype=np.int64)
    for piece in _pieces(texts):
        encodings = tokenizer.encode_batch_fast(list(piece), add_special_tokens=False)
        counts += np.bincount(np.concatenate([np.array(found.ids, dtype=np.int64) for found in encodings]), minlength=tokens)
    if not counts.any():
        raise DataError("the table has no text; nothing was written")
    return counts


def _compare(texts: Iterable[Sequence[str]], tokenizer: Tokenizer, reduced: ReducedTokenizer) -> tuple[int, int]:
    """How many texts there are, and how many of them the smaller tokenizer divides otherwise."""
    reviews = changed = 0
    for piece in _pieces(texts):
        before = tokenizer.encode_batch_fast(list(piece), add_special_tokens=False)
        after = reduced.tokenizer.encode_batch_fast(list(piece), add_special_tokens=False)
        reviews += len(piece)
        changed += sum(old.ids != reduced.kept[new.ids].tolist() for old, new in zip(before, after, strict=True))
    return reviews, changed


def _megabytes(loaded: "Pretrained", tokenizer: Tokenizer) -> float:
    """Size of the weights that the checkpoint has, in the precision that it has them in, and of the tokenizer."""
    numbers = sum(weight.numel() for name, weight in loaded.model.named_parameters() if name not in loaded.missing)
    weights: int = numbers * _dtype(loaded).itemsize
    return (weights + len(tokenizer.to_str().encode())) / 1e6


def _dtype(loaded: "Pretrained") -> Any:
    """The precision that a checkpoint was written in."""
    import torch

    found = getattr(loaded.config, "dtype", None)
    return found if isinstance(found, torch.dtype) and found.is_floating_point else torch.float32


def _write(new: Path, loaded: "Pretrained", reduced: ReducedTokenizer, found: PrunedVocabulary, facts: dict[str, Any]) -> None:
    import transformers

    from ratecast.model.source import quiet

    loaded.restore_config()
    model = loaded.model.to(_dtype(loaded))
    weights = {name: weight for name, weight in model.state_dict().items() if name not in loaded.missing}
    old = loaded.tokenizer
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=reduced.tokenizer,
        model_max_length=old.model_max_length,
        padding_side=old.padding_side,
        extra_special_tokens=list(old.extra_special_tokens),
        **old.special_tokens_map,
    )
    tokenizer.chat_template = old.chat_template
    with quiet(transformers):
        model.save_pretrained(str(new), state_dict=weights)
        tokenizer.save_pretrained(str(new))
    content = {name: value for name, value in asdict(found).items() if name != "folder"}
    about = {"made": datetime.now(UTC).isoformat(timespec="seconds"), **facts, "backbone_sha256": loaded.sha256}
    versions = package_versions("ratecast", "torch", "transformers", "tokenizers", "numpy")
    write_json(new / FACTS_FILE, {**about, **content, "versions": versions})
