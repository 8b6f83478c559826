"""TrivialAugment and RandAugment: operations drawn for each image from one list.

TrivialAugment (Müller & Hutter, 2021) applies one operation with a random amount. RandAugment (Cubuk et al., 2020)
applies two with the same amount, 9 of 30. The list and the ranges are those of TrivialAugment's wide space and of
torchvision's RandAugment; shifts are a share of the side, so that small images keep something.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from trainers.augment import color
from trainers.augment.geometry import affine, uniform

Operation = Callable[[Tensor, Tensor, Tensor], Tensor]
RAND_AUGMENT_OPERATIONS, RAND_AUGMENT_AMOUNT = 2, 9 / 30
_MAX_SHIFT = 150 / 331  # of the side
_TRIVIAL = {"shear": 0.99, "degrees": 135.0, "color": 0.99, "bits": 6.0}
_RAND = {"shear": 0.3, "degrees": 30.0, "color": 0.9, "bits": 4.0}


def trivial_augment(pixels: Tensor, generator: Generator, strength: float = 1.0) -> Tensor:
    """Applies one random operation to each image. pixels: in [0, 1], (N, channels, height, width)."""
    amounts = strength * uniform(pixels, generator)
    return _applied(pixels, amounts, _TRIVIAL, generator)


def rand_augment(pixels: Tensor, generator: Generator, strength: float = 1.0) -> Tensor:
    """Applies two random operations to each image. pixels: in [0, 1], (N, channels, height, width)."""
    for _ in range(RAND_AUGMENT_OPERATIONS):
        amounts = torch.full((len(pixels),), strength * RAND_AUGMENT_AMOUNT, device=pixels.device)
        pixels = _applied(pixels, amounts, _RAND, generator)
    return pixels


def _applied(pixels: Tensor, amounts: Tensor, most: dict[str, float], generator: Generator) -> Tensor:
    """Applies an operation of its own to each image. amounts: (N,), 1 is the most."""
    operations = _operations(most)
    drawn = torch.randint(len(operations), (len(pixels),), generator=generator, device=pixels.device)
    signed = torch.where(uniform(pixels, generator) < 0.5, amounts, -amounts)
    result = pixels.clone()
    for number, operation in enumerate(operations):
        if len(at := (drawn == number).nonzero()[:, 0]):
            result[at] = operation(pixels[at], amounts[at], signed[at])
    return result


def _operations(most: dict[str, float]) -> list[Operation]:
    """Makes the operations on (pixels, amounts, the same with a random sign); `most`: the amount at 1."""
    changes = (color.brightness, color.saturation, color.contrast, color.sharpness)
    return [
        lambda x, _, __: x,
        lambda x, _, s: _mapped(x, shear_x=most["shear"] * s),
        lambda x, _, s: _mapped(x, shear_y=most["shear"] * s),
        # Places run from -1 to 1: twice the share of the side.
        lambda x, _, s: _mapped(x, right=2 * _MAX_SHIFT * s),
        lambda x, _, s: _mapped(x, down=2 * _MAX_SHIFT * s),
        lambda x, _, s: _turned(x, math.radians(most["degrees"]) * s),
        *(_changed(change, most["color"]) for change in changes),
        lambda x, a, _: color.posterize(x, 8 - most["bits"] * a),
        lambda x, a, _: color.solarize(x, 1 - a),
        lambda x, a, _: color.autocontrast(x, a),
        lambda x, a, _: color.equalize(x, a),
    ]


def _changed(change: Callable[[Tensor, Tensor], Tensor], most: float) -> Operation:
    return lambda x, _, s: change(x, 1 + most * s)


def _mapped(pixels: Tensor, **changes: Tensor) -> Tensor:
    """Shears or moves the images; what is uncovered is black."""
    one = torch.ones(len(pixels), device=pixels.device, dtype=pixels.dtype)
    shear_x, shear_y, right, down = (
        changes.get(name, 0 * one).to(pixels.dtype) for name in ("shear_x", "shear_y", "right", "down")
    )
    return _through(pixels, [one, shear_x, right, shear_y, one, down])


def _turned(pixels: Tensor, angles: Tensor) -> Tensor:
    height, width = pixels.shape[2:]
    sine, cosine = angles.sin().to(pixels.dtype), angles.cos().to(pixels.dtype)
    none = torch.zeros_like(sine)
    return _through(pixels, [cosine, -sine * height / width, none, sine * width / height, cosine, none])


def _through(pixels: Tensor, matrix: list[Tensor]) -> Tensor:
    black = torch.zeros(pixels.shape[1], device=pixels.device, dtype=pixels.dtype)
    return affine(pixels, torch.stack(matrix, 1).view(-1, 2, 3), black)
