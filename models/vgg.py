"""VGG16 (Simonyan & Zisserman, 2015), torchvision's, for small images.

| name | parameters (10 classes) | source |
|---|---|---|
| vgg16 | 134,301,514 | a comparison of NN, CNN and VGG16; 138,357,544 there is the count before the head is replaced |
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.errors import ModelError
from models.layers import Dropout
from models.libraries.weights import WeightsFile
from models.names import PRETRAINED

MIN_SIDE = 32  # five poolings leave nothing of a smaller image


def vgg16(
    input_shape: tuple[int, int, int], num_classes: int, *, dropout: float = 0.5, pretrained: str = "none"
) -> nn.Module:
    """Builds torchvision's VGG16 with its last layer replaced; dropout before its second and third linear layer.

    Grey images are repeated to the three channels that ImageNet's filters expect. Images under 32 pixels are resized to
    32, the smallest size that five poolings leave something of. pretrained: "none" starts from random weights; "whole"
    and "head" start from ImageNet's, and "head" trains the new last layer only. Raises ModelError for another choice,
    or where the weights are neither here nor can be downloaded.
    """
    from torchvision.models import vgg16 as make

    if pretrained not in PRETRAINED:
        raise ModelError(f"pretrained {pretrained!r}: choose from {', '.join(PRETRAINED)}")
    network = make(weights=None)
    # On the meta device, where parameters are only counted, there is nothing to load into.
    if pretrained != "none" and torch.get_default_device().type != "meta":
        try:
            network.load_state_dict(pretrained_weights())
        except RuntimeError as error:
            raise ModelError(f"vgg16: {_weights_file().misfit()}") from error
    network.requires_grad_(pretrained != "head")
    network.classifier[6] = nn.Linear(4096, num_classes)
    for at in (2, 5):
        network.classifier[at] = Dropout(dropout)
    return nn.Sequential(_ThreeChannels(input_shape[0]), network)


def pretrained_weights() -> dict[str, Any]:
    """Returns ImageNet's weights, from torch's cache or by download (528 MB, checked by the hash).

    Raises ModelError, which says which file to put where, if neither works or the file is damaged.
    """
    try:
        return _weights_file().read()
    except ModelError as error:
        raise ModelError(f"vgg16: {error}") from error


def _weights_file() -> WeightsFile:
    from torchvision.models import VGG16_Weights

    url: str = VGG16_Weights.IMAGENET1K_V1.url
    return WeightsFile(url, url.rpartition("/")[2])


class _ThreeChannels(nn.Module):
    """(N, 1 or 3, height, width) to (N, 3, at least 32, at least 32)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels not in (1, 3):
            raise ModelError(f"vgg16: takes images of 1 or 3 channels, these have {channels}")

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        if min(height, width) < MIN_SIDE:
            size = (max(height, MIN_SIDE), max(width, MIN_SIDE))
            x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
        return x.expand(-1, 3, -1, -1)
