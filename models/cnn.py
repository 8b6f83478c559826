"""Plain convolutional networks.

| name | layers | parameters (1x28x28, 10 classes) | source |
|---|---|---|---|
| cnn | conv 32, pool, conv 64, pool (padded), 3136-128-64-10 | 429,258 | a baseline-against-CNN comparison |
| cnn_dropout | conv 32, conv 64 (unpadded), pool, dropout, 9216-128, dropout, 10 | 1,199,882 | deep-digits |
| cnn_deep | conv 32, pool, conv 64, pool, conv 64 (padded), 3136-1024-512-10 | 3,797,962 | NN, CNN and VGG16 compared |

All convolutions are 3x3. The source of cnn_deep gives only its parameter count; this is the one plain
arrangement that has it.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from models.layers import Dropout, activation_layer, at_least, pooled_activation

Shape = tuple[int, int, int]


def cnn(
    input_shape: Shape, num_classes: int, *, widths: Sequence[int], activation: str = "relu", dropout: float = 0.0
) -> nn.Module:
    """Builds two pooled convolutions and two hidden linear layers, of four `widths`; dropout before each linear one.

    Raises ModelError for images under 4x4, of which two poolings leave nothing.
    """
    channels, height, width = at_least("cnn", 4, input_shape)
    first, second, *hidden = widths
    return nn.Sequential(
        nn.Conv2d(channels, first, 3, padding=1),
        *pooled_activation(activation),
        nn.Conv2d(first, second, 3, padding=1),
        *pooled_activation(activation),
        *_head((second * (height // 4) * (width // 4), *hidden), num_classes, activation, dropout),
    )


def cnn_dropout(
    input_shape: Shape, num_classes: int, *, widths: Sequence[int], activation: str = "relu", dropout: float = 0.2
) -> nn.Module:
    """Builds two unpadded convolutions, one pooling and one hidden linear layer, of three `widths`.

    Dropout comes before both linear layers. Raises ModelError for images under 6x6.
    """
    channels, height, width = at_least("cnn_dropout", 6, input_shape)
    first, second, hidden = widths
    return nn.Sequential(
        nn.Conv2d(channels, first, 3),
        activation_layer(activation),
        nn.Conv2d(first, second, 3),
        *pooled_activation(activation),
        nn.Flatten(),
        Dropout(dropout),
        nn.Linear(second * ((height - 4) // 2) * ((width - 4) // 2), hidden),
        activation_layer(activation),
        Dropout(dropout),
        nn.Linear(hidden, num_classes),
    )


def cnn_deep(
    input_shape: Shape, num_classes: int, *, widths: Sequence[int], activation: str = "relu", dropout: float = 0.0
) -> nn.Module:
    """Builds three convolutions, two of them pooled, and two hidden linear layers, of five `widths`.

    Dropout comes before each hidden linear layer. Raises ModelError for images under 4x4.
    """
    channels, height, width = at_least("cnn_deep", 4, input_shape)
    first, second, third, *hidden = widths
    return nn.Sequential(
        nn.Conv2d(channels, first, 3, padding=1),
        *pooled_activation(activation),
        nn.Conv2d(first, second, 3, padding=1),
        *pooled_activation(activation),
        nn.Conv2d(second, third, 3, padding=1),
        activation_layer(activation),
        *_head((third * (height // 4) * (width // 4), *hidden), num_classes, activation, dropout),
    )


def _head(widths: Sequence[int], num_classes: int, activation: str, dropout: float) -> list[nn.Module]:
    """Builds the head: two hidden linear layers with dropout before each, and the output layer."""
    flat, first, second = widths
    return [
        nn.Flatten(),
        Dropout(dropout),
        nn.Linear(flat, first),
        activation_layer(activation),
        Dropout(dropout),
        nn.Linear(first, second),
        activation_layer(activation),
        nn.Linear(second, num_classes),
    ]
