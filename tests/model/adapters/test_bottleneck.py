"""The bottleneck against NumPy."""

import numpy as np
import torch
from scipy.special import erf
from torch import nn

from ratecast.model.adapters.bottleneck import WithBottleneck


def test_forward_by_hand() -> None:
    layer = WithBottleneck(nn.Linear(6, 4), width=4, narrow=3)
    states = torch.randn(2, 5, 6)
    torch.testing.assert_close(layer(states), layer.layer(states), atol=0, rtol=0)
    nn.init.normal_(layer.up.weight)
    nn.init.normal_(layer.up.bias)
    with torch.no_grad():
        output = layer.layer(states).double().numpy()
        down, up = ([tensor.double().numpy() for tensor in (part.weight, part.bias)] for part in (layer.down, layer.up))
        narrow = output @ down[0].T + down[1]
        expected = output + (narrow * (1 + erf(narrow / np.sqrt(2))) / 2) @ up[0].T + up[1]
        np.testing.assert_allclose(layer(states).numpy(), expected, atol=1e-5)
