"""Compact networks: stacks of convolutions, global average pooling, 1x1 convolution to the classes.

| name | parameters (1x28x28, 10 classes) | idea |
|---|---|---|
| compact_190k | 190,442 | plain |
| compact_18k | 18,258 | wide first layer, 1x1 convolutions to squeeze it |
| compact_6k | 6,270 | the same, half as wide, with BatchNorm |
| compact_7k | 7,074 | BatchNorm, no padding, averaged before the last 1x1 convolution |

Source: a series of networks on the way to 99.4 % within 15 epochs under 8,000 parameters. Every convolution
is activated, the last one only in the first two networks; BatchNorm comes after the activation of each 3x3.
An activation of the logits can lose a class: a ReLU that is 0 for all images has no gradient, and never comes back.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from models.layers import activation_layer, at_least

Shape = tuple[int, int, int]

# 3: a 3x3 convolution; 1: a 1x1 convolution; p: padded; pool: 2x2. Each convolution takes the next width.
_190K = "3, 3, 3, 1, 3, pool, 3"
_18K = "3p, 1, 3p, pool, 3, 3, pool, 1, 3, 3"
_6K = _18K
_7K = "3, 1, 3, pool, 3, 3, 1, 3, 3"


def compact_190k(input_shape: Shape, num_classes: int, *, widths: Sequence[int], activation: str = "relu") -> nn.Module:
    """Builds 32, 64, 128, 1x1 32, 64, pool, 128, 1x1 classes, average.

    Raises ModelError for images under 14x14.
    """
    channels, *_ = at_least("compact_190k", 14, input_shape)
    layers = _stack(_190K, channels, widths, activation, norm=False)
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], num_classes, 1), activation_layer(activation), *_average())


def compact_18k(
    input_shape: Shape,
    num_classes: int,
    *,
    widths: Sequence[int],
    activation: str = "relu",
    activated_logits: bool = True,
) -> nn.Module:
    """Builds 128p, 1x1 8, 16p, pool, 16, 32, pool, 1x1 16, 16, 32, 1x1 classes, average.

    activated_logits: whether the last convolution is activated, as published. Raises ModelError for images under 28x28.
    """
    channels, *_ = at_least("compact_18k", 28, input_shape)
    layers = [*_stack(_18K, channels, widths, activation, norm=False), nn.Conv2d(widths[-1], num_classes, 1)]
    if activated_logits:
        layers.append(activation_layer(activation))
    return nn.Sequential(*layers, *_average())


def compact_6k(input_shape: Shape, num_classes: int, *, widths: Sequence[int], activation: str = "relu") -> nn.Module:
    """Builds 128p, 1x1 4, 8p, pool, 8, 16, pool, 1x1 8, 8, 16, 1x1 classes, average.

    Raises ModelError for images under 28x28.
    """
    channels, *_ = at_least("compact_6k", 28, input_shape)
    layers = _stack(_6K, channels, widths, activation, norm=True)
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], num_classes, 1), *_average())


def compact_7k(input_shape: Shape, num_classes: int, *, widths: Sequence[int], activation: str = "relu") -> nn.Module:
    """Builds 128, 1x1 8, 8, pool, 8, 16, 1x1 8, 8, 16, average, 1x1 classes.

    Raises ModelError for images under 22x22.
    """
    channels, *_ = at_least("compact_7k", 22, input_shape)
    layers = _stack(_7K, channels, widths, activation, norm=True)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Conv2d(widths[-1], num_classes, 1), nn.Flatten())


def _stack(kinds: str, channels: int, widths: Sequence[int], activation: str, norm: bool) -> list[nn.Module]:
    """Builds the modules that a description such as "3p, 1, pool" names."""
    modules: list[nn.Module] = []
    following = iter(widths)
    for kind in kinds.split(", "):
        if kind == "pool":
            modules.append(nn.MaxPool2d(2))
            continue
        width, size = next(following), int(kind[0])
        modules += [nn.Conv2d(channels, width, size, padding=int(kind.endswith("p"))), activation_layer(activation)]
        if norm and size == 3:
            modules.append(nn.BatchNorm2d(width))
        channels = width
    return modules


def _average() -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
