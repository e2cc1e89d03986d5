"""Ratings from the likeness of a review to sentences that say one, for sentence encoders, which have no output layer for words.

What such a backbone has learnt is to give texts of like meaning like vectors; a label's own words are then all that is needed
to classify (Chang et al. 2008, "Importance of Semantic Representation: Dataless Classification").
"""

from typing import Final

import torch
from torch import Tensor, nn

from ratecast.config import FitConfig
from ratecast.model.backbone import Backbone, load_backbone
from ratecast.model.pooling import pool_mean
from ratecast.model.prompting.output import UnitLength
from ratecast.model.prompting.prompt import Prompt
from ratecast.model.prompting.verbaliser import Verbaliser
from ratecast.scale import RatingScale

SENTENCE: Final = "It was {word}."
SHARPNESS: Final = 50.0
"""Logit of a cosine of 1. Of 20, 50, 80 and 120 it had the lowest RMSE on reviews of restaurants (docs/experiments.md)."""


def load_likeness(config: FitConfig, scale: RatingScale) -> tuple[Backbone, Prompt]:
    """The configured backbone, and a head whose logits are cosines with the sentences of the levels.

    Args:
        config: the settings.
        scale: the rating scale.

    Raises:
        BackboneError, ConfigError, MissingExtraError: as `load_backbone` and `Verbaliser.parse` do.
    """
    written = config.few.verbaliser
    verbaliser = Verbaliser.default(scale) if written is None else Verbaliser.parse(written, scale)
    backbone = load_backbone(config.backbone)
    sentences = [SENTENCE.replace("{word}", word) for word in verbaliser.words]
    mixture = torch.tensor(verbaliser.mixture(scale), dtype=torch.float32)
    prompt = Prompt(
        template=SENTENCE,
        words=verbaliser.words,
        pooling="mean",
        transform=UnitLength(),
        weight=SHARPNESS * mixture @ _unit_vectors(backbone, sentences),
        bias=torch.zeros(len(scale)),
        is_new=True,
        is_likeness=True,
    )
    return backbone, prompt


@torch.inference_mode()
def _unit_vectors(backbone: Backbone, sentences: list[str]) -> Tensor:
    backbone.model.eval()
    found = []
    for ids in backbone.encoder.encode(sentences).ids:
        tokens = torch.from_numpy(ids.astype("int64"))[None]
        mask = torch.ones_like(tokens)
        found.append(pool_mean(backbone.model(input_ids=tokens, attention_mask=mask).last_hidden_state, mask))
    return nn.functional.normalize(torch.cat(found), dim=1).clone()
