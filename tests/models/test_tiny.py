from __future__ import annotations

import pytest
import torch
from torch import nn

from models import build_model
from models.tiny import SeparableBlock


@pytest.mark.parametrize(("name", "least"), [("tiny_8k", 11), ("tiny_2k", 1)])
def test_the_least_side_is_the_least_that_works(name: str, least: int) -> None:
    network = build_model(name, (3, least, least), 10).eval()
    assert network(torch.randn(2, 3, least, least)).shape == (2, 10)
    if least > 1:
        with pytest.raises(ValueError, match=f"{name}: needs images of at least {least}x{least}"):
            build_model(name, (3, least - 1, least), 10)


@pytest.mark.parametrize("name", ["tiny_8k", "tiny_2k"])
def test_every_convolution_is_normalized_and_has_no_bias(name: str) -> None:
    convolutions = [m for m in build_model(name, (1, 28, 28), 10).modules() if isinstance(m, nn.Conv2d)]
    assert convolutions and all(convolution.bias is None for convolution in convolutions)


def test_a_block_adds_to_its_input() -> None:
    block, x = SeparableBlock(6, 5, "tanh").eval(), torch.randn(2, 6, 9, 9)
    nn.init.zeros_(block.layers[1].weight)  # type: ignore[arg-type]
    assert torch.equal(block(x), x)  # the normalized zeros stay zeros under tanh
    depthwise = block.layers[0]
    assert isinstance(depthwise, nn.Conv2d) and depthwise.groups == 6
