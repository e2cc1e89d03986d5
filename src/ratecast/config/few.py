"""Settings for few rated reviews."""

from collections.abc import Iterator
from dataclasses import dataclass

DEFAULT_PROMPT = "default"
"""Stands for a template that suits the backbone."""


@dataclass(frozen=True, kw_only=True)
class FewLabelsConfig:
    """What makes the most of few rated reviews. Prompts are off by default."""

    prompt: str | None = None
    """Template that each review is read in, so that the backbone says the rating in a word, as pretraining taught it: such as
    "{text} All in all, it was [MASK]." for encoders, or for decoders, which go on after it, "{text} All in all, it was".
    default stands for one of these."""
    verbaliser: str | None = None
    """Words that say the levels, from the lowest to the highest, such as terrible,bad,okay,good,great; or words for some levels
    (1=terrible,10=great), between which levels are mixed. By default these five, spread over the scale; for a decoder whose
    prompt asks for a rating up to {high} the ratings' numbers, where each is a token."""
    contrastive_passes: float | None = None
    """Passes over the training reviews in which the backbone first learns to tell alike reviews that are rated alike, from all
    pairs of a batch. They take at most a third of the time. By default 10 where an encoder learns fewer than 2,000 reviews in
    ample time, else none."""

    def faults(self) -> Iterator[str]:
        """What is wrong with these settings by themselves."""
        if self.verbaliser is not None and self.prompt is None:
            yield "verbaliser names the words of a prompt: set prompt too, such as prompt=default"
        if self.prompt not in {None, DEFAULT_PROMPT} and (self.prompt or "").count("{text}") != 1:
            yield f"prompt must have {{text}} once, in the place of the review, found {self.prompt!r}"
