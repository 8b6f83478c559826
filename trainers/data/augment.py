"""Augmentation of whole batches on their device, every image with draws of its own."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from trainers.config import AUGMENTATIONS

CROP, CROP_SHARE, DEGREES = 22 / 28, 0.1, 15.0
Augmentation = Callable[[Tensor], Tensor]


def make_augmentation(name: str, black: Tensor, generator: Generator) -> Augmentation | None:
    """The augmentation called `name`, None for "none"; ValueError for another name.

    rotate-crop: one image in ten is cropped to the middle 22/28 of its sides and scaled back (bilinear), and every
    image is turned by its own angle, uniform in +-15 degrees (nearest pixel: interpolating would blur nearly all
    training images, and no other). Source: the training of the compact networks.

    black: (channels,), the normalized value of a black pixel, which fills what a rotation uncovers.
    generator: on the images' device; every draw is its.
    """
    if name == "none":
        return None
    if name == "rotate-crop":
        return lambda images: rotate_crop(images, black, generator)
    raise ValueError(f"augment {name!r}: choose from {', '.join(AUGMENTATIONS)}")


def rotate_crop(images: Tensor, black: Tensor, generator: Generator) -> Tensor:
    """`images` (N, channels, height, width), one in ten cropped and each turned; see `make_augmentation`."""
    angles = (2 * _uniform(images, generator) - 1) * math.radians(DEGREES)
    cropped = (_uniform(images, generator) < CROP_SHARE).view(-1, 1, 1, 1)
    return rotate(torch.where(cropped, crop(images), images), angles, black)


def crop(images: Tensor) -> Tensor:
    """The middle 22/28 of each image's sides, scaled back to its size."""
    height, width = images.shape[2:]
    top, left = round(height * (1 - CROP) / 2), round(width * (1 - CROP) / 2)
    middle = images[:, :, top : height - top, left : width - left]
    return F.interpolate(middle, size=(height, width), mode="bilinear", align_corners=False)


def rotate(images: Tensor, angles: Tensor, black: Tensor) -> Tensor:
    """Image i turned by angles[i] (radians, counter-clockwise), by nearest pixels; outside of it is `black`."""
    height, width = images.shape[2:]
    sine, cosine, none = angles.sin(), angles.cos(), torch.zeros_like(angles)
    # Coordinates run from -1 to 1 on both axes: an image that is not square needs its sides' ratio in here.
    rows = [cosine, -sine * height / width, none, sine * width / height, cosine, none]
    grid = F.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(images.shape), align_corners=False)
    level = black.view(1, -1, 1, 1)
    # Sampling pads with zeros: shift black there and back.
    return F.grid_sample(images - level, grid, mode="nearest", padding_mode="zeros", align_corners=False) + level


def _uniform(images: Tensor, generator: Generator) -> Tensor:
    return torch.rand(len(images), generator=generator, device=images.device)
