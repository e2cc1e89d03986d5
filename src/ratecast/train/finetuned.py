"""What fine-tuning gives."""

from dataclasses import dataclass

from ratecast.config import FitConfig
from ratecast.model.adapters import Adapter
from ratecast.model.backbone import Backbone
from ratecast.model.prompting import Prompt
from ratecast.model.rater import Rater
from ratecast.scale import FloatArray
from ratecast.train.ensemble import Ensemble
from ratecast.train.loop import TrainingResult
from ratecast.train.pairs import Pairs


@dataclass(frozen=True, kw_only=True)
class FineTuned:
    """A fine-tuned network, and what the same backbone was worth before.

    Attributes:
        rater: the network with the best weights.
        backbone: what it was made from.
        config: the settings with what the plan decided filled in.
        result: how training went.
        validation: level probabilities of the validation reviews at `stopping_rows`, ``(review, level)``.
        before: probabilities of the judged reviews by a head on the untrained backbone, ``(review, level)``, if time allows.
        before_seconds: time that this head and its vectors took.
        judged: how many test reviews the time allows to judge on.
        reviews: training reviews that were used.
        windowed: those of them that were read in more than one window.
        shortened: those of them that were too long to be read whole.
        ensemble: the networks that this one learnt from besides the ratings, None without any.
        paraphrased: training reviews that were also read as they came back from another language.
        adapter: the weights that were added to the backbone; None where its own were trained.
        prompt: what the texts were read in; None without one.
        pairs: what was learnt from pairs of reviews before; None if nothing was.
        is_untrained: whether the backbone is as it was pretrained: its topmost layers started anew, and what they learnt was
            worse on the validation reviews than they had been.
    """

    rater: Rater
    backbone: Backbone
    config: FitConfig
    result: TrainingResult
    validation: FloatArray
    before: FloatArray | None
    before_seconds: float
    judged: int
    reviews: int
    windowed: int
    shortened: int
    ensemble: Ensemble | None
    paraphrased: int
    adapter: Adapter | None
    prompt: Prompt | None
    pairs: Pairs | None
    is_untrained: bool
