"""The residual networks for small images."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models import resnet18 as torchvisions

from models import build_model, count_parameters
from models.resnet import Block


def test_resnet18_is_torchvisions_but_for_the_stem() -> None:
    theirs = torchvisions(num_classes=10)
    theirs.conv1, theirs.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    ours = build_model("resnet18", (3, 32, 32), 10)
    shapes = [[value.shape for value in network.state_dict().values()] for network in (theirs, ours)]
    assert sorted(shapes[0]) == sorted(shapes[1])
    with torch.no_grad():
        for network in (theirs, ours):
            for value in network.state_dict().values():
                value.fill_(0.01) if value.is_floating_point() else None
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(ours.eval()(images), theirs.eval()(images))


def test_resnet20_has_the_published_depth_and_about_the_published_size() -> None:
    network = build_model("resnet20", (3, 32, 32), 10)
    convolutions = [part for part in network.modules() if isinstance(part, nn.Conv2d) and part.kernel_size == (3, 3)]
    assert len(convolutions) + 1 == 20  # and the linear layer
    assert count_parameters("resnet20", (3, 32, 32), 10) == pytest.approx(270_000, rel=0.01)


def test_a_block_begins_as_its_shortcut() -> None:
    block, x = Block(4, 4, 1, "relu"), torch.randn(2, 4, 6, 6)
    assert torch.equal(block(x), x.relu())
    assert Block(4, 8, 2, "relu")(torch.randn(2, 4, 7, 5)).shape == (2, 8, 4, 3)
