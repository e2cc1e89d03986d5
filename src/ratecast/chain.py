"""What predicts in a model folder: members, the blend or cascade of what they say, and the effects of columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ratecast.baseline.constant import ConstantModel
from ratecast.baseline.linear import LinearTextModel
from ratecast.combine.blend import Blend
from ratecast.combine.cascade import Cascade
from ratecast.combine.effects import Effects
from ratecast.errors import ModelFolderError
from ratecast.model.graph import OnnxGraph
from ratecast.model.network import Network
from ratecast.model.static import STATIC, StaticModel
from ratecast.model.store import Component, Manifest, verify
from ratecast.progress import Reporter
from ratecast.records import Reviews
from ratecast.scale import FloatArray
from ratecast.text.unknown import MUCH_OF_ONE


class TextModel(Protocol):
    """Anything that gives level probabilities for texts."""

    def probabilities(self, texts: Sequence[str]) -> FloatArray:
        """Probability of each level, shape ``(text, level)``."""


@dataclass(frozen=True, kw_only=True)
class ChainOutput:
    """What a chain says of some reviews.

    Attributes:
        probabilities: of each level, shape ``(review, level)``.
        warnings: what to know of each review.
        passed_on: which ones a cascade passed on, shape ``(review,)``; None where there is no cascade.
    """

    probabilities: FloatArray
    warnings: tuple[tuple[str, ...], ...]
    passed_on: NDArray[np.bool_] | None


class Chain:
    """The components that turn texts into probabilities, loaded.

    Arguments and errors are those of `Predictor`.

    Attributes:
        cascade: a quicker blend that answers first, and the blend that has the rest; None where all is for one blend.
        blend: what has the last word of the members.
        effects: of users, items and other columns; None where none are used.
    """

    def __init__(self, folder: Path, manifest: Manifest, threads: int | None, device: str, network: Network | None) -> None:
        self._folder, self._manifest, self._scale = folder, manifest, manifest.scale
        self._threads, self._device, self._network = threads, device, network
        kinds = [manifest.component(name).kind for name in manifest.chain]
        if kinds[:1] not in (["blend"], ["cascade"]) or kinds[1:] not in ([], ["effects"]):
            raise ModelFolderError(
                f"{folder} predicts with a chain of {', '.join(kinds) or 'nothing'}; expected a blend or a cascade, and "
                "perhaps the effects of columns: fit the model again, or upgrade ratecast"
            )
        first, *effects = (checked_component(folder, manifest, name) for name in manifest.chain)
        files = list(first.files)
        self.cascade = Cascade.load(folder, files, self._scale) if first.kind == "cascade" else None
        self.blend = Blend.load(folder, files, self._scale) if self.cascade is None else self.cascade.full
        self.effects = Effects.load(folder, list(effects[0].files), self._scale) if effects else None
        self._members = {name: self._load(name) for name in (self.cascade or self.blend).members}

    @property
    def networks(self) -> tuple[Network, ...]:
        """The members that are networks."""
        return tuple(member for member in self._members.values() if isinstance(member, Network))

    def model(self, name: str) -> TextModel:
        """A member, or another model that the folder keeps, by its name.

        Raises:
            ModelFolderError: if a file of it is missing or damaged.
        """
        return self._members[name] if name in self._members else self._load(name)

    def members(self, texts: Sequence[str], reporter: Reporter | None = None) -> dict[str, FloatArray]:
        """What each member says by itself: probabilities of shape ``(text, level)`` by its name."""
        return {
            name: member.probabilities(texts, reporter) if isinstance(member, Network) else member.probabilities(texts)
            for name, member in self._members.items()
        }

    def combined(self, members: Mapping[str, FloatArray], reviews: Reviews) -> FloatArray:
        """Probabilities, shape ``(review, level)``, from those of the members by name and the used columns."""
        found = self.blend.apply(members) if self.cascade is None else self.cascade.apply(members, self._scale)
        return found if self.effects is None else self.effects.apply(found, reviews)

    def run(self, reviews: Reviews, reporter: Reporter | None) -> ChainOutput:
        """Predict; a cascade's later members read only what is passed on to them."""
        texts = reviews.joined()
        if self.cascade is None:
            members, notes = self._read(self.blend.members, texts, reporter)
            found, passed_on = self.blend.apply(members), None
        else:
            members, notes = self._read(self.cascade.first.members, texts, reporter)
            found = self.cascade.first.apply(members)
            passed_on = self.cascade.passed_on(found, self._scale)
            if passed_on.any():
                rows = np.flatnonzero(passed_on)
                later, more = self._read(self.cascade.later_members, [texts[row] for row in rows], reporter)
                later |= {name: probabilities[rows] for name, probabilities in members.items()}
                found[rows] = self.cascade.full.apply(later)
                for row, note in zip(rows, more, strict=True):
                    notes[row] = note or notes[row]
        warnings = tuple(note if text.strip() else ("the text is empty",) for text, note in zip(texts, notes, strict=True))
        probabilities = found if self.effects is None else self.effects.apply(found, reviews)
        return ChainOutput(probabilities=probabilities, warnings=warnings, passed_on=passed_on)

    def _read(
        self, names: Sequence[str], texts: Sequence[str], reporter: Reporter | None
    ) -> tuple[dict[str, FloatArray], list[tuple[str, ...]]]:
        """Level probabilities of some members by name, shape ``(text, level)``, and what to know of each text."""
        found: dict[str, FloatArray] = {}
        notes: list[tuple[str, ...]] = [() for _ in texts]
        for name in names:
            member = self._members[name]
            if isinstance(member, Network):
                found[name], shortened, unknown = member.explained(texts, reporter)
                note = (f"the middle of the text was left out: {member.encoder.settings.describe()} are read",)
                notes = [note if is_short else () for is_short in shortened]
                notes = [_with_unknown(note, fraction) for note, fraction in zip(notes, unknown, strict=True)]
            else:
                found[name] = member.probabilities(texts)
        return found, notes

    def _load(self, name: str) -> Network | LinearTextModel | ConstantModel | StaticModel:
        component = checked_component(self._folder, self._manifest, name)
        files = list(component.files)
        if component.kind == "onnx":
            if self._network is not None:
                return self._network
            return OnnxGraph.load(self._folder, component, len(self._scale), self._threads, self._device)
        if component.kind == "constant":
            return ConstantModel.load(self._folder, files, self._scale)
        if component.kind == "linear":
            return LinearTextModel.load(self._folder, files, self._scale)
        if component.kind == STATIC:
            return StaticModel.load(self._folder, files, len(self._scale))
        raise ModelFolderError(f"{self._folder} has a component of the unknown kind {component.kind!r}; upgrade ratecast")


def checked_component(folder: Path, manifest: Manifest, name: str) -> Component:
    """A component of a model folder, whose files are as they were written.

    Raises:
        ModelFolderError: if one is missing or damaged.
    """
    component = manifest.component(name)
    verify(folder, component)
    return component


def _with_unknown(notes: tuple[str, ...], fraction: float) -> tuple[str, ...]:
    """What to know of a review, a share of whose tokens the model does not know."""
    if fraction <= MUCH_OF_ONE:
        return notes
    return (*notes, f"{fraction:.0%} of the text's tokens are unknown to the model's backbone")
