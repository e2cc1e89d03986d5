"""The moving average of the weights, against one made by hand."""

import numpy as np
import pytest
import torch

from ratecast.train.average import averaged, started_average, update_average


@pytest.fixture
def module() -> torch.nn.Module:
    made = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))
    made[1].requires_grad_(False)
    return made


def test_average_of_recorded_weights(module: torch.nn.Module) -> None:
    rng = np.random.default_rng(0)
    weight = module.get_parameter("0.weight")
    expected = weight.detach().numpy().astype(np.float64).copy()
    average = started_average(module)
    assert set(average) == {"0.weight", "0.bias"}
    for step in range(1, 40):
        drawn = rng.normal(size=(2, 3))
        with torch.no_grad():
            weight.copy_(torch.tensor(drawn))
        update_average(average, module, decay=0.6, step=step)
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * drawn
        np.testing.assert_allclose(average["0.weight"].numpy(), expected, atol=1e-6)


def test_weights_are_replaced_and_come_back_even_after_an_error(module: torch.nn.Module) -> None:
    own = {name: value.clone() for name, value in module.state_dict().items()}
    average = {name: value + 1 for name, value in started_average(module).items()}

    def interrupted() -> None:
        with averaged(average, module):
            assert torch.equal(module.state_dict()["0.bias"], own["0.bias"] + 1)
            assert torch.equal(module.state_dict()["1.bias"], own["1.bias"])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    for name, value in module.state_dict().items():
        assert torch.equal(value, own[name])


def test_without_averages_nothing_is_replaced(module: torch.nn.Module) -> None:
    own = module.state_dict()["0.bias"].clone()
    with averaged({}, module):
        assert torch.equal(module.state_dict()["0.bias"], own)
