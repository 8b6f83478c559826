"""Pictures of any size and mode, made into what a network was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from trainers.data.dataset import Dataset, denormalized
from trainers.data.image_file import picture
from trainers.errors import DataError

_CLEARLY = 0.95  # of the training images must share a background for it to be the data set's
_WHITE = 255


class Picture(NamedTuple):
    """pixels: float32 (channels, height, width) in [0, 1]. inverted: whether it was turned into its negative."""

    pixels: Tensor
    inverted: bool


def background(dataset: Dataset) -> str:
    """ "dark" or "bright" where nearly all training images have such a border, "mixed" elsewhere."""
    images = dataset.training.train.images
    edges = [images[:, :, 0], images[:, :, -1], images[:, :, :, 0], images[:, :, :, -1]]
    border = denormalized(torch.cat(edges, 2)[..., None], dataset.mean, dataset.std).flatten(1)
    dark = (border.median(1).values < 0.5).double().mean().item()
    return "dark" if dark >= _CLEARLY else "bright" if dark <= 1 - _CLEARLY else "mixed"


def read(path: Path, shape: tuple[int, int, int], background: str, invert: str = "auto") -> Picture:
    """The picture at `path` as `shape` (channels, height, width) asks for it.

    It is made plain by `imagefile.picture`, as training images are. What has another shape is padded with its own
    border's grey or colour, then resized. invert: "auto" takes the negative where what stands out from the picture's
    border is darker than it and the training images' background is dark, or the other way round; "yes" and "no"
    decide themselves. Raises ValueError for a file that is no picture, FileNotFoundError where there is none.
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
    """The background of training images that a picture is the negative of; "" for an empty picture.

    contrast: how much brighter than its border the picture is on the average.
    """
    return "dark" if contrast < 0 else "bright" if contrast > 0 else ""


def _border(pixels: np.ndarray) -> np.ndarray:
    """The median of the outermost pixels, per channel."""
    edges = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return np.asarray(np.median(edges, axis=0))


def _fitting(image: Image.Image, width: int, height: int) -> Image.Image:
    """Resized to lie in width x height, by averages where it shrinks."""
    scale = min(width / image.width, height / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BILINEAR)
