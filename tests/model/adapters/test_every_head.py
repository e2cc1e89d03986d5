"""Every architecture with every tuning method and every head: a step of training, and read again from its file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ratecast.config import FitConfig
from ratecast.model.adapters import METHODS, Method, attach, create_method, save_adapter
from ratecast.model.adapters.families import FAMILIES
from ratecast.model.adapters.folder import AdapterFolder, rebuild
from ratecast.model.backbone import Backbone, set_trained
from ratecast.model.graph import TOKENIZER_FILE
from ratecast.model.heads import HEADS, create_head
from ratecast.model.rater import Rater, torch_probabilities
from ratecast.scale import RatingScale
from ratecast.text import pad
from ratecast.train.optim import create_optimizer, with_learning_rate

BaseOf = Callable[[str], Backbone]
DECODERS = {"gpt2", "llama", "qwen2", "qwen3", "smollm3"}
REFUSED = {("prefix", family) for family in ("deberta-v2", "modernbert", "distilbert")}  # test_refused.py
PAIRS = [(name, family) for name in METHODS for family in FAMILIES if (name, family) not in REFUSED]
SCALE = RatingScale.parse("1..5")
TEXTS = ["good food", "", "the staff of the hotel was bad and never again"]
RATINGS = np.array([5.0, 3.0, 1.0])


def settings_of(name: str, family: str, head: str) -> FitConfig:
    pooling = "last" if family in DECODERS else "mean"
    return with_learning_rate(FitConfig().with_values(tune=name, head=head, pooling=pooling))


def rater_of(backbone: Backbone, config: FitConfig) -> Rater:
    head = create_head(config.backbone.head, backbone.width, SCALE, RATINGS)
    return Rater(backbone.model, head, pooling=config.backbone.pooling or backbone.pooling).train()


def changed_by_a_step(rater: Rater, backbone: Backbone, config: FitConfig, method: Method | None = None) -> set[str]:
    """Names of the weights that one step of training changes."""
    settings = backbone.encoder.settings
    batch = pad(backbone.encoder.encode(TEXTS).ids, np.arange(3), pad_id=settings.pad_id)
    ids, mask = torch.from_numpy(batch.input_ids), torch.from_numpy(batch.attention_mask)
    before = {name: weight.detach().clone() for name, weight in rater.named_parameters()}
    with torch.no_grad():
        rater.head.standardise(rater.vectors(ids, mask))
    optimizer = create_optimizer(rater, config.train)
    losses = rater.head.loss(rater(ids, mask), torch.from_numpy(RATINGS))
    assert losses.shape == (3,)
    penalty = None if method is None else method.penalty(rater.backbone)
    (losses.mean() + (0 if penalty is None else penalty)).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    if method is not None:
        method.after_step(rater.backbone, 0, 2, {})
    trained = [weight for weight in rater.parameters() if weight.requires_grad]
    assert all(weight.grad is None or torch.isfinite(weight.grad).all() for weight in trained)
    return {name for name, weight in rater.named_parameters() if not torch.equal(weight, before[name])}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(("name", "family"), PAIRS)
def test_step_changes_what_is_added_and_its_file_gives_the_same(
    name: str, family: str, head: str, base_of: BaseOf, tmp_path: Path
) -> None:
    config, backbone = settings_of(name, family, head), base_of(family)
    method = create_method(config.adapter)
    assert method is not None
    adapter = attach(backbone, method)
    backbone = Backbone(
        model=adapter.model, encoder=backbone.encoder, name=family, sha256=None, width=backbone.width, pooling=backbone.pooling
    )
    rater = rater_of(backbone, config)
    changed = changed_by_a_step(rater, backbone, config, method)
    added = {part for part, weight in rater.named_parameters() if weight.requires_grad}
    assert changed <= added
    assert {part.partition(".")[0] for part in changed} == {"backbone", "head"}
    with torch.no_grad():
        for weight in adapter.model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight) * 0.1)
    expected = torch_probabilities(rater.eval(), backbone.encoder, TEXTS)
    np.testing.assert_allclose(expected.sum(1), 1, atol=1e-9)
    component = save_adapter(rater, adapter, tmp_path)
    backbone.encoder.save(tmp_path / TOKENIZER_FILE)
    stored = AdapterFolder(folder=tmp_path, scale=SCALE, component=component, text=backbone.encoder.settings)
    found = rebuild(stored, base_of(family))
    np.testing.assert_allclose(torch_probabilities(found.rater, found.encoder, TEXTS), expected, atol=1e-5)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", FAMILIES)
def test_step_changes_the_own_weights(family: str, head: str, base_of: BaseOf) -> None:
    config, backbone = settings_of("full", family, head), base_of(family)
    set_trained(backbone.model, trained_layers=None, train_embeddings=False)
    rater = rater_of(backbone, config)
    changed = changed_by_a_step(rater, backbone, config)
    layers = {part for part, weight in rater.named_parameters() if weight.requires_grad and weight.ndim == 2}
    assert layers <= changed
    assert "backbone.embeddings.word_embeddings.weight" not in changed
    assert torch.isfinite(torch.from_numpy(torch_probabilities(rater.eval(), backbone.encoder, TEXTS))).all()
