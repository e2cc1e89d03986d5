"""What is made of probabilities after a model gave them: prediction intervals, and one rating for the metric that counts."""

from ratecast.combine.decide import decide, fit_thresholds
from ratecast.combine.intervals import Intervals

__all__ = ["Intervals", "decide", "fit_thresholds"]
