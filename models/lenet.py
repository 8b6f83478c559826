"""LeNet-5 (LeCun et al., 1998) as it is taught today: max pooling, every map connected.

| name | layers | parameters (1x28x28, 10 classes) | source |
|---|---|---|---|
| lenet5 | conv5 6, pool, conv5 16, pool, 256-120-84-10 | 44,426 | LeNet-5 against a perceptron of its size |
| lenet5_bn | the same, BatchNorm after 6, 16 and 120, dropout before the last layer | 44,710 | the same |

The source of lenet5_bn declares the BatchNorm and dropout layers and never calls them; here they are used.
"""

from __future__ import annotations

from torch import nn

from models.layers import Dropout, activation_layer, at_least, pooled_activation

Shape = tuple[int, int, int]


def lenet5(input_shape: Shape, num_classes: int, *, activation: str = "relu", dropout: float = 0.0) -> nn.Module:
    """Builds two pooled, unpadded 5x5 convolutions and two hidden linear layers; dropout before each linear one.

    Raises ModelError for images under 16x16, of which the convolutions leave nothing.
    """
    channels, *_ = at_least("lenet5", 16, input_shape)
    return nn.Sequential(
        nn.Conv2d(channels, 6, 5),
        *pooled_activation(activation),
        nn.Conv2d(6, 16, 5),
        *pooled_activation(activation),
        nn.Flatten(),
        Dropout(dropout),
        nn.Linear(_flat(input_shape), 120),
        activation_layer(activation),
        Dropout(dropout),
        nn.Linear(120, 84),
        activation_layer(activation),
        nn.Linear(84, num_classes),
    )


def lenet5_bn(input_shape: Shape, num_classes: int, *, activation: str = "relu", dropout: float = 0.5) -> nn.Module:
    """Builds lenet5 with BatchNorm after its convolutions and its first linear layer; dropout before the last layer.

    The original's third convolution, 120 maps of a 4x4 input, is a linear layer here. Raises ModelError for images
    under 16x16.
    """
    channels, *_ = at_least("lenet5_bn", 16, input_shape)
    return nn.Sequential(
        nn.Conv2d(channels, 6, 5),
        nn.BatchNorm2d(6),
        *pooled_activation(activation),
        nn.Conv2d(6, 16, 5),
        nn.BatchNorm2d(16),
        *pooled_activation(activation),
        nn.Flatten(),
        nn.Linear(_flat(input_shape), 120),
        nn.BatchNorm1d(120),
        activation_layer(activation),
        nn.Linear(120, 84),
        activation_layer(activation),
        Dropout(dropout),
        nn.Linear(84, num_classes),
    )


def _flat(input_shape: Shape) -> int:
    """Returns how many values the two pooled 5x5 convolutions leave of an image, in 16 maps."""
    rows, columns = (((side - 4) // 2 - 4) // 2 for side in input_shape[1:])
    return 16 * rows * columns
