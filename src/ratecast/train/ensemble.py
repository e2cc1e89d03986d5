"""Seed ensembles: networks that differ only by their seed, whose mean teaches one more that alone is kept.

What the members have learnt by chance differs, so their mean is better than each; a network that learns from that mean keeps
much of the gain at the cost of one (Hinton et al. 2015, "Distilling the Knowledge in a Neural Network"; Allen-Zhu & Li 2023,
"Towards Understanding Ensemble, Knowledge Distillation and Self-Distillation in Deep Learning", section 4).
"""

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch

from ratecast.evaluate.metrics import root_mean_squared_error
from ratecast.progress import Advance, Reporter
from ratecast.scale import FloatArray, RatingScale
from ratecast.train.checkpoint import CHECKPOINT_FILE, load_plan, load_tensors, save_tensors
from ratecast.train.loop import Run
from ratecast.train.pairs import PAIRS
from ratecast.train.plan import Plan

MEMBER_FILE: Final = "member.safetensors"


@dataclass(frozen=True, kw_only=True)
class Member:
    """What is kept of a member once it is trained.

    Attributes:
        training: level probabilities of the training reviews, ``(review, level)``.
        validation: those of the validation reviews that it was stopped by, ``(review, level)``.
        seconds: time of its training.
    """

    training: FloatArray
    validation: FloatArray
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """What a network was distilled from.

    Attributes:
        seeds: seed of each member.
        rmse: validation RMSE of each.
        mean_rmse: validation RMSE of the mean of their level probabilities.
        seconds: time of their training together.
    """

    seeds: tuple[int, ...]
    rmse: tuple[float, ...]
    mean_rmse: float
    seconds: float

    @classmethod
    def judge(cls, members: Sequence[Member], seed: int, scale: RatingScale, ratings: FloatArray) -> "Ensemble":
        """Judge members whose seeds begin with ``seed`` by the ratings of the validation reviews, shape ``(review,)``."""

        def rmse(probabilities: FloatArray) -> float:
            return root_mean_squared_error(ratings, scale.mean(probabilities))

        return cls(
            seeds=tuple(seed + number for number in range(len(members))),
            rmse=tuple(rmse(member.validation) for member in members),
            mean_rmse=rmse(mean_probabilities([member.validation for member in members])),
            seconds=sum(member.seconds for member in members),
        )

    def describe(self, student_rmse: float) -> str:
        """A sentence or two for people, with the validation RMSE of the network that learnt from the members."""
        each = ", ".join(f"{rmse:.3f}" for rmse in self.rmse)
        return (
            f"The backbone was distilled from {len(self.rmse)} networks, fine-tuned with the seeds {self.seeds[0]} to "
            f"{self.seeds[-1]}. Validation RMSE of each: {each}; of their mean: {self.mean_rmse:.3f}; of the one that is kept: "
            f"{student_rmse:.3f}."
        )


def train_members(run: Run, train: Callable[[int, int], Member]) -> list[Member]:
    """Train the members one after the other; with ``resume`` those that are finished are read from the working folder.

    Args:
        run: the whole run.
        train: trains a member, from its number, as for `network_run`, and how many networks are left to train, it and the one
            that learns from them included.

    Raises:
        ConfigError: if what a run to resume has left belongs to other data or settings.
        ModelFolderError: if it is damaged.
        OutputError: if the working folder cannot be written.
    """
    count = run.config.strengthen.ensemble
    runs = [network_run(run, number) for number in range(count)]
    if not run.resume:
        for left_over in (*runs, network_run(run, count)):
            shutil.rmtree(left_over.folder, ignore_errors=True)
    members = []
    for number, own in enumerate(runs):
        member = _load(own) if run.resume else None
        if member is None:
            member = train(number, count + 1 - number)
            _save(own, member)
        else:
            own.reporter.tell("trained already")
        members.append(member)
    return members


def network_run(run: Run, number: int) -> Run:
    """The part of a run that trains one network: a member, counted from 0, or after them the one that learns from them."""
    count = run.config.strengthen.ensemble
    name = f"network {number + 1} of {count + 1}" + (", which learns from them" if number == count else "")
    return replace(
        run,
        config=run.config.with_values(seed=run.config.seed + number),
        folder=run.folder / f"network-{number + 1}",
        reporter=_NamedReporter(run.reporter, name),
        log_folder=run.log_folder / f"network-{number + 1}",
        on_evaluation=run.on_evaluation if number == count else None,
    )


def saved_plan(run: Run) -> Plan | None:
    """The plan of a run that is to be resumed; None if it has left none.

    Raises:
        ConfigError: if what it has left belongs to other data or settings.
        ModelFolderError: if it is damaged.
    """
    folder = run.folder if run.config.strengthen.ensemble == 1 else network_run(run, 0).folder
    for place in (folder / MEMBER_FILE, folder / CHECKPOINT_FILE, folder / PAIRS / CHECKPOINT_FILE):
        if (plan := load_plan(place, run.fingerprint)) is not None:
            return plan
    return None


def mean_probabilities(probabilities: Sequence[FloatArray]) -> FloatArray:
    """Mean of several networks' level probabilities, each of shape ``(review, level)``."""
    mean: FloatArray = np.mean(probabilities, axis=0)
    return mean


def _save(run: Run, member: Member) -> None:
    tensors = {"training": torch.from_numpy(member.training), "validation": torch.from_numpy(member.validation)}
    plan = None if run.plan is None else run.plan.to_json()
    facts = {"fingerprint": run.fingerprint, "plan": plan, "seconds": member.seconds}
    save_tensors(run.folder / MEMBER_FILE, tensors, facts)
    (run.folder / CHECKPOINT_FILE).unlink(missing_ok=True)


def _load(run: Run) -> Member | None:
    found = load_tensors(run.folder / MEMBER_FILE, run.fingerprint)
    if found is None:
        return None
    facts, tensors = found
    return Member(training=tensors["training"].numpy(), validation=tensors["validation"].numpy(), seconds=facts["seconds"])


class _NamedReporter:
    """Says of everything which network it is about."""

    def __init__(self, reporter: Reporter, name: str) -> None:
        self._reporter, self._name = reporter, name

    def tell(self, message: str) -> None:
        self._reporter.tell(f"{self._name}: {message}")

    def track(self, task: str, total: int) -> AbstractContextManager[Advance]:
        return self._reporter.track(f"{self._name}: {task}", total)
