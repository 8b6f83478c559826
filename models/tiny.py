"""Networks with as few parameters as possible, which Podium's own search chose on validation images.

| name | parameters (1x28x28, 10 classes) | idea |
|---|---|---|
| tiny_8k | 7,610 | a 5x5 convolution with stride 2 in front: no layer on 28x28 pixels, where most of the time goes |
| tiny_2k | 1,972 | depthwise-separable residual blocks (Howard et al., 2017; He et al., 2016) |

Every convolution has BatchNorm, and so no bias. The commands that chose them: results/reference/tiny-search.txt.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from models.layers import activation_layer, at_least

Shape = tuple[int, int, int]


def tiny_8k(input_shape: Shape, num_classes: int, *, widths: Sequence[int], activation: str = "relu") -> nn.Module:
    """Builds 5x5 16 with stride 2, 3x3 16, pool, 3x3 16, 3x3 16 unpadded, average, classes.

    Raises ModelError for images under 11x11.
    """
    channels, *_ = at_least("tiny_8k", 11, input_shape)
    first, second, third, fourth = widths
    return nn.Sequential(
        *_convolution(channels, first, 5, activation, stride=2),
        *_convolution(first, second, 3, activation),
        nn.MaxPool2d(2),
        *_convolution(second, third, 3, activation),
        *_convolution(third, fourth, 3, activation, padding=0),
        *_average(fourth, num_classes),
    )


def tiny_2k(input_shape: Shape, num_classes: int, *, widths: Sequence[int], activation: str = "relu") -> nn.Module:
    """Builds 5x5 10 with stride 2, block 5x5, 3x3 to 14 with stride 2, block 5x5, block 3x3, average, classes.

    Works for images of any size.
    """
    first, second = widths
    return nn.Sequential(
        *_convolution(input_shape[0], first, 5, activation, stride=2),
        SeparableBlock(first, 5, activation),
        *_separable(first, second, 3, activation, stride=2),
        SeparableBlock(second, 5, activation),
        SeparableBlock(second, 3, activation),
        *_average(second, num_classes),
    )


class SeparableBlock(nn.Module):
    """Adds a depthwise-separable convolution to its input: (N, channels, H, W) to the same."""

    def __init__(self, channels: int, side: int, activation: str) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_separable(channels, channels, side, activation))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.layers(x)
        return y


def _separable(channels: int, width: int, side: int, activation: str, stride: int = 1) -> list[nn.Module]:
    each = nn.Conv2d(channels, channels, side, stride, side // 2, groups=channels, bias=False)
    return [each, *_convolution(channels, width, 1, activation)]


def _convolution(
    channels: int, width: int, side: int, activation: str, stride: int = 1, padding: int | None = None
) -> list[nn.Module]:
    """A convolution that keeps the size of the image, but for its stride, unless the padding is said."""
    padding = side // 2 if padding is None else padding
    convolution = nn.Conv2d(channels, width, side, stride, padding, bias=False)
    return [convolution, nn.BatchNorm2d(width), activation_layer(activation)]


def _average(width: int, num_classes: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes)]
