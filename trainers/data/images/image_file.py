"""Image files, opened and converted in one place: training sees what `hpo predict` sees."""

from __future__ import annotations

import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from trainers.data.images.resizing import least_size
from trainers.errors import DataError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
# Pillow goes by contents, not by names, and passes some formats to other programs (EPS to Ghostscript).
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
MAX_PIXELS = 2**30 // 12  # Pillow warns above that
MAX_BYTES = 4 * MAX_PIXELS  # of that many pixels in four channels, without compression

_WHITE = 255
_ROWS_AT_ONCE = 256  # for copies that need more bytes per pixel than the image
_EXIF_ORIENTATION = 0x0112
_TRANSPOSE_BY_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Head(NamedTuple):
    """What a file says before its pixels are decoded."""

    size: tuple[int, int]
    """Width and height, before EXIF rotates the image."""
    grey: bool
    """Whether it has one channel, transparency aside."""


def head(source: Path | BinaryIO) -> Head:
    """Reads the head of an image file, or of its contents. Raises what `picture` raises."""
    with _opened(source) as image:
        return Head(image.size, image.mode in ("1", "L", "LA", "La") or _is_deep(image))


def picture(source: Path | BinaryIO, target: tuple[int, int] | None = None, how: str = "crop") -> Image.Image:
    """Reads the image of a file, or of its contents: 8 bits per channel, rotated as EXIF says, without transparency.

    target, how: the size (width, height) that the image is for, and one of `RESIZES`: a larger JPEG is then decoded at
    a half, a quarter or an eighth of its size, where that is still enough, which takes less time. A transparent image
    is put on white or black, whichever it stands out from. Its mode may be any; `convert` makes it L or RGB. Raises
    FileNotFoundError where there is no file, and DataError with the reason alone for what is not an image of
    `FORMATS`, not a regular file, damaged, or too large.
    """
    with _opened(source) as image:
        if target:
            image.draft(None, least_size(image.size, target, how))
        image.load()
        return _opaque(_eight_bit(_upright(image)))


def check_bytes(size: int) -> None:
    """Raises DataError with the reason for a file of more bytes than any image needs."""
    if size > MAX_BYTES:
        raise DataError(f"it has {size:,} bytes, more than the {MAX_BYTES:,} allowed")


@contextmanager
def _opened(source: Path | BinaryIO) -> Iterator[Image.Image]:
    try:
        if isinstance(source, Path):
            _check_plain(source)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, about files that it could repair
            with Image.open(source, formats=FORMATS) as image:
                _check_pixels(image.width * image.height)
                yield image
    except FileNotFoundError:
        raise
    except Exception as error:  # damaged bytes make Pillow raise any kind of error
        raise DataError(_reason(error)) from error


def _check_plain(path: Path) -> None:
    """Raises DataError for what is not a regular file: reading a FIFO blocks, and a device may never end."""
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise DataError("it is not a regular file")
    check_bytes(about.st_size)


def _check_pixels(count: int) -> None:
    if count > MAX_PIXELS:
        raise DataError(_too_large(count))


def _too_large(pixels: int) -> str:
    return f"it has {pixels:,} pixels, more than the {MAX_PIXELS:,} allowed"


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"it is not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image"
    if isinstance(
        error, Image.DecompressionBombError
    ):  # from Pillow, above twice the limit; its first number is the pixels
        return _too_large(int((re.findall(r"\d+", str(error)) or [2 * MAX_PIXELS])[0]))
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _is_deep(image: Image.Image) -> bool:
    """Tells whether the image has more than 8 bits per channel; such modes have one channel."""
    return image.mode.startswith(("I", "F"))


def _upright(image: Image.Image) -> Image.Image:
    orientation = 1
    with suppress(Exception):  # a damaged EXIF block does not make the pixels unreadable
        orientation = int(image.getexif().get(_EXIF_ORIENTATION, 1))
    turn = _TRANSPOSE_BY_ORIENTATION.get(orientation)
    return image if turn is None else image.transpose(turn)


def _eight_bit(image: Image.Image) -> Image.Image:
    """Scales 16-bit, 32-bit and float images to 8 bits; Pillow's own conversion would clip them."""
    if not _is_deep(image):
        return image
    values = np.asarray(image)
    white = _white_value(image.mode, values)
    scaled = np.empty(values.shape, np.uint8)
    for at in range(0, len(values), _ROWS_AT_ONCE):
        rows = np.nan_to_num(values[at : at + _ROWS_AT_ONCE].astype(np.float64))
        scaled[at : at + _ROWS_AT_ONCE] = (rows.clip(0, white) / white * _WHITE).round()
    return Image.fromarray(scaled)


def _white_value(mode: str, values: np.ndarray) -> float:
    """Returns the pixel value that stands for white."""
    if mode.startswith("I;16"):
        return 65535.0
    highest = max((float(np.nan_to_num(row).max(initial=0)) for row in values), default=0.0)
    if mode.startswith("F"):  # there is no convention: 1, 255, or the highest value
        return 1.0 if highest <= 1 else max(highest, float(_WHITE))
    return 65535.0 if highest > _WHITE else float(_WHITE)


def _opaque(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    layered = image.convert("RGBA")
    color = (0, 0, 0, 255) if _visible_brightness(np.asarray(layered)) > _WHITE / 2 else (255, 255, 255, 255)
    return Image.alpha_composite(Image.new("RGBA", layered.size, color), layered)


def _visible_brightness(values: np.ndarray) -> float:
    """Returns the mean brightness (0 to 255) of RGBA values (height, width, 4), weighted by opacity; 0 if invisible."""
    light = weight = 0
    for at in range(0, len(values), _ROWS_AT_ONCE):
        rows = values[at : at + _ROWS_AT_ONCE].astype(np.int64)
        light += int((rows[..., :3].sum(2) * rows[..., 3]).sum())
        weight += int(rows[..., 3].sum())
    return light / (3 * weight) if weight else 0.0
