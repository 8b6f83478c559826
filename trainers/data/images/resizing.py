"""Images of different sizes, made one size.

crop: the shorter side is scaled to fit, and the centre is cut out. pad: the whole image is scaled to fit, and the rest
is filled with the colour of its own border. squash: each side is scaled by itself. Scaling down averages pixels.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageOps

MAX_CHOSEN_SIDE = 224  # the size of ImageNet's networks; more is slow, and is for the user to ask for


def fitted(image: Image.Image, width: int, height: int, how: str) -> Image.Image:
    """Returns the image in this size; the same object where it has the size already. how: one of `RESIZES`."""
    if image.size == (width, height):
        return image
    if how == "squash":
        return image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0)
    if how == "crop":
        return ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    level = border(np.asarray(image).reshape(image.height, image.width, -1))
    color = tuple(int(value) for value in level)
    return ImageOps.pad(_within(image, width, height), (width, height), color=color[0] if len(color) == 1 else color)


def least_size(size: tuple[int, int], target: tuple[int, int], how: str) -> tuple[int, int]:
    """Returns the size to which a decoder may reduce an image of `size` without a loss at `target`, either way up.

    size, target: width and height.
    """
    sides = [t / s for s in size for t in target]  # EXIF may exchange the sides of the image
    scale = min(1.0, max(sides) if how != "pad" else max(min(sides), min(t / max(size) for t in target)))
    return round(size[0] * scale), round(size[1] * scale)


def chosen_side(sizes: Iterable[tuple[int, int]]) -> int:
    """Returns the side of the square that suits images of these sizes: the median of the shorter sides, capped."""
    return min(MAX_CHOSEN_SIDE, int(statistics.median_low(min(size) for size in sizes)))


def border(pixels: np.ndarray) -> np.ndarray:
    """Returns the median of the outermost pixels, (channels,), of pixels (height, width, channels)."""
    edges = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return np.asarray(np.median(edges, axis=0))


def _within(image: Image.Image, width: int, height: int) -> Image.Image:
    """Resizes the image to fit into width x height."""
    scale = min(width / image.width, height / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BILINEAR)
