"""Added weights through the whole of fine-tuning."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from ratecast.train.finetuned import FineTuned
from ratecast.train.loop import Run

RunOf = Callable[..., Run]
TunedBy = Callable[[Run], FineTuned]
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["lora", "prompt", "bottleneck"])
def test_untrained_backbone_is_judged_without_the_added_weights(name: str, run_of: RunOf, tuned_by: TunedBy) -> None:
    expected = tuned_by(run_of(steps=1, folder="full")).before
    found = tuned_by(run_of(steps=1, folder=name, tune=name)).before
    assert expected is not None
    assert found is not None
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize(("name", "share"), [("lora", 0.9), ("bottleneck", 0.9), ("prefix", 0.995)])
def test_added_weights_learn_without_the_head(
    name: str, share: float, run_of: RunOf, tuned_by: TunedBy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ratecast.train.probe._minimise", lambda *_, **__: None
    )  # the head alone would learn it before training
    result = tuned_by(run_of("gpt2", tune=name, pooling="last", steps=80, learning_rate=3e-2, head_learning_rate=1e-12)).result
    assert result.best_score < share * result.curve[0]["validation_rmse"]


def test_ensemble_of_adapters(run_of: RunOf, tuned_by: TunedBy) -> None:
    tuned = tuned_by(run_of(tune="prompt", virtual_tokens=3, ensemble=2))
    assert tuned.ensemble is not None
    assert tuned.adapter is not None
    assert tuned.adapter.model is tuned.rater.backbone
    (learnt,) = [weight for weight in tuned.adapter.model.parameters() if weight.requires_grad]
    assert learnt.shape == (3, 32)
    assert torch.isfinite(learnt).all()
