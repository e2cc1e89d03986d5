"""Making models smaller."""

from ratecast.compress.quantise import Quantised, quantise
from ratecast.compress.vocabulary import PrunedVocabulary, prune_vocabulary

__all__ = ["PrunedVocabulary", "prune_vocabulary", "Quantised", "quantise"]
