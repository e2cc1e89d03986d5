"""Ensembles that are distilled into one network: what it learns from, what is kept of its teachers, and how time is shared."""

import math
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from finetuned import SCALE, Parts, RunOf, tune
from interruption import InterruptingReporter, StoppedError
from ratecast.config import BackboneConfig
from ratecast.errors import ConfigError, ModelFolderError
from ratecast.model import backbone as backbones
from ratecast.progress import Advance
from ratecast.scale import FloatArray
from ratecast.train import loop, plan
from ratecast.train.checkpoint import CHECKPOINT_FILE, load_tensors
from ratecast.train.ensemble import MEMBER_FILE, Ensemble, Member
from ratecast.train.inputs import Network, RatedTexts
from ratecast.train.learner import RatingLearner
from ratecast.train.loop import Run, TrainingResult


class KeepingReporter(InterruptingReporter):
    """Keeps what is told, and stops after some steps of training, counted over all networks."""

    def __init__(self, steps: float = math.inf) -> None:
        super().__init__(steps)
        self.told: list[str] = []

    def tell(self, message: str) -> None:
        """Keeps the message."""
        self.told.append(message)

    @contextmanager
    def track(self, task: str, total: int) -> Iterator[Advance]:
        """Keeps the task, and counts the steps of training."""
        self.told.append(task)
        with super().track(task, total) as advance:
            yield advance


@dataclass
class Seen:
    """What one network was trained with, and what it said of the training texts afterwards."""

    seed: int
    first_step: int
    allowed_seconds: float | None
    rows: list[bytes]
    targets: FloatArray | None
    target_weight: float | FloatArray
    probabilities: FloatArray
    weights: dict[str, torch.Tensor]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Seen]:
    """Every training of a network, in order."""
    found: list[Seen] = []
    original = loop.train

    def train(learner: RatingLearner, run: Run) -> TrainingResult:
        network, training = learner.rated, learner.training
        path = run.folder / CHECKPOINT_FILE
        checkpoint = load_tensors(path, run.fingerprint) if run.resume else None
        result = original(learner, run)
        found.append(
            Seen(
                seed=run.config.seed,
                first_step=0 if checkpoint is None else checkpoint[0]["step"],
                allowed_seconds=run.allowed_seconds,
                rows=[ids.tobytes() for ids in training.texts.ids],
                targets=training.targets,
                target_weight=training.target_weight,
                probabilities=one_by_one(network, training),
                weights={name: value.clone() for name, value in network.rater.state_dict().items()},
            )
        )
        return result

    monkeypatch.setattr("ratecast.train.finetune.train", train)
    return found


@torch.no_grad()
def one_by_one(network: Network, reviews: RatedTexts) -> FloatArray:
    """Level probabilities of each text by itself, so without padding and batches."""
    rows = [network.output(reviews, np.array([row])) for row in range(len(reviews))]
    found: FloatArray = network.rater.head.probabilities(torch.cat(rows)).double().numpy()
    return found


@pytest.mark.usefixtures("untrained_head")
@pytest.mark.parametrize(
    "settings",
    [{}, {"trained_layers": 1}, {"trained_layers": 0}, {"head": "regression", "word_deletion": 0.2}, {"head": "coral"}],
    ids=str,
)
def test_the_student_learns_from_the_mean_of_networks_with_seeds_of_their_own(
    parts: Parts, run_of: RunOf, seen: list[Seen], settings: dict[str, Any]
) -> None:
    tuned = tune(parts, run_of(ensemble=3, steps=12, seed=5, dropout=0.3, **settings))
    assert [network.seed for network in seen] == [5, 6, 7, 8]
    *members, student = seen
    assert all(network.rows == student.rows for network in members)
    assert all(network.targets is None for network in members)
    assert student.targets is not None
    assert student.target_weight == 0.5
    expected = sum(network.probabilities for network in members) / 3
    np.testing.assert_allclose(student.targets, expected, atol=2e-3 if "trained_layers" in settings else 1e-5)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(members[first].probabilities - members[second].probabilities).max() > 1e-4
    kept = tuned.rater.state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in student.weights.items() if name in kept)
    assert tuned.config.seed == 5


@pytest.mark.usefixtures("untrained_head")
@pytest.mark.parametrize("settings", [{}, {"trained_layers": 1, "reinitialised_layers": 1}, {"word_deletion": 0.2}], ids=str)
def test_a_run_that_was_killed_trains_no_finished_member_again(
    parts: Parts, run_of: RunOf, seen: list[Seen], settings: dict[str, Any]
) -> None:
    fixed = {"ensemble": 2, "steps": 10, "checkpoint_seconds": 1e-9, "patience": 50, "dropout": 0.3, **settings}
    whole = tune(parts, run_of(folder="whole", **fixed))
    assert [network.seed for network in seen] == [0, 1, 2]
    seen.clear()
    with pytest.raises(StoppedError):  # in the second member
        tune(parts, replace(run_of(resume=True, **fixed), reporter=KeepingReporter(14)))
    assert [network.seed for network in seen] == [0]
    with pytest.raises(StoppedError):  # six more steps of it, and four of the student
        tune(parts, replace(run_of(resume=True, **fixed), reporter=KeepingReporter(10)))
    reporter = KeepingReporter()
    resumed = tune(parts, replace(run_of(resume=True, **fixed), reporter=reporter))
    assert [(network.seed, network.first_step) for network in seen] == [(0, 0), (1, 4), (2, 4)]
    assert "network 1 of 3: trained already" in reporter.told
    for name, value in whole.rater.state_dict().items():
        torch.testing.assert_close(resumed.rater.state_dict()[name], value, rtol=0, atol=0, msg=name)
    assert whole.ensemble is not None
    assert resumed.ensemble is not None
    assert resumed.ensemble.rmse == whole.ensemble.rmse


