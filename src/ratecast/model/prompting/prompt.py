"""A backbone that reads in a template and tells words."""

from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor

from ratecast.config import FitConfig
from ratecast.errors import BackboneError, ConfigError
from ratecast.model.backbone import Backbone, backbone_architecture, load_backbone, load_tokenizer
from ratecast.model.heads import HEADS, Head, SoftmaxHead
from ratecast.model.prompting.frame import Frame, Vocabulary, create_frame
from ratecast.model.prompting.output import OutputLayer, Transform, UnitLength
from ratecast.scale import RatingScale

_ENCODER: Final = "AutoModelForMaskedLM"
_DECODER: Final = "AutoModelForCausalLM"


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a network needs to tell words.

    Attributes:
        template: the template as it was written.
        words: the words, from the lowest rating to the highest.
        pooling: name of the pooling that takes the place where the word is told.
        transform: what comes after that; None for nothing.
        weight: the head's weight that gives each level the logit of its words, shape ``(level, width)``.
        bias: its bias, shape ``(level,)``.
        is_new: whether the backbone had no output layer, see `OutputLayer`.
        is_likeness: whether reviews are compared with the template's sentences in place of being read in it.
    """

    template: str
    words: tuple[str, ...]
    pooling: str
    transform: Transform | UnitLength | None
    weight: Tensor
    bias: Tensor
    is_new: bool
    is_likeness: bool = False

    @property
    def width(self) -> int:
        """Length of the vectors that the head takes."""
        return int(self.weight.shape[1])

    @torch.no_grad()
    def start(self, head: Head) -> None:
        """Set a head so that its probabilities are those of the words, among each other."""
        head.vector_mean.zero_()
        head.vector_deviation.fill_(1.0)
        head.linear.weight.copy_(self.weight)
        head.linear.bias.copy_(self.bias)

    def describe(self) -> str:
        """Template and words, for people."""
        how = "likeness to " if self.is_likeness else ""
        return f"{how}{self.template!r} with the words {', '.join(self.words)}"

    def lines(self) -> list[str]:
        """What to tell before it is used."""
        warning = self.warning()
        return [f"prompt: {self.describe()}", *([] if warning is None else [f"warning: {warning}"])]

    def warning(self) -> str | None:
        """What to know of a backbone without an output layer; None for others."""
        if not self.is_new:
            return None
        if self.is_likeness:
            return (
                "the backbone has no output layer that tells words, so that reviews are compared with sentences, which may say "
                "less: try a backbone that has one, such as bert-base-uncased or a decoder"
            )
        return (
            "the backbone has no output layer, and nothing has taught it to tell words: a prompt says little before training. "
            "ratecast pretrain teaches an encoder to, or take a backbone that has one, such as bert-base-uncased"
        )


def load_prompted(config: FitConfig, scale: RatingScale, *, added_tokens: int = 0) -> tuple[Backbone, Prompt | None]:
    """The configured backbone; with a prompt, its encoder puts the frame around each text.

    Args:
        config: the settings.
        scale: the rating scale.
        added_tokens: as for `load_backbone`.

    Raises:
        BackboneError, ConfigError, MissingExtraError: as `load_backbone`, `create_frame` and `OutputLayer.of` do.
    """
    if config.few.prompt is None:
        return load_backbone(config.backbone, added_tokens=added_tokens), None
    name = config.backbone.backbone
    backbone = load_backbone(config.backbone, added_tokens=added_tokens, kind=lambda found: _language_class(found, name))
    loaded = backbone.language
    if loaded is None:
        raise ValueError("a language model was asked for")
    has_mask = _language_class(loaded.config, name) == _ENCODER
    frame = create_frame(Vocabulary.of(backbone.encoder, loaded.tokenizer, has_mask=has_mask), config.few, scale)
    encoder = frame.around(backbone.encoder)
    return replace(backbone, encoder=encoder, language=None), _prompt(frame, OutputLayer.of(loaded, name))


def check_prompt(config: FitConfig, scale: RatingScale) -> None:
    """Find out before long work whether the prompt can be used; weights are not read.

    Raises:
        BackboneError, ConfigError: as for `load_prompted`.
    """
    head, name = config.backbone.head, config.backbone.backbone
    if not issubclass(HEADS.get(head, SoftmaxHead), SoftmaxHead):
        known = ", ".join(sorted(known for known, kind in HEADS.items() if issubclass(kind, SoftmaxHead)))
        raise ConfigError(f"a prompt needs a head with a logit for each level, found head={head}; choose one of {known}")
    has_mask = _language_class(backbone_architecture(name), name) == _ENCODER
    tokenizer, encoder = load_tokenizer(config.backbone)
    create_frame(Vocabulary.of(encoder, tokenizer, has_mask=has_mask), config.few, scale).around(encoder)


def _prompt(frame: Frame, output: OutputLayer) -> Prompt:
    mixture = torch.tensor(frame.mixture, dtype=torch.float32)
    ids = list(frame.word_ids)
    return Prompt(
        template=frame.template,
        words=frame.words,
        pooling=frame.pooling,
        transform=output.transform,
        weight=mixture @ output.weight[ids].float(),
        bias=mixture @ output.bias[ids].float(),
        is_new=output.is_new,
    )


def _language_class(config: Any, name: str) -> str:
    """The class of transformers that loads a backbone with its output layer."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_FOR_MASKED_LM_MAPPING_NAMES

    if not getattr(config, "is_encoder_decoder", False):
        if config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
            return _ENCODER
        if config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
            return _DECODER
    raise BackboneError(
        f"the backbone {name!r} ({config.model_type}) has no output layer that tells words, which a prompt needs: choose "
        "another backbone, or fit without a prompt"
    )
