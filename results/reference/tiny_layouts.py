"""The layouts that were compared on the way to tiny_8k and tiny_2k, as architectures of one's own: see tiny-search.txt.

A layout is a line of layers: 5s2:16 is a 5x5 convolution to 16 channels with stride 2, 3:16 a padded 3x3 one, 3v:16 an
unpadded one; sep:32 is a depthwise-separable one, seps2:32 one with stride 2; res, rsep and rsep5 are residual blocks;
gap is the global average, gdc a depthwise convolution over the whole image.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from models.layers import activation_layer

LAYOUTS = {
    "l1": "5s2:16 3:16 pool 3:16 3v:16 gap",
    "l2": "5s2:16 res res pool 3:12 gdc",
    "l3": "5s2:24 sep:32 pool rsep rsep rsep gap",
    "l4": "5s2:20 3:16 pool 3:16 gdc",
    "l5": "5s2:24 sep:32 pool rsep rsep gdc",
    "l6": "4s2:16 3:16 3s2:24 gdc",
    "l7": "5s2:20 rsep5 seps2:32 rsep5 rsep5 gdc",
    "l8": "3:8 pool 3:14 3:14 pool 3:14 3:14 gap",
    "l9": "5s2:16 sep:32 pool rsep5 rsep5 3v:8 gdc",
    "k1": "5s2:8 3:8 pool 3:8 3v:6 gap",
    "k2": "5s2:8 sep:14 pool rsep5 rsep5 gap",
    "k3": "5s2:10 rsep5 seps2:14 rsep5 rsep gap",
    "k4": "5s2:8 3:8 pool rsep5 rsep5 3v:7 gap",
    "k5": "3:6 pool 3:8 pool 3:8 3v:8 gap",
}


class Residual(nn.Module):
    """Adds its layers to its input."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.layers(x)
        return y


def network(layout: str, input_shape: tuple[int, int, int], num_classes: int, activation: str = "relu") -> nn.Module:
    """Builds the network of a layout."""
    channels, side, _ = input_shape
    layers: list[nn.Module] = []
    for token in layout.split():
        kind, _, after = token.partition(":")
        width = int(after or channels)
        stride = 2 if kind.endswith("s2") else 1
        size = 5 if "5" in kind else 4 if kind.startswith("4") else 3
        padding = 0 if kind.endswith("v") else (size - 1) // 2
        if kind == "pool":
            layers.append(nn.MaxPool2d(2))
            side //= 2
        elif kind == "gap":
            layers.append(nn.AdaptiveAvgPool2d(1))
            side = 1
        elif kind == "gdc":
            layers += [nn.Conv2d(channels, channels, side, groups=channels, bias=False), nn.BatchNorm2d(channels)]
            side = 1
        else:
            whole: list[nn.Module] = []
            if "sep" in kind:
                whole.append(nn.Conv2d(channels, channels, size, stride, padding, groups=channels, bias=False))
                whole.append(nn.Conv2d(channels, width, 1, bias=False))
            else:
                whole.append(nn.Conv2d(channels, width, size, stride, padding, bias=False))
            whole += [nn.BatchNorm2d(width), activation_layer(activation)]
            layers += [Residual(*whole)] if kind.startswith("r") else whole
            side = (side + 2 * padding - size) // stride + 1
        channels = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * side * side, num_classes))


def __getattr__(name: str) -> Callable[..., nn.Module]:
    """The architecture of a layout, by its name."""
    if name not in LAYOUTS:
        raise AttributeError(name)
    return partial(network, LAYOUTS[name])
