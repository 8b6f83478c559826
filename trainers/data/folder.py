"""Data sets of image files: a folder or .tar with train/ and, optionally, test/.

Two layouts: files {ID}_{Label}.png directly in train/ and test/, whose label is a number, or one folder of images per
class, of any name. All images must have one size. They have one channel where all are grey, else three.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple, TypeVar

import numpy as np

from trainers.data.entries import Entry, entries
from trainers.data.free_memory import check_images
from trainers.data.image_file import SUFFIXES, Head, head, picture
from trainers.errors import DataError

T = TypeVar("T")
Arrays = tuple[np.ndarray, np.ndarray]
Heads = dict[str, dict[str, Head]]  # per part, by the image's name in it


def read(path: Path) -> tuple[tuple[str, ...], Arrays, Arrays | None, str]:
    """Returns class names, (images, labels) of train/, those of test/ or None, and a notice for the user or "".

    images: uint8 (N, height, width, channels); labels: int64 (N,). The heads of all files are read first, then the
    pixels, one file at a time. Raises DataError naming the file for an image that does not decode or has another size,
    a label that is not a number, an empty class; and for more images than fit in memory.
    """
    heads, folders = _heads(path)
    if not heads["train"]:
        raise DataError(f"--dataset {path}: has no images in train/")
    numbered = any(len(PurePosixPath(name).parts) == 1 for name in heads["train"])
    labels = {part: [_label(path, part, name, numbered) for name in heads[part]] for part in heads}
    named = sorted(set(labels["train"]), key=int if numbered else str)
    _check_classes(path, named, labels["test"], folders)
    images, notice = _images(path, heads)
    index = {name: number for number, name in enumerate(named)}
    arrays = {part: (images[part], np.array([index[label] for label in labels[part]], np.int64)) for part in images}
    return tuple(named), arrays["train"], arrays.get("test"), notice


def _heads(path: Path) -> tuple[Heads, dict[str, set[str]]]:
    """Returns the heads of all images, sorted by name, and the names of each part's class folders."""
    folders: dict[str, set[str]] = {"train": set(), "test": set()}
    found: list[tuple[_Placed, Head]] = []
    for placed in _placed(path):
        if placed.entry.is_folder and "/" not in placed.name:
            folders[placed.part].add(placed.name)
        elif not placed.entry.is_folder and PurePosixPath(placed.name).suffix.lower() in SUFFIXES:
            found.append((placed, _read(path, placed, head)))
    # Splits and their hashes depend on these two orders: another order would change every data set.
    by_parts = path.is_dir()
    found.sort(key=lambda one: PurePosixPath(one[0].entry.name).parts if by_parts else (one[0].entry.name,))
    heads: Heads = {"train": {}, "test": {}}
    for placed, its_head in found:
        heads[placed.part][placed.name] = its_head
    return heads, folders


class _Placed(NamedTuple):
    """An entry of train/ or test/."""

    entry: Entry
    part: str
    """ "train" or "test"."""
    name: str
    """The entry's path within that part."""


def _placed(path: Path) -> Iterator[_Placed]:
    """Yields what is in train/ and test/, except hidden files; one folder may surround the two."""
    for entry in entries(path):
        parts = [part for part in entry.name.split("/") if part not in ("", ".")]
        at = next((i for i, part in enumerate(parts[:2]) if part in ("train", "test")), None)
        if at is not None and at + 1 < len(parts) and not any(part.startswith(".") for part in parts[at:]):
            yield _Placed(entry, parts[at], "/".join(parts[at + 1 :]))


def _read(path: Path, placed: _Placed, read: Callable[[Path | BinaryIO], T]) -> T:
    try:
        return read(placed.entry.source())
    except (ValueError, FileNotFoundError) as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else error
        where = f"--dataset {path}: {placed.part}/{placed.name}"
        raise DataError(f"{where}: cannot be read as an image ({reason})") from error


def _label(path: Path, part: str, name: str, numbered: bool) -> str:
    if not numbered:
        return PurePosixPath(name).parts[0]
    _, separator, label = PurePosixPath(name).stem.rpartition("_")
    if not separator or not label.isdecimal():
        raise DataError(f"--dataset {path}: {part}/{name}: the label is not a number; name files {{ID}}_{{Label}}.png")
    return str(int(label))


def _check_classes(path: Path, named: list[str], tested: list[str], folders: dict[str, set[str]]) -> None:
    empty = sorted(folders["train"] - set(named)) if folders["train"] else []
    if empty:
        raise DataError(f"--dataset {path}: class {empty[0]!r} is empty: train/{empty[0]} has no images")
    unknown = sorted(set(tested) - set(named))
    if unknown:
        raise DataError(f"--dataset {path}: class {unknown[0]!r} of test/ has no images in train/")
    if len(named) < 2:
        raise DataError(f"--dataset {path}: there is only one class, {named[0]!r}; at least two are needed")


def _images(path: Path, heads: Heads) -> tuple[dict[str, np.ndarray], str]:
    """Returns the images of each part that has any, uint8 (N, height, width, channels), and a notice for the user."""
    every = {f"{part}/{name}": its_head for part in heads for name, its_head in heads[part].items()}
    # EXIF may rotate an image, and some files say so only after the pixels: until then, either side may be the width.
    width, height = _one_size(path, {where: its_head.size for where, its_head in every.items()}, either_way=True)
    channels = 1 if all(its_head.grey for its_head in every.values()) else 3
    notice = check_images(f"--dataset {path}", len(every), (height, width, channels))
    return _decoded(path, heads, width * height, channels), notice


def _one_size(path: Path, sizes: Mapping[str, tuple[int, int]], either_way: bool = False) -> tuple[int, int]:
    """Returns width and height of most images; raises DataError naming one that differs.

    either_way: accept the two sides exchanged.
    """
    ((width, height), _), *_ = Counter(sizes.values()).most_common(1)
    for where, size in sizes.items():
        if size != (width, height) and not (either_way and size == (height, width)):
            raise DataError(
                f"--dataset {path}: {where}: is {size[0]}x{size[1]}, but most images are {width}x{height}; "
                "all must have the same size"
            )
    return width, height


def _decoded(path: Path, heads: Heads, pixels: int, channels: int) -> dict[str, np.ndarray]:
    """Decodes each image, of `pixels` pixels, into its place; returns what `_images` does."""
    rows = {part: {name: row for row, name in enumerate(heads[part])} for part in heads}
    flat = {part: np.empty((len(rows[part]), pixels * channels), np.uint8) for part in heads if heads[part]}
    sizes: dict[str, tuple[int, int]] = {}
    for placed in _placed(path):
        row = rows[placed.part].get(placed.name)
        if row is None or placed.entry.is_folder:
            continue
        image = _read(path, placed, picture).convert("L" if channels == 1 else "RGB")
        if image.width * image.height != pixels:
            raise DataError(f"--dataset {path}: {placed.part}/{placed.name}: changed while it was being read")
        flat[placed.part][row] = np.asarray(image).reshape(-1)
        sizes[f"{placed.part}/{placed.name}"] = image.size
    if len(sizes) < sum(map(len, heads.values())):
        raise DataError(f"--dataset {path}: images disappeared while they were being read")
    width, height = _one_size(path, sizes)
    return {part: images.reshape(-1, height, width, channels) for part, images in flat.items()}
