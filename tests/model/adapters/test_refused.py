"""What cannot work is refused by name, before any work."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ratecast.config import AdapterConfig, BackboneConfig, FitConfig
from ratecast.errors import ConfigError
from ratecast.model.adapters import attach, create_method
from ratecast.model.backbone import load_backbone
from ratecast.scale import RatingScale
from ratecast.train.check import check_finetuning

BackboneOf = Callable[[str], Path]
SCALE = RatingScale.parse("1..5")


def check(family: str, backbone_of: BackboneOf, **settings: object) -> None:
    config = FitConfig().with_values(backbone=str(backbone_of(family)), **settings)
    check_finetuning(config, SCALE, np.array([1.0, 2, 3, 4, 5]))


@pytest.mark.parametrize("family", ["deberta-v2", "modernbert", "distilbert"])
def test_prefix_tuning_without_a_place_for_keys_and_values(family: str, backbone_of: BackboneOf) -> None:
    with pytest.raises(ConfigError, match=f"tune=prefix does not work with {family}"):
        check(family, backbone_of, tune="prefix")


@pytest.mark.parametrize("name", ["lora", "adalora", "ia3", "prefix", "prompt", "p-tuning", "bottleneck"])
def test_unknown_architecture(name: str, backbone_of: BackboneOf) -> None:
    with pytest.raises(ConfigError, match=f"tune={name} does not know where a electra has its layers; known are bert, "):
        check("electra", backbone_of, tune=name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": 4}, "tune=full does not read rank, only none of these settings"),
        ({"tune": "lora", "virtual_tokens": 4}, "tune=lora does not read virtual_tokens, only rank, alpha"),
        ({"tune": "prompt", "rank": 4, "alpha": 1.0}, "tune=prompt does not read rank, alpha, only virtual_tokens"),
        ({"tune": "ia3", "bottleneck_width": 4}, "tune=ia3 does not read bottleneck_width"),
        ({"tune": "adalora", "rank": 4, "final_rank": 4}, "final_rank must be below rank 4, found 4"),
        ({"tune": "prompt", "virtual_tokens": 90}, "takes 90 of the 96 positions of .* leaves 6 for the text"),
        ({"tune": "p-tuning", "max_tokens": 90}, "takes 10 of the 96 positions of .* leaves 86 for the text"),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, object], message: str, backbone_of: BackboneOf) -> None:
    with pytest.raises(ConfigError, match=message):
        check("bert", backbone_of, **settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trained_layers", 1),
        ("trained_layers", 0),
        ("train_embeddings", True),
        ("reinitialised_layers", 1),
        ("gradual_unfreezing", 0.5),
    ],
)
def test_settings_of_the_own_weights(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"{name} is for the backbone's own weights, which tune=lora leaves as they are"):
        FitConfig().with_values(tune="lora", **{name: value})


def test_backbone_that_would_not_stay() -> None:
    with pytest.raises(ConfigError, match="with tune=lora the model folder needs a backbone that stays: run ratecast pretrain"):
        FitConfig().with_values(tune="lora", pretrain="5m")


def test_targets_that_are_not_there(backbone_of: BackboneOf) -> None:
    message = (
        r"adapter_targets names q_proj, nowhere, which no linear layer of the backbone is called; there are query, key, value"
    )
    for name in ("lora", "adalora"):
        with pytest.raises(ConfigError, match=message):
            check("bert", backbone_of, tune=name, adapter_targets="q_proj, query, nowhere")
        with pytest.raises(ConfigError, match="adapter_targets names nothing"):
            check("bert", backbone_of, tune=name, adapter_targets=" , ")


def test_given_targets_make_other_architectures_tunable(backbone_of: BackboneOf) -> None:
    method = create_method(AdapterConfig(tune="lora", adapter_targets="query,key"))
    assert method is not None
    model = attach(load_backbone(BackboneConfig(backbone=str(backbone_of("electra")), max_tokens=24)), method).model
    changed = {name.split(".")[-4] for name, weight in model.named_parameters() if weight.requires_grad}
    assert changed == {"query", "key"}


def test_longest_input_leaves_room_for_the_virtual_tokens(backbone_of: BackboneOf) -> None:
    backbone = load_backbone(BackboneConfig(backbone=str(backbone_of("bert"))), added_tokens=10)
    assert backbone.encoder.settings.max_tokens == 86
