"""Augmentations that change colours and brightness, of pixels in [0, 1]: (N, 1 or 3 channels, height, width).

Each image has its own amount: `amounts` and `factors` are (N,).
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from trainers.augment.geometry import uniform

MAX_JITTER = 0.4  # of brightness, contrast and saturation
_GREY = (0.299, 0.587, 0.114)  # ITU-R 601, as in Pillow and torchvision
_WHITE = 255


def jitter(pixels: Tensor, generator: Generator, strength: float = 1.0) -> Tensor:
    """Changes brightness, contrast and saturation of each image by factors of up to 1 +- 0.4 times `strength`."""
    for change in (brightness, contrast, saturation):
        pixels = change(pixels, 1 + MAX_JITTER * strength * (2 * uniform(pixels, generator) - 1))
    return pixels


def brightness(pixels: Tensor, factors: Tensor) -> Tensor:
    """Multiplies all pixels."""
    return _blended(torch.zeros_like(pixels), pixels, factors)


def contrast(pixels: Tensor, factors: Tensor) -> Tensor:
    """Moves all pixels away from the mean grey of their image, or towards it."""
    return _blended(grey(pixels).mean((1, 2, 3), keepdim=True), pixels, factors)


def saturation(pixels: Tensor, factors: Tensor) -> Tensor:
    """Moves all pixels away from their own grey, or towards it; grey images stay as they are."""
    return _blended(grey(pixels), pixels, factors)


def sharpness(pixels: Tensor, factors: Tensor) -> Tensor:
    """Moves all pixels away from a smoothed image, or towards it; the border stays as it is, as in Pillow."""
    if min(pixels.shape[2:]) < 3:
        return pixels
    kernel = torch.ones(pixels.shape[1], 1, 3, 3, device=pixels.device, dtype=pixels.dtype)
    kernel[:, :, 1, 1] = 5
    smooth = pixels.clone()
    smooth[:, :, 1:-1, 1:-1] = torch.nn.functional.conv2d(pixels, kernel / 13, groups=pixels.shape[1])
    return _blended(smooth, pixels, factors)


def posterize(pixels: Tensor, bits: Tensor) -> Tensor:
    """Keeps so many of the eight bits of each value."""
    step = (2.0 ** (8 - bits.round())).view(-1, 1, 1, 1)
    return ((pixels * _WHITE).round() / step).floor() * step / _WHITE


def solarize(pixels: Tensor, thresholds: Tensor) -> Tensor:
    """Inverts the pixels that are as bright as the threshold, in [0, 1], or brighter."""
    return torch.where(pixels >= thresholds.view(-1, 1, 1, 1), 1 - pixels, pixels)


def autocontrast(pixels: Tensor, _: Tensor) -> Tensor:
    """Stretches the values of each channel to the whole range."""
    from torchvision.transforms.v2 import functional as v2  # imports the compiler, which takes seconds

    stretched: Tensor = v2.autocontrast(pixels)
    return stretched


def equalize(pixels: Tensor, _: Tensor) -> Tensor:
    """Makes all values of each channel equally frequent."""
    from torchvision.transforms.v2 import functional as v2

    levels: Tensor = v2.equalize((pixels * _WHITE).round().to(torch.uint8))
    return levels.to(pixels.dtype) / _WHITE


def grey(pixels: Tensor) -> Tensor:
    """Returns the brightness of pixels of three channels, (N, 1, height, width); others' mean over the channels."""
    if pixels.shape[1] != len(_GREY):
        return pixels.mean(1, keepdim=True)
    # Numbers, no tensor: to copy one to an accelerator makes the host wait, which no CUDA graph can hold.
    red, green, blue = pixels.unbind(1)
    return (_GREY[0] * red + _GREY[1] * green + _GREY[2] * blue).unsqueeze(1)


def _blended(other: Tensor, pixels: Tensor, factors: Tensor) -> Tensor:
    return (other + factors.view(-1, 1, 1, 1).to(pixels.dtype) * (pixels - other)).clamp(0, 1)
