"""Everything that stands after a model's members, fitted to what they predict for held-out reviews."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ratecast.combine.blend import Blend, fit_blend
from ratecast.combine.cascade import Cascade
from ratecast.combine.decide import fit_thresholds
from ratecast.combine.effects import Effects, fit_effects
from ratecast.combine.intervals import Intervals
from ratecast.model.store import Component, create_component
from ratecast.records import Reviews
from ratecast.scale import FloatArray, RatingScale


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What the effects of columns are fitted on.

    Attributes:
        used: names of the columns.
        training: rated training reviews.
        base: what their texts say, by models that did not see the same review (`out_of_fold_probabilities`), shape
            ``(review, level)``.
    """

    used: Sequence[str]
    training: Reviews
    base: FloatArray


@dataclass(frozen=True, kw_only=True)
class Stack:
    """What turns the members' probabilities into the model's answer.

    Attributes:
        blend: pools and calibrates the members; the full one where a cascade has two.
        effects: of other columns than the text; None if none is used or helps.
        intervals: prediction intervals.
        thresholds: expected ratings at which levels begin where QWK counts; None on a continuous scale.
        held_out: the model's probabilities of the held-out reviews, each by a blend fitted without it, ``(review, level)``.
        cascade: what answers in place of the blend alone; None where every review is read by all members.
    """

    blend: Blend
    effects: Effects | None
    intervals: Intervals
    thresholds: FloatArray | None
    held_out: FloatArray
    cascade: Cascade | None = None

    @property
    def answer(self) -> Blend | Cascade:
        """What makes one distribution of the members' probabilities."""
        return self.blend if self.cascade is None else self.cascade

    def save(self, folder: Path) -> list[Component]:
        """Write the components into a model folder: those of the chain first, in its order."""
        name = self.chain[0]
        found = [create_component(folder, name, name, self.answer.save(folder, name))]
        if self.effects is not None:
            found.append(create_component(folder, "effects", "effects", self.effects.save(folder, "effects")))
        found.append(create_component(folder, "intervals", "intervals", self.intervals.save(folder, "intervals")))
        if self.thresholds is not None:
            found.append(create_component(folder, "thresholds", "thresholds", [], thresholds=self.thresholds.tolist()))
        return found

    @property
    def chain(self) -> tuple[str, ...]:
        """Names of the components that change probabilities, in their order."""
        return ("blend" if self.cascade is None else "cascade", *(() if self.effects is None else ("effects",)))


def fit_stack(
    members: Mapping[str, FloatArray],
    held_out: Reviews,
    scale: RatingScale,
    *,
    columns: Columns | None = None,
    coverage: float = 0.9,
    seed: int = 0,
) -> Stack:
    """Fit blend, effects, intervals and thresholds, one after the other.

    What comes after the blend is fitted to out-of-fold predictions of it, so that no review is judged by a blend that was
    fitted to it. The members' penalties and the step that training stopped at were chosen on the same reviews, a handful of
    choices among hundreds of reviews, so that the guarantee of the intervals holds nearly and not to the letter.

    Args:
        members: probabilities that each member gives the held-out reviews, shape ``(review, level)``, by its name.
        held_out: rated reviews that no member learned from.
        scale: the ratings' scale.
        columns: other columns that may be used.
        coverage: share of ratings that prediction intervals hold.
        seed: decides every random choice.
    """
    ratings = held_out.rated()
    fitted = fit_blend(members, ratings, scale, weights=held_out.weight, seed=seed)
    found, effects = fitted.out_of_fold, None
    if columns is not None:
        effects = fit_effects(columns.training, columns.base, held_out, found, scale, used=columns.used)
        found = found if effects is None else effects.apply(found, held_out)
    return stack_after(fitted.blend, found, held_out, scale, effects=effects, coverage=coverage)


def stack_after(
    answer: Blend | Cascade,
    probabilities: FloatArray,
    held_out: Reviews,
    scale: RatingScale,
    *,
    effects: Effects | None = None,
    coverage: float = 0.9,
) -> Stack:
    """Fit what stands after a blend or a cascade that is fitted already: intervals and thresholds.

    Args:
        answer: the blend or cascade.
        probabilities: of the held-out reviews, effects included, each by an answer fitted without it, ``(review, level)``.
        held_out: rated reviews that no member learned from.
        scale: the ratings' scale.
        effects: of other columns than the text.
        coverage: share of ratings that prediction intervals hold.
    """
    ratings = held_out.rated()
    return Stack(
        blend=answer.full if isinstance(answer, Cascade) else answer,
        effects=effects,
        intervals=Intervals.fit(ratings, probabilities, scale, coverage),
        thresholds=None if scale.is_continuous else fit_thresholds(ratings, probabilities, scale),
        held_out=np.asarray(probabilities),
        cascade=answer if isinstance(answer, Cascade) else None,
    )
