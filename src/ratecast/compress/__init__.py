"""Making models smaller."""

from ratecast.compress.distill import distill
from ratecast.compress.vocabulary import PrunedVocabulary, prune_vocabulary

__all__ = ["distill", "PrunedVocabulary", "prune_vocabulary"]
