"""Augmentations that move pixels: shifts, mirror images, rotations, crops and affine maps.

All take normalized images (N, channels, height, width), and the normalized value of a black pixel per channel, which
fills what they uncover.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

CROP_SCALE = 22 / 28  # side of a crop over side of the image
CROP_PROBABILITY = 0.1
MAX_ROTATION_DEGREES = 15.0
MAX_SHIFT = 1 / 14  # of the shorter side: 2 pixels of 28 or 32, 1 of 8
MAX_CROP_SHIFT = 1 / 8  # of the shorter side: 4 pixels of 32
LEAST_AREA = 0.35  # of the image, that a zoom shows
MAX_RATIO = 4 / 3  # of the sides of what a zoom shows


def rotate_crop(images: Tensor, black: Tensor, generator: Generator, strength: float = 1.0) -> Tensor:
    """Crops one image in ten to the middle 22/28 of its sides, scaled back, and rotates each by its own angle.

    The angle is uniform in +-15 degrees times `strength`. Pixels are the nearest ones: interpolation would blur nearly
    all training images, but no validation image. Source: the training of the compact networks.
    """
    angles = (2 * uniform(images, generator) - 1) * math.radians(MAX_ROTATION_DEGREES * strength)
    cropped = (uniform(images, generator) < CROP_PROBABILITY).view(-1, 1, 1, 1)
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
    rows = torch.stack([cosine, -sine * height / width, none, sine * width / height, cosine, none], 1)
    return affine(images, rows.view(-1, 2, 3), black, "nearest")


def affine(images: Tensor, matrices: Tensor, black: Tensor, mode: str = "bilinear") -> Tensor:
    """Takes image i through matrices[i], (N, 2, 3), from places in the result to places in the image, -1 to 1 each."""
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    level = black.view(1, -1, 1, 1)
    # grid_sample pads with zeros: shift black to zero and back.
    return F.grid_sample(images - level, grid, mode=mode, padding_mode="zeros", align_corners=False) + level


def shift(images: Tensor, black: Tensor, generator: Generator, most: float = MAX_SHIFT) -> Tensor:
    """Moves each image along each axis by up to `most` of its shorter side, in whole pixels and by one at least.

    All moves are equally likely.
    """
    edge = max(1, round(min(images.shape[2:]) * most))
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
    """Mirrors half of the images, left to right; not for what has a reading direction, such as digits."""
    flipped = (uniform(images, generator) < 0.5).view(-1, 1, 1, 1)
    return torch.where(flipped, images.flip(3), images)


def zoom(images: Tensor, black: Tensor, generator: Generator, strength: float = 1.0) -> Tensor:
    """Shows a random part of each image in the size of the whole (the random resized crop of Szegedy et al., 2015).

    Its area is at least `LEAST_AREA` of the image's, at strength 1; its sides have a ratio of 3/4 to 4/3.
    """
    least = max(0.01, 1 - (1 - LEAST_AREA) * strength)
    side = (least + (1 - least) * uniform(images, generator)).sqrt()
    ratio = ((2 * uniform(images, generator) - 1) * math.log(MAX_RATIO) / 2).exp()
    wide, high = (side * ratio).clamp(max=1), (side / ratio).clamp(max=1)
    right, down = ((2 * uniform(images, generator) - 1) * (1 - size) for size in (wide, high))
    none = torch.zeros_like(side)
    return affine(images, torch.stack([wide, none, right, none, high, down], 1).view(-1, 2, 3), black)


def uniform(images: Tensor, generator: Generator) -> Tensor:
    """Draws a number in [0, 1) for each image."""
    return torch.rand(len(images), generator=generator, device=images.device)
