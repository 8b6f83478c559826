"""Random erasing (Zhong et al., 2020)."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from trainers.augment.geometry import uniform

PROBABILITY = 0.5
AREAS = (0.02, 0.2)  # of the image
MAX_RATIO = 3.3  # of the sides


def erase(images: Tensor, generator: Generator, strength: float = 1.0) -> Tensor:
    """Replaces a random rectangle of every second image by the data set's mean, which is 0 in normalized images.

    images: (N, channels, height, width). The rectangle has 2 to 20 % of the image's area, times `strength`.
    """
    height, width = images.shape[2:]
    area = (AREAS[0] + (AREAS[1] - AREAS[0]) * uniform(images, generator)) * strength * height * width
    ratio = ((2 * uniform(images, generator) - 1) * math.log(MAX_RATIO)).exp()
    tall, wide = (area * ratio).sqrt().clamp(max=height), (area / ratio).sqrt().clamp(max=width)
    top, left = uniform(images, generator) * (height - tall), uniform(images, generator) * (width - wide)
    rows, columns = _between(top, tall, height), _between(left, wide, width)
    erased = (rows[:, :, None] & columns[:, None]) & (uniform(images, generator) < PROBABILITY).view(-1, 1, 1)
    return images.masked_fill(erased[:, None], 0)


def _between(start: Tensor, length: Tensor, size: int) -> Tensor:
    """Tells for each image which rows or columns lie within: bool (N, size)."""
    places = torch.arange(size, device=start.device) + 0.5
    return (places >= start[:, None]) & (places < (start + length)[:, None])
