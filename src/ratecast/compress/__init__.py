"""Making models smaller."""

from ratecast.compress.distillation import distill
from ratecast.compress.quantise import Quantised, quantise
from ratecast.compress.vocabulary import PrunedVocabulary, prune_vocabulary

__all__ = ["distill", "PrunedVocabulary", "prune_vocabulary", "Quantised", "quantise"]
