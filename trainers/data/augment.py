"""Augmentation of whole batches on their device; each image has its own random numbers."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from trainers.config import AUGMENTATIONS

CROP_SCALE = 22 / 28  # side of a crop over side of the image
CROP_PROBABILITY = 0.1
MAX_ROTATION_DEGREES = 15.0
MAX_SHIFT = 1 / 14  # of the shorter side: 2 pixels of 28 or 32, 1 of 8
Augmentation = Callable[[Tensor], Tensor]


def make_augmentation(name: str, black: Tensor, generator: Generator) -> Augmentation | None:
    """Returns the augmentation called `name`, None for "none"; raises ValueError for another name.

    rotate-crop: one image in ten is cropped to the middle 22/28 of its sides and scaled back (bilinear), and every
    image is rotated by its own angle, uniform in +-15 degrees, by nearest pixels: interpolation would blur nearly all
    training images, but no validation image. Source: the training of the compact networks.

    shift: each image moves along each axis by up to a fourteenth of its shorter side, in whole pixels and by one at
    least, all moves being equally likely. shift-flip: the same, and every second image is mirrored, left to right; not
    for what has a reading direction, such as digits.

    black: (channels,), the normalized value of a black pixel, which fills what a rotation or a move uncovers.
    generator: on the images' device.
    """
    if name == "none":
        return None
    if name == "rotate-crop":
        return lambda images: rotate_crop(images, black, generator)
    if name == "shift":
        return lambda images: shift(images, black, generator)
    if name == "shift-flip":
        return lambda images: flip(shift(images, black, generator), generator)
    raise ValueError(f"augment {name!r}: choose from {', '.join(AUGMENTATIONS)}")


def rotate_crop(images: Tensor, black: Tensor, generator: Generator) -> Tensor:
    """Crops one in ten of the images (N, channels, height, width) and rotates each; see `make_augmentation`."""
    angles = (2 * _uniform(images, generator) - 1) * math.radians(MAX_ROTATION_DEGREES)
    cropped = (_uniform(images, generator) < CROP_PROBABILITY).view(-1, 1, 1, 1)
    return rotate(torch.where(cropped, crop(images), images), angles, black)


def crop(images: Tensor) -> Tensor:
    """Cuts out the middle 22/28 of the sides of images (N, channels, height, width), scaled back to their size."""
    height, width = images.shape[2:]
    top, left = round(height * (1 - CROP_SCALE) / 2), round(width * (1 - CROP_SCALE) / 2)
    middle = images[:, :, top : height - top, left : width - left]
    return F.interpolate(middle, size=(height, width), mode="bilinear", align_corners=False)


def rotate(images: Tensor, angles: Tensor, black: Tensor) -> Tensor:
    """Rotates image i by angles[i] (radians, counter-clockwise), by nearest pixels; what is uncovered is `black`."""
    height, width = images.shape[2:]
    sine, cosine, none = angles.sin(), angles.cos(), torch.zeros_like(angles)
    # Coordinates run from -1 to 1 on both axes, so the ratio of the sides belongs into the matrix.
    rows = [cosine, -sine * height / width, none, sine * width / height, cosine, none]
    grid = F.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(images.shape), align_corners=False)
    level = black.view(1, -1, 1, 1)
    # grid_sample pads with zeros: shift black to zero and back.
    return F.grid_sample(images - level, grid, mode="nearest", padding_mode="zeros", align_corners=False) + level


def shift(images: Tensor, black: Tensor, generator: Generator) -> Tensor:
    """Moves each of the images (N, channels, height, width) by its own number of pixels; see `make_augmentation`."""
    edge = max(1, round(min(images.shape[2:]) * MAX_SHIFT))
    down, right = torch.randint(2 * edge + 1, (2, len(images)), generator=generator, device=images.device)
    return move(images, down - edge, right - edge, edge, black)


def move(images: Tensor, down: Tensor, right: Tensor, edge: int, black: Tensor) -> Tensor:
    """Moves image i by down[i] and right[i] pixels, at most `edge`; what is uncovered is `black`."""
    count, channels, height, width = images.shape
    framed = images.new_empty(count, channels, height + 2 * edge, width + 2 * edge)
    framed[:] = black.view(1, -1, 1, 1)
    framed[:, :, edge : edge + height, edge : edge + width] = images
    # A view of all places that an image can be cut out at; one copy takes each image's own.
    places = framed.unfold(2, height, 1).unfold(3, width, 1)
    return places[torch.arange(count, device=images.device), :, edge - down, edge - right]


def flip(images: Tensor, generator: Generator) -> Tensor:
    """Mirrors half of the images, left to right."""
    flipped = (_uniform(images, generator) < 0.5).view(-1, 1, 1, 1)
    return torch.where(flipped, images.flip(3), images)


def _uniform(images: Tensor, generator: Generator) -> Tensor:
    return torch.rand(len(images), generator=generator, device=images.device)
