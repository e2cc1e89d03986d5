"""What each way of stronger fine-tuning changes in a whole training, and that all of them still learn."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from finetuned import SCALE, Parts, RunOf, tune
from ratecast.config import BackboneConfig
from ratecast.errors import ConfigError
from ratecast.model.backbone import load_backbone
from ratecast.model.heads import create_head
from ratecast.model.rater import Rater
from ratecast.train import average as averages
from ratecast.train.inputs import Network, RatedTexts
from ratecast.train.learner import RatingLearner
from ratecast.train.loop import train

SETTINGS: list[dict[str, Any]] = [
    {"layer_decay": 0.5},
    {"average_decay": 0.8},
    {"dropout_samples": 4},
    {"r_drop": 1.0},
    {"reinitialised_layers": 1},
    {"adversarial": 0.5},
    {"adversarial": 0.5, "trained_layers": 1},
    {"adversarial": 0.02, "trained_layers": 0},
    {"word_deletion": 0.1},
]
START = {"head_learning_rate": 1e-2, "evaluations_per_epoch": 1, "patience": 50}


@pytest.mark.usefixtures("untrained_head")
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_still_learns_what_the_words_say(parts: Parts, run_of: RunOf, settings: dict[str, Any]) -> None:
    tuned = tune(parts, run_of(**START, **settings, epochs=12.0))
    curve = [point["validation_rmse"] for point in tuned.result.curve]
    assert tuned.result.best_score == min(curve)
    assert tuned.result.best_score < 0.65 * curve[0]


@pytest.mark.usefixtures("untrained_head")
def test_each_setting_changes_what_is_learnt(parts: Parts, run_of: RunOf) -> None:
    def rmse(**settings: Any) -> float:
        return tune(parts, run_of(**START, **settings, steps=3)).result.curve[-1]["validation_rmse"]

    plain = {layers: rmse(trained_layers=layers) for layers in (None, 1, 0)}
    for settings in SETTINGS:
        assert rmse(**settings) != plain[settings.get("trained_layers")], settings


@pytest.mark.usefixtures("untrained_head")
def test_kept_weights_are_the_average_of_the_steps(parts: Parts, run_of: RunOf, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "backbone.encoder.layer.1.output.dense.weight"
    seen: list[np.ndarray] = []
    originals = (averages.started_average, averages.update_average)

    def started(module: torch.nn.Module) -> dict[str, torch.Tensor]:
        seen.append(module.get_parameter(name).detach().numpy().astype(np.float64))
        return originals[0](module)

    def update(average: dict[str, torch.Tensor], module: torch.nn.Module, *, decay: float, step: int) -> None:
        seen.append(module.get_parameter(name).detach().numpy().astype(np.float64))
        originals[1](average, module, decay=decay, step=step)

    monkeypatch.setattr("ratecast.train.loop.started_average", started)
    monkeypatch.setattr("ratecast.train.loop.update_average", update)
    tuned = tune(parts, run_of(average_decay=0.6, steps=12, **START))
    assert tuned.result.best_step == 12
    assert len(seen) == 13
    expected = seen[0]
    for step, weight in enumerate(seen[1:], start=1):
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weight
    kept = tuned.rater.get_parameter(name).detach().numpy()
    np.testing.assert_allclose(kept, expected, atol=1e-6)
    assert np.abs(kept - seen[-1]).max() > 1e-5
    # The path itself is that of a run without an average.
    raw = tune(parts, run_of(folder="raw", steps=12, **START)).rater.get_parameter(name).detach().numpy()
    np.testing.assert_array_equal(raw, seen[-1].astype(np.float32))


@pytest.mark.usefixtures("untrained_head")
def test_lower_layers_move_less(parts: Parts, run_of: RunOf, tiny_backbone: Path) -> None:
    start = load_backbone(BackboneConfig(backbone=str(tiny_backbone), max_tokens=24)).model.state_dict()

    def moves(layer_decay: float) -> list[float]:
        tuned = tune(parts, run_of(steps=12, schedule="constant", layer_decay=layer_decay, **START))
        assert tuned.result.best_step == 12
        end = tuned.backbone.model.state_dict()
        return [
            max(float((end[name] - start[name]).abs().max()) for name in start if part in name)
            for part in ("embeddings", "layer.0", "layer.1")
        ]

    even, uneven = moves(1.0), moves(0.1)
    assert uneven[0] < 0.05 * even[0]
    assert 0.05 * even[1] < uneven[1] < 0.2 * even[1]
    assert uneven[2] == pytest.approx(even[2], rel=0.5)


def test_before_fine_tuning_is_judged_with_pretrained_layers(
    parts: Parts, run_of: RunOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ratecast.train.finetune._Before.restore", lambda *_: None)  # after a step that is worse
    plain, restarted = (tune(parts, run_of(steps=1, reinitialised_layers=count)) for count in (0, 1))
    np.testing.assert_array_equal(plain.before, restarted.before)
    rmse = [tuned.result.curve[0]["validation_rmse"] for tuned in (plain, restarted)]
    assert rmse[0] != rmse[1]
    means = [tuned.rater.head.vector_mean for tuned in (plain, restarted)]
    assert not torch.allclose(means[0], means[1]), "the head has not been fitted to the restarted layers' vectors"


def test_augmentation_reads_other_texts_in_each_pass(parts: Parts, run_of: RunOf, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[bytes]] = []
    original = RatedTexts.in_pass

    def in_pass(self: RatedTexts, epoch: int) -> RatedTexts:
        found = original(self, epoch)
        seen.append([ids.tobytes() for ids in found.texts.ids])
        return found

    monkeypatch.setattr(RatedTexts, "in_pass", in_pass)
    tune(parts, run_of(epochs=3.0, word_deletion=0.2, patience=50))
    assert len(seen) == 3
    same = [sum(one == other for one, other in zip(seen[0], texts, strict=True)) for texts in seen[1:]]
    assert max(same) < 0.5 * len(seen[0])
    seen.clear()
    tune(parts, run_of(epochs=3.0, patience=50))
    assert seen[0] == seen[1] == seen[2]


def test_more_restarted_layers_than_there_are(parts: Parts, run_of: RunOf) -> None:
    with pytest.raises(ConfigError, match="reinitialised_layers is 3, but the backbone has only 2"):
        tune(parts, run_of(steps=1, reinitialised_layers=3))


@pytest.mark.parametrize("head", ["softmax", "regression"])
def test_soft_targets_are_learnt_instead_of_wrong_ratings(parts: Parts, run_of: RunOf, tiny_backbone: Path, head: str) -> None:
    """Training ratings say nothing, the targets of another model are right: what is learnt depends on their weight."""
    true = parts["train"].rated()
    targets = np.full((len(true), 5), 0.02)
    targets[np.arange(len(true)), true.astype(int) - 1] = 0.92
    wrong = np.random.default_rng(0).permutation(true)
    rmse = {}
    for weight in (0.0, 0.9):
        torch.manual_seed(0)
        backbone = load_backbone(BackboneConfig(backbone=str(tiny_backbone), max_tokens=24))
        rater = Rater(backbone.model, create_head(head, 32, SCALE, true, 0.1), pooling="mean")
        network = Network(rater, backbone.encoder.settings, frozen=0, layers=2)
        encode = backbone.encoder.encode
        training = RatedTexts(texts=encode(parts["train"].joined()), ratings=wrong, targets=targets, target_weight=weight)
        validation = RatedTexts(texts=encode(parts["validation"].joined()), ratings=parts["validation"].rated())
        run = run_of(folder=f"{head}{weight}", steps=240, patience=100, head_learning_rate=1e-2)
        rmse[weight] = train(RatingLearner(network, training, validation, run.config), run).curve[-1]["validation_rmse"]
    assert rmse[0.9] < 0.8
    assert rmse[0.0] > 1.2
