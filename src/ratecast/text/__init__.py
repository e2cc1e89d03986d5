"""From texts to batches of token ids, without torch."""

from ratecast.text.augment import Augmentation, AugmentedTexts
from ratecast.text.batch import Batch, inference_batches, pad, pad_texts, parts_that_fit, training_batches
from ratecast.text.tokenise import TextEncoder, TextSettings, TokenisedTexts

__all__ = [
    "AugmentedTexts",
    "Augmentation",
    "Batch",
    "TextEncoder",
    "TextSettings",
    "TokenisedTexts",
    "inference_batches",
    "pad",
    "pad_texts",
    "parts_that_fit",
    "training_batches",
]
