"""Pictures of any size and mode, converted to what a network was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from trainers.data.dataset import Dataset
from trainers.data.images.image_file import picture
from trainers.data.images.resizing import border, fitted
from trainers.errors import DataError

_SHARED_BACKGROUND = 0.95  # fraction of the training images that must have it, to be the data set's
_LOOKED_AT, _AT_ONCE = 2000, 20  # training images
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
    some = torch.linspace(0, len(train) - 1, min(_LOOKED_AT, len(train))).long()
    dark = torch.cat([_is_dark(train.pixels(few)) for few in torch.split(some, _AT_ONCE)]).double().mean().item()
    return "dark" if dark >= _SHARED_BACKGROUND else "bright" if dark <= 1 - _SHARED_BACKGROUND else "mixed"


def _is_dark(images: Tensor) -> Tensor:
    """Tells of each image whether its border is dark."""
    edges = [images[:, :, 0], images[:, :, -1], images[:, :, :, 0], images[:, :, :, -1]]
    return torch.cat(edges, 2).flatten(1).median(1).values < 0.5


def read(
    path: Path, shape: tuple[int, int, int], background: str, invert: str = "auto", resize: str = "pad"
) -> Picture:
    """Reads the picture at `path` in `shape` (channels, height, width), in the same way as training images.

    resize: what is done with a picture of another size, one of `RESIZES`. invert: "yes", "no", or
    "auto", which takes the negative where the picture's content is darker than its border and the training images'
    background is dark, or the other way round. Raises DataError for a file that is not a picture, FileNotFoundError
    where there is none.
    """
    channels, height, width = shape
    image = _opened(path, "L" if channels == 1 else "RGB", (width, height), resize)
    values = np.asarray(image).reshape(image.height, image.width, -1)
    contrast = float((values - border(values)).mean())
    inverted = invert == "yes" or (invert == "auto" and background == _negative_of(contrast))
    image = fitted(image, width, height, resize)
    pixels = np.asarray(image, np.float32).reshape(height, width, -1) / _WHITE
    ready = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
    return Picture(1 - ready if inverted else ready, inverted)


def _opened(path: Path, mode: str, target: tuple[int, int], how: str) -> Image.Image:
    try:
        return picture(path, target, how).convert(mode)
    except ValueError as error:
        raise DataError(f"{path}: cannot be read as a picture ({error})") from error


def _negative_of(contrast: float) -> str:
    """Returns the background of the training images that a picture would be the negative of; "" for a blank picture.

    contrast: how much brighter than its border the picture is, on average.
    """
    return "dark" if contrast < 0 else "bright" if contrast > 0 else ""
