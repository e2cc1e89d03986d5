"""A backbone with what predicts words from its outputs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
import transformers
from torch import Tensor, nn

from ratecast.errors import BackboneError
from ratecast.model.backbone import Pretrained, fast_tokenizer, load_pretrained, most_positions, pad_id
from ratecast.model.precision import computing_in
from ratecast.model.source import is_decoder, quiet
from ratecast.text import TextEncoder
from ratecast.train.precision import PRECISIONS

ENCODER: Final = "encoder"
DECODER: Final = "decoder"
_CLASSES: Final = {ENCODER: "AutoModelForMaskedLM", DECODER: "AutoModelForCausalLM"}


class LanguageModel(nn.Module):
    """A pretrained model with its output layer over the vocabulary.

    The output layer is the checkpoint's own where it has one. Where an encoder's has none, transformers makes that of BERT: a
    dense layer, its activation, a layer norm, and the input embeddings with a bias (Devlin et al. 2019, appendix A.2).

    Args:
        loaded: as `load_language` loads it.
        kind: ENCODER or DECODER.
        encoder: turns texts into token ids.
        precision: name of what the model computes in; weights stay in float32.

    Attributes:
        tokenizer: that of transformers.
        sha256: hash of the weights as they were loaded, None where they are in several files.
        special: ids of the tokens that are no words.
        mask_id: the token that hides a word; None for decoders.
        new: names of the weights that the checkpoint lacks.
    """

    def __init__(self, loaded: Pretrained, kind: str, encoder: TextEncoder, precision: str) -> None:
        super().__init__()
        self.model = loaded.model
        self.kind = kind
        self.encoder = encoder
        self.special = tuple(sorted(set(loaded.tokenizer.all_special_ids)))
        self.tokenizer = loaded.tokenizer
        self.sha256 = loaded.sha256
        self.mask_id: int | None = loaded.tokenizer.mask_token_id
        self.new = frozenset(f"model.{name}" for name in loaded.missing)
        self._output_is_trained = True
        self._loaded = loaded
        self._precision = PRECISIONS[precision]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        found: torch.device = next(self.model.parameters()).device
        return found

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens."""
        found: int = self.model.get_input_embeddings().weight.shape[0]
        return found

    @property
    def separators(self) -> tuple[int, ...]:
        """Tokens that stand between two reviews: those that end a text, or the tokenizer's end of text, or its beginning."""
        end = self.tokenizer.eos_token_id
        ids = self.encoder.settings.suffix_ids or (() if end is None else (int(end),)) or self.encoder.settings.prefix_ids
        return tuple(ids)

    def vectors(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token vectors, shape ``(text, token, width)``, from ids and mask of shape ``(text, token)``."""
        with computing_in(self._precision, self.device):
            output: Any = self.model.base_model(input_ids=input_ids, attention_mask=attention_mask, **self._uncached())
        vectors: Tensor = output.last_hidden_state
        return vectors.float()

    def logits(self, input_ids: Tensor, attention_mask: Tensor, places: Tensor) -> Tensor:
        """Logits of every token of the vocabulary at some places only, shape ``(place, vocabulary)``.

        The output layer costs as much as the layers of a small model, and what it says of the other places is not needed.

        Args:
            input_ids: shape ``(text, token)``.
            attention_mask: same shape.
            places: numbers of places in row-major order, shape ``(place,)``.
        """
        with self._only(places), computing_in(self._precision, self.device):
            output: Any = self.model(input_ids=input_ids, attention_mask=attention_mask, **self._uncached())
        logits: Tensor = output.logits[0]
        return logits.float()

    def save(self, folder: Path) -> None:
        """Write a folder that transformers loads; without the output layer if that was never trained."""
        self._loaded.restore_config()
        part = self.model if self._output_is_trained or not self.new else self.model.base_model
        with quiet(transformers):
            part.save_pretrained(str(folder))
            self.tokenizer.save_pretrained(str(folder))

    def without_output(self) -> None:
        """Leave the output layer as it is: an objective does without it."""
        base = {id(weight) for weight in self.model.base_model.parameters()}
        for weight in self.model.parameters():
            weight.requires_grad_(id(weight) in base)
        self._output_is_trained = False

    def _uncached(self) -> dict[str, bool]:
        return {"use_cache": False} if self.kind == DECODER else {}

    @contextmanager
    def _only(self, places: Tensor) -> Iterator[None]:
        """While the context is open, the output layer gets the vectors of these places alone, as one text."""

        def select(_model: nn.Module, _inputs: Any, output: Any) -> Any:
            vectors = output.last_hidden_state
            output["last_hidden_state"] = vectors.flatten(0, 1)[places].unsqueeze(0)
            return output

        handle = self.model.base_model.register_forward_hook(select)
        try:
            yield
        finally:
            handle.remove()


def load_language(name: str, *, block_tokens: int, precision: str, inner_dropout: bool) -> LanguageModel:
    """Load a backbone with its output layer; arguments and errors as for `load_pretrained`.

    Args:
        name: the default backbone, a folder, or a name on the hub.
        block_tokens: longest input; no more than the backbone has positions for are taken.
        precision: what it computes in.
        inner_dropout: whether its dropout is on.

    Raises:
        BackboneError: also if it is neither an encoder nor a decoder.
    """
    kinds: list[str] = []

    def choose(config: Any) -> str:
        kinds.append(_kind(config, name))
        return _CLASSES[kinds[0]]

    loaded = load_pretrained(name, choose, inner_dropout=inner_dropout)
    positions = most_positions(loaded.config)
    tokens = block_tokens if positions is None else min(block_tokens, positions)
    encoder = TextEncoder.create(
        fast_tokenizer(loaded.tokenizer, name), max_tokens=tokens, head_fraction=0.5, pad_id=pad_id(loaded.tokenizer)
    )
    if len(loaded.tokenizer) > loaded.model.get_input_embeddings().weight.shape[0]:
        raise BackboneError(f"the tokenizer of {name!r} has more tokens than the backbone; they do not belong together")
    return LanguageModel(loaded, kinds[0], encoder, precision)


def _kind(config: Any, name: str) -> str:
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    if not getattr(config, "is_encoder_decoder", False):
        if config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
            return ENCODER
        if is_decoder(config):
            return DECODER
    raise BackboneError(
        f"the backbone {name!r} ({config.model_type}) is neither an encoder with masked words, such as BERT, nor a "
        "decoder, such as GPT-2; choose one of these"
    )
