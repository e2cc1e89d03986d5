"""What every tuning method does with every architecture."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ratecast.config import FitConfig
from ratecast.model.adapters import METHODS, Method, attach, create_method, save_adapter
from ratecast.model.adapters.families import FAMILIES
from ratecast.model.adapters.folder import ADAPTER_FILE
from ratecast.model.backbone import Backbone, transformer_layers
from ratecast.train.finetuned import FineTuned
from ratecast.train.loop import Run

REFUSED = {("prefix", family) for family in ("deberta-v2", "modernbert", "distilbert")}
PAIRS = [(name, family) for name in METHODS for family in FAMILIES if (name, family) not in REFUSED]
RunOf = Callable[..., Run]
TunedBy = Callable[[Run], FineTuned]
BackboneOf = Callable[[str], Path]
BaseOf = Callable[[str], Backbone]


def method_of(name: str) -> Method:
    method = create_method(FitConfig().with_values(tune=name).adapter)
    assert method is not None
    return method


def adapted(backbone: Backbone, method: Method) -> torch.nn.Module:
    return attach(backbone, method).model.eval()


@torch.no_grad()
def states(model: torch.nn.Module, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Token vectors of the text alone."""
    output: torch.Tensor = model(input_ids=ids, attention_mask=mask).last_hidden_state
    return output[:, output.shape[1] - ids.shape[1] :]


def shake(model: torch.nn.Module) -> None:
    """Move the added weights away from where they start."""
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight) * 0.1)


@pytest.mark.parametrize(("name", "family"), PAIRS)
def test_added_weights_change_the_output_and_can_be_disabled(name: str, family: str, base_of: BaseOf) -> None:
    method = method_of(name)
    plain = base_of(family).model.eval()
    ids, mask = torch.randint(5, 60, (2, 7)), torch.ones(2, 7, dtype=torch.int64)
    expected = states(plain, ids, mask)
    model = adapted(base_of(family), method)
    started = states(model, ids, mask)
    assert torch.allclose(started, expected, atol=1e-5) == method.starts_as_identity
    shake(model)
    assert (states(model, ids, mask) - expected).abs().max() > 1e-3
    with method.disabled(model):
        torch.testing.assert_close(states(model, ids, mask), expected, atol=1e-5, rtol=0)
    assert (states(model, ids, mask) - expected).abs().max() > 1e-3
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert 0 < trained < sum(weight.numel() for weight in plain.parameters())
    assert len(transformer_layers(model)) == 2


@pytest.mark.parametrize(("name", "family"), [pair for pair in PAIRS if METHODS[pair[0]].merges])
def test_merged_weights_give_the_same(name: str, family: str, base_of: BaseOf) -> None:
    method = method_of(name)
    model = adapted(base_of(family), method)
    shake(model)
    ids, mask = torch.randint(5, 60, (2, 7)), torch.ones(2, 7, dtype=torch.int64)
    expected = states(model, ids, mask)
    merged = method.merged(model)
    torch.testing.assert_close(states(merged, ids, mask), expected, atol=1e-5, rtol=0)
    assert list(merged.state_dict()) == list(base_of(family).model.state_dict())
    assert type(merged) is type(base_of(family).model)


@pytest.mark.parametrize(("name", "family"), PAIRS)
def test_text_does_not_depend_on_the_padding(name: str, family: str, base_of: BaseOf) -> None:
    model = adapted(base_of(family), method_of(name))
    shake(model)
    ids, mask = torch.randint(5, 60, (1, 5)), torch.ones(1, 5, dtype=torch.int64)
    alone = states(model, ids, mask)
    padded = torch.nn.functional.pad
    torch.testing.assert_close(states(model, padded(ids, (0, 3)), padded(mask, (0, 3)))[:, :5], alone, atol=1e-5, rtol=0)
    if family in {"llama", "qwen2"} and method_of(name).added_tokens == 0:  # the others number positions from the left
        torch.testing.assert_close(states(model, padded(ids, (3, 0)), padded(mask, (3, 0)))[:, 3:], alone, atol=1e-5, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "family"), [(name, "bert") for name in METHODS] + [("lora", family) for family in FAMILIES if family != "bert"]
)
def test_training_changes_the_added_weights_and_the_head_alone(
    name: str, family: str, run_of: RunOf, tuned_by: TunedBy, base_of: BaseOf, backbone_of: BackboneOf, tmp_path: Path
) -> None:
    """Through the whole of fine-tuning; test_every_head.py has a step of every combination."""
    run = run_of(family, tune=name, pooling="last", head_learning_rate=1e-2)
    start = adapted(base_of(family), method_of(name)).state_dict()
    tuned = tuned_by(run)
    assert tuned.adapter is not None
    assert tuned.config.train.learning_rate == METHODS[name].learning_rate
    own = {key: value for key, value in tuned.rater.backbone.named_parameters() if not value.requires_grad}
    assert all(torch.equal(value, start[key]) for key, value in own.items())
    component = save_adapter(tuned.rater, tuned.adapter, tmp_path)
    assert (tmp_path / ADAPTER_FILE).stat().st_size < (backbone_of(family) / "model.safetensors").stat().st_size
    assert component.settings["base_sha256"] == tuned.adapter.base_sha256
