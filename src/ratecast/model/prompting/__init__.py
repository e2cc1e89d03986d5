"""Prompts: texts are read in a template, and the backbone's own output layer says the rating in a word.

Pretraining has taught a language model which word fits a gap, or follows. A template makes a gap whose word tells the rating,
and the output layer's weights for the words that stand for the levels become the weights of the head, so that before any
training the network gives what the language model says of these words (Schick & Schütze 2021, "Exploiting Cloze Questions for
Few Shot Text Classification and Natural Language Inference", section 3; Gao et al. 2021, "Making Pre-trained Language
Models Better Few-shot Learners", section 4; Brown et al. 2020, "Language Models are Few-Shot Learners", section
2.4, for decoders).
"""

from ratecast.model.prompting.frame import Frame, create_frame, least_tokens
from ratecast.model.prompting.likeness import load_likeness
from ratecast.model.prompting.output import OutputLayer, Transform, UnitLength
from ratecast.model.prompting.prompt import Prompt, check_prompt, load_prompted
from ratecast.model.prompting.template import MASK

__all__ = [
    "MASK",
    "Frame",
    "OutputLayer",
    "Prompt",
    "Transform",
    "UnitLength",
    "check_prompt",
    "create_frame",
    "least_tokens",
    "load_likeness",
    "load_prompted",
]
