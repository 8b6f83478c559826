"""Images and labels that are had one by one, as a data set of torchvision's form gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from PIL import Image

from trainers.data.images.resizing import chosen_side, fitted
from trainers.data.reading import RawSplit, ReadOptions
from trainers.data.sources.in_threads import in_threads
from trainers.errors import DataError

_LOOKED_AT = 500  # images whose size and mode stand for all


class Items(Protocol):
    """Images with their labels, by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, at: int, /) -> tuple[Image.Image, int]: ...


def read_parts(name: str, parts: Sequence[Items], options: ReadOptions) -> tuple[list[RawSplit], str]:
    """Decodes all images of these parts, in one size and with the same channels; returns them and a notice.

    The size is that of the first part's images, where they have one. Raises DataError, in one line, where an image or a
    label cannot be read.
    """
    try:
        (width, height), grey, notice = _form(parts[0], options)
    except Exception as error:
        raise DataError(f"--dataset {name}: an image or its label cannot be read ({line_of(error)})") from error
    return [_decoded(name, part, (width, height), grey, options) for part in parts], notice


def as_pixels(image: Image.Image, size: tuple[int, int], grey: bool, resize: str) -> np.ndarray:
    """Returns the image as bytes (height, width, channels). size: width and height."""
    fitting = fitted(image.convert("L" if grey else "RGB"), *size, resize)
    return np.asarray(fitting).reshape(size[1], size[0], -1)


def line_of(error: Exception) -> str:
    """The error's message, in one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def _form(part: Items, options: ReadOptions) -> tuple[tuple[int, int], bool, str]:
    """Returns width and height that all images get, whether they are grey, and a notice for the user."""
    count = len(part)
    some = [part[int(at)][0] for at in np.linspace(0, count - 1, min(count, _LOOKED_AT))]
    grey = all(image.mode in ("1", "L") for image in some)
    if options.size:
        return (options.size[1], options.size[0]), grey, ""
    sizes = {image.size for image in some}
    if len(sizes) == 1:
        return sizes.pop(), grey, ""
    side = chosen_side([image.size for image in some])
    scaled = f"all are scaled to {side}x{side} ({options.resize}), see --image-size"
    return (side, side), grey, f"images have different sizes; {scaled}"


def _decoded(name: str, part: Items, size: tuple[int, int], grey: bool, options: ReadOptions) -> RawSplit:
    """Decodes all images of a part, by several threads."""
    width, height = size
    images = np.empty((len(part), height, width, 1 if grey else 3), np.uint8)
    labels = np.empty(len(part), np.int64)

    def decoded(at: int) -> tuple[np.ndarray, int]:
        image, label = part[at]
        return as_pixels(image, size, grey, options.resize), int(label)

    try:
        for row, (pixels, label) in enumerate(in_threads(decoded, range(len(part)))):
            images[row], labels[row] = pixels, label
            options.watch(row + 1, len(part))
    except Exception as error:
        raise DataError(f"--dataset {name}: an image or its label cannot be read ({line_of(error)})") from error
    return RawSplit(images, labels)
