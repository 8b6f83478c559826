"""Pictures of any size and mode, converted to what a network was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from trainers.data.dataset import Dataset
from trainers.data.image_file import picture
from trainers.errors import DataError

_SHARED_BACKGROUND = 0.95  # fraction of the training images that must have it, to be the data set's
_LOOKED_AT = 2000  # training images
_WHITE = 255


class Picture(NamedTuple):
    """A picture, ready for a network's normalization."""

    pixels: Tensor
    """float32 (channels, height, width) in [0, 1]."""
    inverted: bool
    """Whether these are the negative of the file's pixels."""


def background(dataset: Dataset) -> str:
    """Returns "dark" or "bright" where nearly all training images have such a border, else "mixed"."""
    train = dataset.training.train
    # So many are enough, and looking at all would read a large data set from the disk.
    images = train.pixels(torch.linspace(0, len(train) - 1, min(_LOOKED_AT, len(train))).long())
    border = torch.cat([images[:, :, 0], images[:, :, -1], images[:, :, :, 0], images[:, :, :, -1]], 2).flatten(1)
    dark = (border.median(1).values < 0.5).double().mean().item()
    return "dark" if dark >= _SHARED_BACKGROUND else "bright" if dark <= 1 - _SHARED_BACKGROUND else "mixed"


def read(path: Path, shape: tuple[int, int, int], background: str, invert: str = "auto") -> Picture:
    """Reads the picture at `path` in `shape` (channels, height, width), in the same way as training images.

    A picture of other proportions is padded with the colour of its own border, then resized. invert: "yes", "no", or
    "auto", which takes the negative where the picture's content is darker than its border and the training images'
    background is dark, or the other way round. Raises DataError for a file that is not a picture, FileNotFoundError
    where there is none.
    """
    channels, height, width = shape
    image = _opened(path, "L" if channels == 1 else "RGB")
    values = np.asarray(image).reshape(image.height, image.width, -1)
    level = _border(values)
    inverted = invert == "yes" or (invert == "auto" and background == _negative_of(float((values - level).mean())))
    if image.size != (width, height):
        image = ImageOps.pad(_fitting(image, width, height), (width, height), color=tuple(int(v) for v in level))
    pixels = np.asarray(image, np.float32).reshape(height, width, -1) / _WHITE
    ready = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
    return Picture(1 - ready if inverted else ready, inverted)


def _opened(path: Path, mode: str) -> Image.Image:
    try:
        return picture(path).convert(mode)
    except ValueError as error:
        raise DataError(f"{path}: cannot be read as a picture ({error})") from error


def _negative_of(contrast: float) -> str:
    """Returns the background of the training images that a picture would be the negative of; "" for a blank picture.

    contrast: how much brighter than its border the picture is, on average.
    """
    return "dark" if contrast < 0 else "bright" if contrast > 0 else ""


def _border(pixels: np.ndarray) -> np.ndarray:
    """Returns the median of the outermost pixels, (channels,)."""
    edges = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return np.asarray(np.median(edges, axis=0))


def _fitting(image: Image.Image, width: int, height: int) -> Image.Image:
    """Resizes the image to fit into width x height, averaging where it shrinks."""
    scale = min(width / image.width, height / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BILINEAR)