def test_what_another_run_left_is_not_gone_on_with(parts: Parts, run_of: RunOf, seen: list[Seen]) -> None:
    fixed = {"ensemble": 2, "steps": 4, "checkpoint_seconds": 1e-9}
    tune(parts, run_of(**fixed))
    seen.clear()
    with pytest.raises(StoppedError):
        tune(parts, replace(run_of(**fixed), reporter=KeepingReporter(6)))
    tune(parts, run_of(resume=True, **fixed))
    assert [(network.seed, network.first_step) for network in seen] == [(0, 0), (1, 2), (2, 0)]
    with pytest.raises(ConfigError, match="made with other data or settings"):
        tune(parts, run_of(resume=True, fingerprint="other", **fixed))
    (run_of().folder / "network-2" / MEMBER_FILE).write_bytes(b"half a file")
    with pytest.raises(ModelFolderError, match=r"member\.safetensors is damaged"):
        tune(parts, run_of(resume=True, **fixed))


def test_networks_share_the_time(parts: Parts, run_of: RunOf, seen: list[Seen], monkeypatch: pytest.MonkeyPatch) -> None:
    budget = 4_000.0
    run = run_of(ensemble=3, epochs=1e9, patience=1)  # patience ends each at once; the clock goes on by its whole share

    def left() -> float:
        return budget - sum(network.allowed_seconds or 0.0 for network in seen)

    planned: list[float] = []
    original = plan.make_plan

    def make_plan(*arguments: Any, **named: Any) -> Any:
        found = original(*arguments, **named)
        planned.extend((named["seconds"](16.0, 1), found.seconds))
        return found

    monkeypatch.setattr("ratecast.train.planning.make_plan", make_plan)
    tune(parts, run, left)
    shares = [network.allowed_seconds or 0.0 for network in seen]
    assert shares == pytest.approx([budget / 4] * 4, rel=0.01)
    assert sum(shares) < budget
    assert planned[0] == pytest.approx(budget / 4, rel=0.01)
    assert 0.5 * planned[0] < planned[1] < planned[0]


def test_time_that_a_network_leaves_goes_to_the_others(parts: Parts, run_of: RunOf, seen: list[Seen]) -> None:
    used = iter([0.0, 100.0, 200.0])
    spent = [0.0]

    def left() -> float:
        if len(seen) == len(spent):
            spent.append(next(used) + spent[-1])
        return 1_000.0 - spent[-1]

    tune(parts, run_of(ensemble=2, epochs=1e9, patience=1), left)
    assert [network.allowed_seconds for network in seen] == pytest.approx([1000 / 3, 1000 / 2, 900], rel=0.01)


def test_the_whole_takes_no_longer_than_the_time(parts: Parts, run_of: RunOf, clock: Any) -> None:
    run = run_of(ensemble=2, epochs=10_000.0, patience=10_000)
    tuned = tune(parts, run, lambda: 40 - clock.now)
    assert 35 < clock.now < 40.5
    assert tuned.result.stopped_by == "time budget"
    assert tuned.ensemble is not None
    assert len(tuned.ensemble.seeds) == 2


def test_finished_members_are_gone_before_the_next_is_loaded(
    parts: Parts, run_of: RunOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[weakref.ref[torch.nn.Module]] = []
    original = backbones.load_backbone

    def load_backbone(config: BackboneConfig, *, added_tokens: int) -> backbones.Backbone:
        assert [one() for one in made] == [None] * len(made)
        found = original(config, added_tokens=added_tokens)
        made.append(weakref.ref(found.model))
        return found

    monkeypatch.setattr("ratecast.model.prompting.prompt.load_backbone", load_backbone)
    tuned = tune(parts, run_of(ensemble=2, steps=2, trained_layers=1, adversarial=0.1))
    assert len(made) == 4  # the first was there for the plan and for what the untrained backbone is worth
    assert made[-1]() is tuned.backbone.model


def test_progress_says_which_network_is_trained(parts: Parts, run_of: RunOf) -> None:
    reporter = KeepingReporter()
    tune(parts, replace(run_of(ensemble=2, epochs=1.0), reporter=reporter))
    assert reporter.told[0].endswith(", for each of 3 networks")
    for name in ("network 1 of 3", "network 2 of 3", "network 3 of 3, which learns from them"):
        assert f"{name}: training" in reporter.told
        assert any(line.startswith(f"{name}: ") and "validation RMSE" in line for line in reporter.told)


def test_each_and_their_mean_are_judged() -> None:
    """Two networks are sure of 2 and of 4; the ratings are 3 and 4: errors (-1, -2), (1, 0) and of the mean (0, -1)."""
    sure = [np.eye(5)[[level - 1] * 2] for level in (2, 4)]
    members = [Member(training=found, validation=found, seconds=7.0) for found in sure]
    ensemble = Ensemble.judge(members, 3, SCALE, np.array([3.0, 4.0]))
    assert ensemble.seeds == (3, 4)
    assert ensemble.seconds == 14.0
    assert ensemble.rmse == pytest.approx((math.sqrt(2.5), math.sqrt(0.5)))
    assert ensemble.mean_rmse == pytest.approx(math.sqrt(0.5))
    assert ensemble.describe(0.75) == (
        "The backbone was distilled from 2 networks, fine-tuned with the seeds 3 to 4. Validation RMSE of each: 1.581, 0.707; "
        "of their mean: 0.707; of the one that is kept: 0.750."
    )
