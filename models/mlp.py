"""Multi-layer perceptrons.

| name | layers | parameters (1x28x28, 10 classes) | source |
|---|---|---|---|
| mlp | 784-128-64-10 | 109,386 | deep-digits, and the baseline of a baseline-against-CNN comparison |
| mlp_wide | 784-512-512-10 | 669,706 | a comparison of NN, CNN and VGG16 |
| mlp_small | 784-56-28-10 | 45,846 | the perceptron matched in size to LeNet-5 |
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import prod

from torch import nn

from models.layers import Dropout, activation_layer

Shape = tuple[int, int, int]


def mlp(
    input_shape: Shape, num_classes: int, *, widths: Sequence[int], activation: str = "relu", dropout: float = 0.0
) -> nn.Sequential:
    """Builds hidden linear layers of `widths` units, each with its activation and then dropout."""
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in itertools.pairwise((prod(input_shape), *widths)):
        layers += [nn.Linear(fan_in, fan_out), activation_layer(activation), Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(widths[-1], num_classes))
