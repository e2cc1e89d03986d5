"""Making models smaller."""

from ratecast.compress.vocabulary import PrunedVocabulary, prune_vocabulary

__all__ = ["PrunedVocabulary", "prune_vocabulary"]
