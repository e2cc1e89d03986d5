"""The output layer of a language model: from a token's vector to a logit for each word of the vocabulary."""

import copy
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from ratecast.errors import BackboneError
from ratecast.model.backbone import Pretrained

_AGREEMENT: Final = 1e-3
"""Largest difference allowed between a logit of the language model and of the layer that was found in it."""
_ACTIVATIONS: Final = ("hidden_act", "classifier_activation", "hidden_activation", "activation")
"""What configurations call the activation of an output layer."""


class Transform(nn.Module):
    """What stands between a token's vector and the words of a masked language model: a dense layer, its activation, a norm.

    Devlin et al. 2019, appendix A.2; RoBERTa, DistilBERT, ELECTRA and ModernBERT have the same.

    Args:
        width: length of a token's vector.
        words_width: length of a word's vector in the output layer.
        activation: name of the activation in transformers.
        epsilon: that of the norm.
        dense_bias: whether the dense layer has a bias.
        norm_bias: whether the norm has one.
    """

    def __init__(
        self, width: int, words_width: int, activation: str, epsilon: float, *, dense_bias: bool = True, norm_bias: bool = True
    ) -> None:
        super().__init__()
        from transformers.activations import ACT2FN

        self.settings: dict[str, Any] = {
            "width": width,
            "words_width": words_width,
            "activation": activation,
            "epsilon": epsilon,
            "dense_bias": dense_bias,
            "norm_bias": norm_bias,
        }
        self.dense = nn.Linear(width, words_width, bias=dense_bias)
        self.activation: nn.Module = copy.deepcopy(ACT2FN[activation])
        self.norm = nn.LayerNorm(words_width, eps=epsilon, bias=norm_bias)

    @classmethod
    def of(cls, dense: nn.Linear, norm: nn.LayerNorm, activation: str) -> "Transform":
        """The transform with copies of these layers' weights."""
        made = cls(
            dense.in_features,
            dense.out_features,
            activation,
            norm.eps,
            dense_bias=dense.bias is not None,
            norm_bias=norm.bias is not None,
        )
        made.dense.load_state_dict(dense.state_dict())
        made.norm.load_state_dict(norm.state_dict())
        return made

    def forward(self, vectors: Tensor) -> Tensor:
        """Vectors of shape ``(review, words_width)`` from those of shape ``(review, width)``."""
        found: Tensor = self.norm(self.activation(self.dense(vectors)))
        return found


class UnitLength(nn.Module):
    """Vectors divided by their length, so that their products are cosines."""

    def __init__(self) -> None:
        super().__init__()
        self.settings: dict[str, Any] = {"unit_length": True}

    def forward(self, vectors: Tensor) -> Tensor:
        """Vectors of shape ``(review, width)`` from such vectors."""
        return nn.functional.normalize(vectors, dim=1)


@dataclass(frozen=True, kw_only=True)
class OutputLayer:
    """The output layer of a language model.

    Attributes:
        transform: what comes before the words' vectors; None where there is nothing, as in decoders.
        weight: vector of each word, shape ``(vocabulary, words_width)``.
        bias: shape ``(vocabulary,)``.
        is_new: whether the checkpoint has no output layer, so that the words' vectors are those at the input, and nothing has
            taught the backbone to tell words by them.
    """

    transform: Transform | None
    weight: Tensor
    bias: Tensor
    is_new: bool

    @classmethod
    def of(cls, loaded: Pretrained, name: str) -> "OutputLayer":
        """That of a language model with an output layer.

        Args:
            loaded: the model, of the class with its output layer.
            name: what the user calls it.

        Raises:
            BackboneError: if it has none, or one of an unknown kind.
        """
        language: Any = loaded.model
        words = language.get_output_embeddings()
        weight = language.get_input_embeddings().weight.detach()
        is_new = _is_new(loaded)
        if not isinstance(words, nn.Linear) or (is_new and weight.shape[1] != loaded.config.hidden_size):
            raise BackboneError(
                f"the backbone {name!r} ({loaded.config.model_type}) has no output layer that tells words, which a prompt "
                "needs: choose another backbone, or fit without a prompt"
            )
        if is_new:
            return cls(transform=None, weight=weight, bias=torch.zeros(len(weight)), is_new=True)
        weight = words.weight.detach()
        own: Tensor | None = getattr(words, "bias", None)
        bias = torch.zeros(len(weight)) if own is None else own.detach()
        for transform in _transforms(language, words):
            found = cls(transform=transform, weight=weight, bias=bias, is_new=False)
            if found._agrees(language):
                return found
        raise BackboneError(
            f"the backbone {name!r} ({loaded.config.model_type}) has an output layer of a kind that prompts cannot use: choose "
            "another backbone, or fit without a prompt"
        )

    def logits(self, vectors: Tensor) -> Tensor:
        """Logits of shape ``(token, vocabulary)`` for token vectors of shape ``(token, width)``."""
        return nn.functional.linear(vectors if self.transform is None else self.transform(vectors), self.weight, self.bias)

    @torch.no_grad()
    def _agrees(self, language: Any) -> bool:
        """Whether it gives what the language model itself does."""
        was_training = language.training
        language.eval()
        ids = torch.arange(min(4, len(self.weight)))[None]
        mask = torch.ones_like(ids)
        try:
            vectors = language.base_model(input_ids=ids, attention_mask=mask).last_hidden_state[0]
            if self.transform is None and vectors.shape[1] != self.weight.shape[1]:
                return False
            expected = language(input_ids=ids, attention_mask=mask).logits[0]
            return bool(torch.allclose(self.logits(vectors), expected, atol=_AGREEMENT, rtol=_AGREEMENT))
        finally:
            language.train(was_training)


def _is_new(loaded: Pretrained) -> bool:
    """Whether the checkpoint lacks weights of the output layer."""
    inner = f"{loaded.model.base_model_prefix}."
    return any(not name.startswith(inner) for name in loaded.missing)


def _transforms(language: Any, words: nn.Linear) -> list[Transform | None]:
    """What may stand before the words' vectors, to be tried: transformers says it in no other way than in code."""
    inner = {id(module) for module in language.base_model.modules()}
    own = [module for module in language.modules() if id(module) not in inner and module is not words]
    dense = [module for module in own if isinstance(module, nn.Linear)]
    norms = [module for module in own if isinstance(module, nn.LayerNorm)]
    if not dense and not norms:
        return [None]
    if len(dense) != 1 or len(norms) != 1:
        return []
    named = [getattr(language.config, name, None) for name in _ACTIVATIONS]
    names = dict.fromkeys([*(name for name in named if isinstance(name, str)), "gelu"])
    return [Transform.of(dense[0], norms[0], name) for name in names]
