from __future__ import annotations

import pytest
import torch
from torch import nn

from models import build_model


@pytest.mark.parametrize(
    ("name", "least"), [("compact_190k", 14), ("compact_18k", 28), ("compact_6k", 28), ("compact_7k", 22)]
)
def test_the_least_side_is_the_least_that_works(name: str, least: int) -> None:
    assert build_model(name, (1, least, least), 10)(torch.randn(2, 1, least, least)).shape == (2, 10)


def test_batchnorm_comes_after_the_activation_of_each_3x3_convolution_only() -> None:
    layers = list(build_model("compact_6k", (1, 28, 28), 10, activation="elu"))  # type: ignore[arg-type]
    for number, layer in enumerate(layers[:-3]):
        if isinstance(layer, nn.Conv2d):
            assert isinstance(layers[number + 1], nn.ELU)
            assert isinstance(layers[number + 2], nn.BatchNorm2d) is (layer.kernel_size == (3, 3))
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in build_model("compact_18k", (1, 28, 28), 10).modules())
