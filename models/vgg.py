"""VGG16 (Simonyan & Zisserman, 2015), torchvision's, for small images.

| name | parameters (10 classes) | source |
|---|---|---|
| vgg16 | 134,301,514 | a comparison of NN, CNN and VGG16; 138,357,544 there is the count before the head is replaced |
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from models.layers import Dropout

SMALLEST = 32  # five poolings leave nothing of a smaller image


def vgg16(input_shape: tuple[int, int, int], num_classes: int, *, dropout: float = 0.5) -> nn.Module:
    """torchvision's VGG16 with its last layer replaced; dropout before its second and third linear layer.

    Grey images are repeated to the three channels that ImageNet's filters expect; images under 32 pixels are
    resized to 32, the least that its five poolings leave something of.
    """
    from torchvision.models import vgg16 as make

    network = make(weights=None)
    network.classifier[6] = nn.Linear(4096, num_classes)
    for at in (2, 5):
        network.classifier[at] = Dropout(dropout)
    return nn.Sequential(_ThreeChannels(input_shape[0]), network)


class _ThreeChannels(nn.Module):
    """(N, 1 or 3, height, width) to (N, 3, at least 32, at least 32)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels not in (1, 3):
            raise ValueError(f"vgg16: takes grey or colour images, these have {channels} channels")

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        if min(height, width) < SMALLEST:
            size = (max(height, SMALLEST), max(width, SMALLEST))
            x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
        return x.expand(-1, 3, -1, -1)
