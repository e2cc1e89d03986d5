"""Masked words: the pretraining of BERT."""

from typing import ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray

from ratecast.config import PretrainConfig
from ratecast.errors import BackboneError
from ratecast.pretraining.examples import Batch, IntMatrix
from ratecast.pretraining.language import ENCODER, LanguageModel
from ratecast.pretraining.objectives.base import Loss, PretrainingObjective

_HIDDEN_SHARE: Final = 0.8
_RANDOM_SHARE: Final = 0.1


class MaskedObjective(PretrainingObjective):
    """Which words are hidden?

    As in Devlin et al. 2019, section 3.1, with the whole words of their later release: every word is chosen with the
    probability ``masked_fraction``, anew in each step (dynamic masking, Liu et al. 2019, section 4.1). Of the tokens of chosen
    words 80 % are hidden, 10 % become random ones and 10 % stay. The loss is the mean cross-entropy of all of them.

    Raises:
        BackboneError: if the tokenizer has no token to hide words with.
    """

    name: ClassVar = "masked"
    kinds: ClassVar = frozenset({ENCODER})
    learning_rate: ClassVar = 2e-4

    def __init__(self, language: LanguageModel, config: PretrainConfig) -> None:
        super().__init__(language, config)
        if language.mask_id is None:
            raise BackboneError(
                f"the tokenizer of {config.backbone!r} has no mask token, which masked words need: choose another objective"
            )
        self._mask_id = language.mask_id
        self._words = np.setdiff1d(np.arange(len(language.tokenizer)), language.special)

    def loss(self, batch: Batch, seed: tuple[int, ...]) -> Loss:
        """Mean cross-entropy of the chosen tokens."""
        ids, mask = self.tensors(batch)
        changed, chosen = self.hide(batch, seed)
        places = torch.from_numpy(np.flatnonzero(chosen)).to(ids.device)
        logits = self.language.logits(torch.from_numpy(changed).to(ids.device), mask, places)
        return Loss(mean=torch.nn.functional.cross_entropy(logits, ids.flatten()[places]), count=len(places))

    def hide(self, batch: Batch, seed: tuple[int, ...]) -> tuple[IntMatrix, NDArray[np.bool_]]:
        """The ids as the model sees them, and which tokens it has to tell, each of shape ``(example, token)``."""
        rng = np.random.default_rng(seed)
        ids, words = batch.input_ids, batch.words
        is_word = ~np.isin(ids, self.language.special)
        drawn = rng.random(int(words.max()) + 1)
        open_words = np.unique(words[is_word])
        threshold = self.config.masked_fraction
        if len(open_words):  # at least one word, so that there is a loss
            threshold = max(threshold, float(np.nextafter(drawn[open_words].min(), 1.0)))
        chosen = is_word & (drawn[words] < threshold)
        fate = rng.random(ids.shape)
        changed = np.where(chosen & (fate < _HIDDEN_SHARE), self._mask_id, ids)
        is_random = chosen & (fate >= _HIDDEN_SHARE) & (fate < _HIDDEN_SHARE + _RANDOM_SHARE)
        changed = np.where(is_random, rng.choice(self._words, ids.shape), changed)
        return changed, chosen
