"""Folders of small photos, as a user may have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SHARES = (10, 5, 4, 3, 2, 1)  # of six unequal classes
COLOURS = ("crimson", "seagreen", "royalblue", "gold", "mediumpurple", "sienna")
NAMES = ("apple", "bäume und büsche", "cat", "dog", "élan", "fish")
_ORIENTATION = 0x0112
STRANGE = 5  # every such photo is of a strange kind


def folder_of_photos(
    path: Path, count: int = 80, sizes: tuple[int, int] = (80, 160), *, is_strange: bool = False, seed: int = 0
) -> Path:
    """Writes `count` photos of six unequal classes into folders with their names.

    The colour and the form of what they show tell the class. is_strange: some are CMYK, have a palette, 16 bits, an
    alpha channel or an EXIF rotation; two are broken.
    """
    rng = np.random.default_rng(seed)
    classes = np.repeat(np.arange(6), np.maximum(1, np.array(SHARES) * count // sum(SHARES)))
    for number, label in enumerate(classes):
        folder = path / NAMES[label]
        folder.mkdir(parents=True, exist_ok=True)
        photo = picture(int(label), tuple(rng.integers(*sizes, 2, endpoint=True)), rng)
        if is_strange and number % STRANGE == 0:
            _save_strange(photo, folder / f"photo {number}", number // STRANGE)
        else:
            photo.save(folder / f"photo {number}.jpg", quality=85)
    if is_strange:
        (path / NAMES[0] / "broken.jpg").write_bytes(b"no photo at all")
        whole = (path / NAMES[0] / "photo 1.jpg").read_bytes()
        (path / NAMES[1] / "cut.jpg").write_bytes(whole[: len(whole) // 2])
        (path / NAMES[1] / "Thumbs.db").write_bytes(b"x")
        (path / "read me.txt").write_text("photos")
    return path


def picture(label: int, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Draws the photo of a class: a bar at the left for the even, at the top for the odd ones, on noise."""
    width, height = int(size[0]), int(size[1])
    noise = rng.integers(0, 90, (height, width, 3), np.uint8)
    photo = Image.fromarray(noise)
    box = (0, 0, width // 3, height) if label % 2 == 0 else (0, 0, width, height // 3)
    ImageDraw.Draw(photo).rectangle(box, fill=COLOURS[label])
    return photo


def _save_strange(photo: Image.Image, path: Path, kind: int) -> None:
    match kind % 5:
        case 0:
            photo.convert("CMYK").save(path.with_suffix(".jpg"))
        case 1:
            photo.convert("P", palette=Image.Palette.ADAPTIVE).save(path.with_suffix(".png"))
        case 2:
            grey = np.asarray(photo.convert("L")).astype(np.uint16) * 257
            Image.fromarray(grey).save(path.with_suffix(".png"))
        case 3:
            photo.convert("RGBA").save(path.with_suffix(".webp"))
        case _:
            exif = Image.Exif()
            exif[_ORIENTATION] = 6  # to be turned right: the file holds the photo turned left
            photo.transpose(Image.Transpose.ROTATE_90).save(path.with_suffix(".jpg"), exif=exif)
