"""Translation by a pretrained sequence-to-sequence model, such as Marian's."""

import importlib.util
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError

from ratecast.errors import BackboneError, require
from ratecast.model.source import explain, find_origin, quiet, read_architecture
from ratecast.text import inference_batches, pad
from ratecast.text.sentences import pieces

_WHAT: Final = "translation model"
_MOST_POSITIONS: Final = 512
"""Tokens that a model without a limit of its own reads and writes at once."""


def check_translator(name: str) -> None:
    """Find out before long work whether a translation model is there; weights are not read.

    Raises:
        BackboneError: if it cannot be found, its folder lacks a file, or it is no sequence-to-sequence model.
        MissingExtraError: if the extra ``train`` is not installed.
    """
    architecture = read_architecture(name, find_origin(name), _WHAT)
    if not architecture.is_encoder_decoder:
        raise BackboneError(
            f"the {_WHAT} {name!r} is of the type {architecture.model_type!r}; expected a sequence-to-sequence model, such as "
            "Helsinki-NLP/opus-mt-en-de"
        )


class Translator:
    """Translates texts sentence by sentence, by greedy or beam search as the model's own generation settings say.

    Args:
        model: a transformers model with an encoder and a decoder.
        tokenizer: its tokenizer.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model, self._tokenizer = model.to(self._device).eval(), tokenizer
        limits = (getattr(model.config, "max_position_embeddings", None), tokenizer.model_max_length)
        self._positions: int = min([limit for limit in limits if limit] + [_MOST_POSITIONS])
        ends = model.generation_config.eos_token_id
        self._ends = torch.tensor(ends if isinstance(ends, list) else [ends or 0], device=self._device)

    @classmethod
    def load(cls, name: str) -> "Translator":
        """Load a model and its tokenizer; weights from safetensors only, never remote code.

        Args:
            name: name on the Hugging Face hub or a local folder.

        Raises:
            BackboneError: if it cannot be found or loaded, or is no sequence-to-sequence model.
            MissingExtraError: if the extra ``train`` is not installed.
        """
        transformers = require("transformers", "train", "translating")
        check_translator(name)
        source = find_origin(name).place
        with quiet(transformers):
            try:
                tokenizer = transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False)
                model = transformers.AutoModelForSeq2SeqLM.from_pretrained(
                    source, trust_remote_code=False, use_safetensors=True, dtype="float32"
                )
            except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
                raise BackboneError(explain(name, error, _WHAT) + _hint(error)) from None
            except (TypeError, AssertionError):  # what Marian's tokenizer of transformers 5.23 raises without its files
                raise BackboneError(f"the {_WHAT} {name!r} has no tokenizer that can be loaded") from None
        return cls(model, tokenizer)

    def translate(self, texts: Sequence[str]) -> list[str | None]:
        """Translation of each text; None of one that has a sentence whose translation did not end or is empty."""
        with quiet(require("transformers", "train", "translating")):
            split = [list(pieces(text, self._fits)) for text in texts]
            sentences = list(dict.fromkeys(piece for parts in split for piece, _ in parts if piece.strip()))
            found: dict[str, str | None] = dict(zip(sentences, self._translated(sentences), strict=True))
        return [_joined([(found.get(piece, piece), space) for piece, space in parts]) for parts in split]

    def _fits(self, text: str) -> bool:
        """Whether a translation of twice as many tokens, which is seldom, would still have room."""
        return len(self._ids(text)) <= self._positions // 2

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text)["input_ids"]
        return ids

    @torch.inference_mode()
    def _translated(self, sentences: Sequence[str]) -> list[str | None]:
        ids = [np.array(self._ids(sentence), dtype=np.int32) for sentence in sentences]
        translations: list[str | None] = [None] * len(sentences)
        for rows in inference_batches(np.array([len(sentence) for sentence in ids], dtype=np.int64)):
            batch = pad(ids, rows, pad_id=self._tokenizer.pad_token_id)
            most = min(self._positions - 1, 2 * batch.input_ids.shape[1] + 16)
            written = self._model.generate(
                input_ids=torch.from_numpy(batch.input_ids).to(self._device),
                attention_mask=torch.from_numpy(batch.attention_mask).to(self._device),
                max_new_tokens=most,
            )
            # A token that ends the sentence in the last place may have been forced there.
            ended = torch.isin(written[:, 1:most], self._ends).any(1).tolist()
            for row, tokens, is_whole in zip(rows, written, ended, strict=True):
                text = self._tokenizer.decode(tokens, skip_special_tokens=True).strip()
                translations[row] = text if is_whole and text else None
        return translations


def _hint(error: Exception) -> str:
    """Without sentencepiece, transformers 5 does not know Marian's tokenizers, and its message is about something else."""
    is_missing = "okenizer" in str(error) and importlib.util.find_spec("sentencepiece") is None
    return "; it may need the package sentencepiece, which is not installed: pip install sentencepiece" if is_missing else ""


def _joined(parts: Sequence[tuple[str | None, str]]) -> str | None:
    """A text from its pieces and the white space after each; None if a piece is missing."""
    found = [piece + space for piece, space in parts if piece is not None]
    return "".join(found) if len(found) == len(parts) else None
