"""Residual networks for small images: no stride and no pooling in front.

| name | layers | parameters (1x28x28, 10 classes) | source |
|---|---|---|---|
| resnet20 | conv 16, three stages of 3 blocks with 16, 32 and 64 channels | 272,186 | He et al., 2016, section 4.2 |
| resnet18 | conv 64, four stages of 2 blocks with 64, 128, 256 and 512 channels | 11,172,810 | the same, table 1 |

A block is two 3x3 convolutions with BatchNorm; the first block of each further stage halves the image. A shortcut that
changes its shape is a 1x1 convolution with BatchNorm. The last BatchNorm of a block starts at 0, so that a network
begins as its shortcuts alone (Goyal et al., 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from models.layers import Dropout, activation_layer, at_least

Shape = tuple[int, int, int]


def resnet20(
    input_shape: Shape, num_classes: int, *, widths: Sequence[int], activation: str = "relu", dropout: float = 0.0
) -> nn.Module:
    """Builds three stages of three blocks; dropout before the last layer. Raises ModelError for images under 8x8."""
    channels, *_ = at_least("resnet20", 8, input_shape)
    return _resnet(channels, num_classes, widths, 3, activation, dropout)


def resnet18(
    input_shape: Shape, num_classes: int, *, widths: Sequence[int], activation: str = "relu", dropout: float = 0.0
) -> nn.Module:
    """Builds four stages of two blocks; dropout before the last layer. Raises ModelError for images under 8x8."""
    channels, *_ = at_least("resnet18", 8, input_shape)
    return _resnet(channels, num_classes, widths, 2, activation, dropout)


class Block(nn.Module):
    """Two convolutions and a shortcut: (N, channels, H, W) to (N, width, H / stride, W / stride), rounded up."""

    def __init__(self, channels: int, width: int, stride: int, activation: str) -> None:
        super().__init__()
        self.first = _convolution(channels, width, 3, stride)
        self.first_activation = activation_layer(activation)
        self.second = _convolution(width, width, 3, 1)
        self.last_activation = activation_layer(activation)
        same = stride == 1 and channels == width
        self.shortcut = nn.Identity() if same else _convolution(channels, width, 1, stride)
        nn.init.zeros_(self.second[1].weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        change = self.second(self.first_activation(self.first(x)))
        y: Tensor = self.last_activation(change + self.shortcut(x))
        return y


def _resnet(
    channels: int, num_classes: int, widths: Sequence[int], blocks: int, activation: str, dropout: float
) -> nn.Module:
    stages = [
        Block(before if number == 0 else width, width, 2 if number == 0 and stage else 1, activation)
        for stage, (before, width) in enumerate(pairwise((widths[0], *widths)))
        for number in range(blocks)
    ]
    return nn.Sequential(
        _convolution(channels, widths[0], 3, 1),
        activation_layer(activation),
        *stages,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        Dropout(dropout),
        nn.Linear(widths[-1], num_classes),
    )


def _convolution(channels: int, width: int, side: int, stride: int) -> nn.Sequential:
    """A padded convolution with BatchNorm, and so without a bias."""
    convolution = nn.Conv2d(channels, width, side, stride, side // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(width))
