from __future__ import annotations

import torch
from torch import nn

from models import build_model
from models.layers import Dropout
from models.mlp import mlp


def test_each_hidden_layer_has_its_activation_and_then_dropout() -> None:
    network = mlp((3, 4, 5), 7, widths=(11, 6, 9), activation="tanh", dropout=0.4)
    hidden = [nn.Linear, nn.Tanh, Dropout]
    assert [type(layer) for layer in network] == [nn.Flatten, *hidden * 3, nn.Linear]
    assert [layer.out_features for layer in network if isinstance(layer, nn.Linear)] == [11, 6, 9, 7]
    assert network(torch.rand(2, 3, 4, 5)).shape == (2, 7)


def test_one_function_has_three_names() -> None:
    sizes = {
        name: [layer.out_features for layer in build_model(name, (1, 28, 28), 10).modules() if type(layer) is nn.Linear]
        for name in ("mlp", "mlp_small", "mlp_wide")
    }
    assert sizes == {"mlp": [128, 64, 10], "mlp_small": [56, 28, 10], "mlp_wide": [512, 512, 10]}
