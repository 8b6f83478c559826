from __future__ import annotations

import pytest
from torch import nn

from models import build_model


@pytest.mark.parametrize(("side", "flat"), [(16, 16), (17, 16), (28, 256), (32, 400)])
def test_the_first_linear_layer_fits_what_the_convolutions_leave(side: int, flat: int) -> None:
    linear = next(layer for layer in build_model("lenet5", (1, side, side), 10).modules() if type(layer) is nn.Linear)
    assert linear.in_features == flat and linear.out_features == 120


def test_batchnorm_follows_the_first_three_weights() -> None:
    norms = [layer for layer in build_model("lenet5_bn", (3, 28, 28), 10).modules() if "BatchNorm" in str(type(layer))]
    assert [(type(layer), layer.num_features) for layer in norms] == [
        (nn.BatchNorm2d, 6),
        (nn.BatchNorm2d, 16),
        (nn.BatchNorm1d, 120),
    ]
