"""Pictures of any size and mode, made into what a network was trained on."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from trainers.data import Dataset, denormalized

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

    Transparency goes onto white or black, whichever the picture stands out from. What has another shape is
    padded with its own border's grey or colour, then resized. invert: "auto" takes the negative where what stands
    out from the picture's border is darker than it and the training images' background is dark, or the other way
    round; "yes" and "no" decide themselves. Raises ValueError for a file that is no picture, FileNotFoundError
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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                return _opaque(ImageOps.exif_transpose(_eight_bit(file))).convert(mode)
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged file makes Pillow raise whatever its bytes happen to ask for
        reason = "no picture" if isinstance(error, UnidentifiedImageError) else " ".join(str(error).split())
        raise ValueError(f"{path}: cannot be read as a picture ({reason})") from error


def _eight_bit(image: Image.Image) -> Image.Image:
    """16-bit, 32-bit and float pictures scaled to 8 bits, which Pillow's own conversion would clip."""
    image.load()
    if not image.mode.startswith(("I", "F")):
        return image.copy()
    values = np.nan_to_num(np.asarray(image, np.float64))
    highest = float(values.max(initial=0.0))
    if image.mode.startswith("F"):  # no convention says what is white: 1, 255, or the brightest there is
        most = 1.0 if highest <= 1 else max(highest, float(_WHITE))
    else:
        most = 65535.0 if highest > _WHITE or image.mode.startswith("I;16") else float(_WHITE)
    return Image.fromarray((values.clip(0, most) / most * _WHITE).round().astype(np.uint8))


def _opaque(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    layered = image.convert("RGBA")
    values = np.asarray(layered, np.float64)
    alpha = values[..., 3]
    seen = (values[..., :3].mean(2) * alpha).sum() / alpha.sum() if alpha.any() else 0.0
    canvas = Image.new("RGBA", layered.size, (0, 0, 0, 255) if seen > _WHITE / 2 else (255, 255, 255, 255))
    return Image.alpha_composite(canvas, layered)


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
