"""Image files, opened in one place and made plain in one way: training sees what `hpo predict` sees."""

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

from trainers.errors import DataError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
# Pillow looks at contents and not at names, and hands some formats to other programs (EPS to Ghostscript).
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
MAX_PIXELS = 2**30 // 12  # as many as Pillow takes without a warning
MAX_BYTES = 4 * MAX_PIXELS  # so many pixels in four channels, not compressed at all

_WHITE = 255
_ROWS = 256  # at a time, where a copy has more bytes a pixel than the image
_ORIENTATION = 0x0112  # EXIF's tag
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Head(NamedTuple):
    """What a file says before its pixels are decoded. size: width and height, as they are before EXIF turns them."""

    size: tuple[int, int]
    grey: bool


def head(source: Path | BinaryIO) -> Head:
    """The head of an image file, or of its contents. Raises as `picture` does."""
    with _opened(source) as image:
        return Head(image.size, image.mode in ("1", "L", "LA", "La") or _is_deep(image))


def picture(source: Path | BinaryIO) -> Image.Image:
    """The image of a file, or of its contents: of 8 bits, as EXIF turns it, without transparency.

    Transparency goes onto white or black, whichever the picture stands out from. The mode is what is left of the
    file's own: `convert` makes it L or RGB. Raises FileNotFoundError where there is no file, and ValueError with no
    more than the reason for what is no image of `FORMATS`, no plain file, damaged, or too large to be read.
    """
    with _opened(source) as image:
        image.load()
        return _opaque(_eight_bit(_upright(image)))


def check_bytes(size: int) -> None:
    """ValueError with the reason for a file of more bytes than any picture needs."""
    if size > MAX_BYTES:
        raise DataError(f"it has {size:,} bytes, at most {MAX_BYTES:,} are read")


@contextmanager
def _opened(source: Path | BinaryIO) -> Iterator[Image.Image]:
    try:
        if isinstance(source, Path):
            _check_plain(source)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of what it made the best of
            with Image.open(source, formats=FORMATS) as image:
                _check_pixels(image.width * image.height)
                yield image
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged file makes Pillow raise whatever its bytes happen to ask for
        raise DataError(_reason(error)) from error


def _check_plain(path: Path) -> None:
    """A FIFO or a device would be waited for, or never end."""
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise DataError("it is no plain file")
    check_bytes(about.st_size)


def _check_pixels(count: int) -> None:
    if count > MAX_PIXELS:
        raise DataError(_too_large(count))


def _too_large(pixels: int) -> str:
    return f"it has {pixels:,} pixels, at most {MAX_PIXELS:,} are read"


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"it holds no {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image"
    if isinstance(error, Image.DecompressionBombError):  # Pillow's own, at twice the limit: its first number says it
        return _too_large(int((re.findall(r"\d+", str(error)) or [2 * MAX_PIXELS])[0]))
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _is_deep(image: Image.Image) -> bool:
    """Whether it has more than 8 bits a pixel, which all such modes have in one channel."""
    return image.mode.startswith(("I", "F"))


def _upright(image: Image.Image) -> Image.Image:
    orientation = 1
    with suppress(Exception):  # a damaged EXIF block says nothing of the pixels
        orientation = int(image.getexif().get(_ORIENTATION, 1))
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def _eight_bit(image: Image.Image) -> Image.Image:
    """16-bit, 32-bit and float pictures scaled to 8 bits, which Pillow's own conversion would clip."""
    if not _is_deep(image):
        return image
    values = np.asarray(image)
    most = _brightest(image.mode, values)
    scaled = np.empty(values.shape, np.uint8)
    for at in range(0, len(values), _ROWS):
        rows = np.nan_to_num(values[at : at + _ROWS].astype(np.float64))
        scaled[at : at + _ROWS] = (rows.clip(0, most) / most * _WHITE).round()
    return Image.fromarray(scaled)


def _brightest(mode: str, values: np.ndarray) -> float:
    """The value that is white."""
    if mode.startswith("I;16"):
        return 65535.0
    highest = max((float(np.nan_to_num(row).max(initial=0)) for row in values), default=0.0)
    if mode.startswith("F"):  # no convention says what is white: 1, 255, or the brightest there is
        return 1.0 if highest <= 1 else max(highest, float(_WHITE))
    return 65535.0 if highest > _WHITE else float(_WHITE)


def _opaque(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    layered = image.convert("RGBA")
    color = (0, 0, 0, 255) if _seen(np.asarray(layered)) > _WHITE / 2 else (255, 255, 255, 255)
    return Image.alpha_composite(Image.new("RGBA", layered.size, color), layered)


def _seen(values: np.ndarray) -> float:
    """How bright a layer (height, width, 4) is where one sees it; 0 where nothing is to be seen."""
    light = weight = 0
    for at in range(0, len(values), _ROWS):
        rows = values[at : at + _ROWS].astype(np.int64)
        light += int((rows[..., :3].sum(2) * rows[..., 3]).sum())
        weight += int(rows[..., 3].sum())
    return light / (3 * weight) if weight else 0.0
