"""Augmentation of whole batches on their device: one affine map per image, sampled in one call."""

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

    rotate-crop: every image turned by its own angle, uniform in +-15 degrees, and one in ten also cropped to the
    middle 22/28 of its sides and scaled back. Source: the training of the compact networks.

    black: (channels,), the normalized value of a black pixel, which fills what a rotation uncovers.
    generator: on the images' device; every draw is its.
    """
    if name == "none":
        return None
    if name == "rotate-crop":
        return lambda images: rotate_crop(images, black, generator)
    raise ValueError(f"augment {name!r}: choose from {', '.join(AUGMENTATIONS)}")


def rotate_crop(images: Tensor, black: Tensor, generator: Generator) -> Tensor:
    """`images` (N, channels, height, width), each turned and one in ten cropped; see `make_augmentation`."""
    angles = (2 * _uniform(images, generator) - 1) * math.radians(DEGREES)
    cropped = _uniform(images, generator) < CROP_SHARE
    return affine(images, angles, torch.where(cropped, CROP, 1.0), black)


def affine(images: Tensor, angles: Tensor, scales: Tensor, black: Tensor) -> Tensor:
    """Turns image i by angles[i] (radians, counter-clockwise) and shows the middle scales[i] of its sides.

    Bilinear. Pixels from outside the image are `black` (channels,).
    """
    height, width = images.shape[2:]
    sine, cosine, none = scales * angles.sin(), scales * angles.cos(), torch.zeros_like(angles)
    # Coordinates run from -1 to 1 on both axes: an image that is not square needs its sides' ratio in here.
    rows = [cosine, -sine * height / width, none, sine * width / height, cosine, none]
    theta = torch.stack(rows, 1).view(-1, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    level = black.view(1, -1, 1, 1)
    # Sampling pads with zeros: shift black there and back.
    sampled = F.grid_sample(images - level, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return sampled + level


def _uniform(images: Tensor, generator: Generator) -> Tensor:
    return torch.rand(len(images), generator=generator, device=images.device)
