"""The first layers of a network: made for other channels, and for small images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.errors import ModelError

LARGEST_STRIDE = 4  # a longer one cuts images into patches: such a network has no stem that could be smaller
SMALL_KERNEL = 3


def first_convolution(network: nn.Module) -> nn.Conv2d:
    """Returns the convolution that sees the images. Raises ModelError where there is none."""
    found = next((part for part in network.modules() if isinstance(part, nn.Conv2d)), None)
    if found is None:
        raise ModelError("has no convolution")
    return found


def set_channels(network: nn.Module, channels: int, *, keeps_filters: bool) -> None:
    """Makes the first convolution for images of so many channels.

    keeps_filters: of pretrained weights. For grey images the filters are summed over the channels, for other numbers
    they are repeated and scaled, as timm does. Otherwise the filters are drawn anew.
    """
    conv = first_convolution(network)
    if conv.in_channels == channels:
        return
    before, conv.in_channels = conv.weight.detach(), channels
    _set_filters(conv, _for_channels(before, channels) if keeps_filters else None)


def shrink_stem(network: nn.Module, *, keeps_filters: bool) -> None:
    """Takes the first convolution's stride away, and the pooling behind it where there is one, as ResNets for CIFAR do
    (He et al., 2016). Its filters become 3x3 if they were larger: pretrained ones are scaled, others drawn anew.

    Raises ModelError where the first convolution has no such stride.
    """
    conv = first_convolution(network)
    if not 1 < max(conv.stride) <= LARGEST_STRIDE:
        raise ModelError(f"its first convolution has stride {max(conv.stride)}, not 2 to {LARGEST_STRIDE}")
    if pooling := _first_pooling(network):
        parent, _, name = pooling.rpartition(".")
        setattr(network.get_submodule(parent), name, nn.Identity())
    conv.stride = (1, 1)
    if max(conv.kernel_size) > SMALL_KERNEL:
        before = conv.weight.detach()
        conv.kernel_size, conv.padding = (SMALL_KERNEL, SMALL_KERNEL), (SMALL_KERNEL // 2, SMALL_KERNEL // 2)
        _set_filters(conv, _scaled(before) if keeps_filters else None)


def _first_pooling(network: nn.Module) -> str:
    """The name of a pooling of stride 2 that comes before the next convolution with a stride; "" without one."""
    convolutions = 0
    for name, part in network.named_modules():
        if isinstance(part, nn.Conv2d):
            convolutions += 1
            if convolutions > 1 and max(part.stride) > 1:
                return ""
        elif isinstance(part, nn.MaxPool2d | nn.AvgPool2d) and part.stride in (2, (2, 2)):
            return name if convolutions else ""
    return ""


def _set_filters(conv: nn.Conv2d, filters: Tensor | None) -> None:
    """Gives the convolution these filters, or new ones of its size, drawn as torch draws them."""
    shape = (conv.out_channels, conv.in_channels // conv.groups, *conv.kernel_size)
    conv.weight = nn.Parameter(torch.empty(shape, device=conv.weight.device) if filters is None else filters)
    if filters is None:
        conv.reset_parameters()


def _for_channels(filters: Tensor, channels: int) -> Tensor:
    if channels == 1:
        return filters.sum(dim=1, keepdim=True)
    before = filters.shape[1]
    return filters.repeat(1, -(-channels // before), 1, 1)[:, :channels] * (before / channels)


def _scaled(filters: Tensor) -> Tensor:
    """Filters (O, C, H, W) as 3x3, with the same sum, nearly."""
    size = (SMALL_KERNEL, SMALL_KERNEL)
    smaller = F.interpolate(filters, size=size, mode="bilinear", align_corners=False, antialias=True)
    return smaller * (filters.shape[2] * filters.shape[3] / SMALL_KERNEL**2)
