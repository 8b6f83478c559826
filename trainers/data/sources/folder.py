"""Data sets of image files: a folder, .tar or .zip; see trainers/data/sources/layout.py for how they may be arranged.

Images get one size (trainers/data/images/resizing.py). They have one channel where all are grey, else three.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple, Protocol

import numpy as np
from PIL import Image

from trainers.data.free_memory import check_images
from trainers.data.images.image_file import SUFFIXES, Head, head, picture
from trainers.data.images.resizing import chosen_side, fitted
from trainers.data.reading import RawSplit, ReadOptions, Source
from trainers.data.sources.entries import Entry, entries
from trainers.data.sources.in_threads import in_threads
from trainers.data.sources.layout import Layout, is_numbered, label, parts_of
from trainers.errors import DataError

_NAMED = 10  # of the images that are named in a message


class Room(Protocol):
    """Makes the array that images are decoded into."""

    def __call__(self, shape: tuple[int, int, int, int], source_pixels: int) -> np.ndarray:
        """Returns zeros, uint8 of this shape. source_pixels: how many pixels are decoded for it."""
        ...


def read(path: Path, options: ReadOptions, room: Room | None = None) -> Source:
    """Reads the images and their classes. room: makes the memory for the images; by default that of this process.

    The heads of all files are read first, then the pixels, by several threads. Raises DataError naming the files for
    images that do not decode, a label that is not a number, an empty class; and for more images than fit in memory.
    """
    found = _found(path)
    labels, classes = _classes(path, found)
    images, notice = _Decoder(path, found, options, room).decode()
    if not options.skip_broken:
        _check_broken(path, found.broken)
    splits = _splits(found, images, [classes.index(label) for label in labels])
    if len(np.unique(splits["train"].labels)) < len(classes):
        raise DataError(f"--dataset {path}: no image of some class can be read: {_listed(found.broken)}")
    return Source(
        str(path),
        classes,
        splits["train"],
        splits.get("validation"),
        splits.get("test"),
        "; ".join(filter(None, (notice, _skipped(found.broken)))),
        tuple(sorted(found.broken)),
    )


def _splits(found: _Found, images: np.ndarray, labels: list[int]) -> dict[str, RawSplit]:
    """Returns the parts that have images, without the broken ones; they share the memory of the images."""
    splits = {}
    for part in dict.fromkeys(image.part for image in found.images):
        rows = [row for row, image in enumerate(found.images) if image.part == part and image.where not in found.broken]
        splits[part] = RawSplit(images, np.array(labels, np.int64)[rows], np.array(rows, np.int64))
    return splits


class _Image(NamedTuple):
    """An image file of the data set."""

    entry: str
    """The entry's name."""
    part: str
    """train, validation or test."""
    name: str
    """The path within the part."""
    head: Head

    @property
    def where(self) -> str:
        return f"{self.part}/{self.name}"


@dataclass
class _Found:
    """What lies in the folder or archive."""

    images: list[_Image]
    folders: set[tuple[str, str]]
    """Part and class of each folder; "" is the folder of the part itself."""
    broken: dict[str, str] = field(default_factory=dict)
    """The images that cannot be read, and why."""


def _found(path: Path) -> _Found:
    heads, folders = _heads(path)
    layout = Layout.of(parts for parts, _ in heads.values())
    found = _Found([], {placed for parts in folders if (placed := layout.folder(parts))})
    # Splits and their hashes depend on this order: another one would change every data set.
    for name, (parts, its_head) in sorted(heads.items(), key=lambda one: _order(path, one[1][0])):
        if placed := layout.place(parts):
            if isinstance(its_head, str):
                found.broken["/".join(placed)] = its_head
            else:
                found.images.append(_Image(name, *placed, its_head))
    if not any(image.part == "train" for image in found.images):
        _check_broken(path, found.broken)
        raise DataError(f"--dataset {path}: has no images in train/, and no folders of images, one for each class")
    return found


def _heads(path: Path) -> tuple[dict[str, tuple[tuple[str, ...], Head | str]], list[tuple[str, ...]]]:
    """Returns the head of each image file, or why it has none, by the entry's name; and the names of the folders."""
    heads: dict[str, tuple[tuple[str, ...], Head | str]] = {}
    folders = []
    try:
        for entry in entries(path):
            parts = parts_of(entry.name)
            if parts and entry.is_folder:
                folders.append(parts)
            elif parts and PurePosixPath(parts[-1]).suffix.lower() in SUFFIXES:
                heads[entry.name] = parts, _head(entry)
    except DataError:
        # What is wrong with an image tells more than that the archive cannot be read on behind it.
        _check_broken(path, {"/".join(parts): found for parts, found in heads.values() if isinstance(found, str)})
        raise
    return heads, folders


def _order(path: Path, parts: tuple[str, ...]) -> tuple[str, ...]:
    return parts if path.is_dir() else ("/".join(parts),)


def _head(entry: Entry) -> Head | str:
    """Returns the head of an image, or why it cannot be read."""
    try:
        return head(entry.source())
    except (ValueError, FileNotFoundError) as error:
        return _reason(error)


def _reason(error: Exception) -> str:
    return "there is no such file" if isinstance(error, FileNotFoundError) else str(error)


def _classes(path: Path, found: _Found) -> tuple[list[str], tuple[str, ...]]:
    """Returns the class of each image, and all classes in label order."""
    numbered = is_numbered(image.name for image in found.images if image.part == "train")
    labels = [label(f"--dataset {path}: {one.where}", one.name, numbered) for one in found.images]
    pairs = [(image.part, name) for image, name in zip(found.images, labels, strict=True)]
    classes = sorted({name for part, name in pairs if part == "train"}, key=int if numbered else str)
    _check_classes(path, classes, pairs, found)
    return labels, tuple(classes)


def _check_classes(path: Path, classes: list[str], pairs: list[tuple[str, str]], found: _Found) -> None:
    for part, name in sorted(found.folders):
        if name and part == "train" and name not in classes:
            raise DataError(f"--dataset {path}: class {name!r} is empty: train/{name} has no images")
        if not name and all(part != used for used, _ in pairs):
            raise DataError(f"--dataset {path}: its folder of {part} images has none; fill it, or remove it")
    for part, name in sorted(pairs):
        if name not in classes:
            raise DataError(f"--dataset {path}: class {name!r} of {part}/ has no images in train/")
    if len(classes) < 2:
        raise DataError(f"--dataset {path}: there is only one class, {classes[0]!r}; at least two are needed")


def _size(found: _Found, options: ReadOptions) -> tuple[tuple[int, int] | None, str]:
    """Returns width and height that all images get, None where they have one size, and a notice for the user."""
    if options.size:
        height, width = options.size
        return (width, height), ""
    sizes = [image.head.size for image in found.images]
    # EXIF may rotate an image, and some files say so only after the pixels: until then, either side may be the width.
    return (None, "") if len({tuple(sorted(size)) for size in sizes}) == 1 else _common_size(sizes, options)


def _common_size(sizes: list[tuple[int, int]], options: ReadOptions) -> tuple[tuple[int, int], str]:
    """Returns the size that suits images of these sizes, and a notice that says so."""
    side = chosen_side(sizes)
    least, most = (pick(sizes, key=lambda size: (size[0] * size[1], size)) for pick in (min, max))
    range_of_sizes = f"{least[0]}x{least[1]} to {most[0]}x{most[1]}"
    scaled = f"all are scaled to {side}x{side} ({options.resize}), see --image-size"
    return (side, side), f"images have {range_of_sizes} pixels; {scaled}"


class _Job(NamedTuple):
    """An image to decode."""

    row: int
    source: Path | BinaryIO | str
    """Its file or contents, or why it cannot be read."""


class _Decoder:
    """Decodes the images of a data set into one array, by several threads."""

    def __init__(self, path: Path, found: _Found, options: ReadOptions, room: Room | None) -> None:
        self.path, self.found, self.options, self.room = path, found, options, room
        self.rows = {image.entry: row for row, image in enumerate(found.images)}
        self.channels = 1 if all(image.head.grey for image in found.images) else 3

    def decode(self) -> tuple[np.ndarray, str]:
        """Returns uint8 (N, height, width, channels) and a notice; adds to `found.broken` what does not decode."""
        size, notice = _size(self.found, self.options)
        width, height = size or self.found.images[0].head.size
        images, memory, sizes = self._filled((width, height), size)
        if not size and len(sizes) > 1:  # EXIF turned some of them
            del images
            size, notice = _common_size(sorted(sizes), self.options)
            images, memory, sizes = self._filled(size, size)
        ((width, height),) = sizes or {(width, height)}
        shaped = images.reshape(-1, height, width, self.channels)
        return shaped, "; ".join(filter(None, (notice, memory)))

    def _filled(
        self, shape: tuple[int, int], size: tuple[int, int] | None
    ) -> tuple[np.ndarray, str, set[tuple[int, int]]]:
        """Returns all images, a notice on the memory they take, and the widths and heights that they came to.

        shape: width and height, either way round. size: what images are scaled to, None for their own size.
        """
        images, notice = self._room(shape)
        flat, sizes, done = images.reshape(len(images), -1), set(), 0
        for done, (row, image) in enumerate(in_threads(partial(self._opened, size), self._jobs()), start=1):
            if isinstance(image, str):
                self.found.broken[self.found.images[row].where] = image
            elif image.width * image.height != shape[0] * shape[1]:
                where = self.found.images[row].where
                raise DataError(f"--dataset {self.path}: {where}: changed while it was being read")
            else:
                flat[row] = np.asarray(image).reshape(-1)
                sizes.add(image.size)
            self.options.watch(done, len(self.rows))
        if done < len(self.rows):
            raise DataError(f"--dataset {self.path}: images disappeared while they were being read")
        return images, notice, sizes

    def _room(self, shape: tuple[int, int]) -> tuple[np.ndarray, str]:
        """Returns the array for the images, and a notice on the memory that they take."""
        width, height = shape
        whole = len(self.rows), height, width, self.channels
        if self.room:
            return self.room(whole, sum(one.head.size[0] * one.head.size[1] for one in self.found.images)), ""
        notice = check_images(f"--dataset {self.path}", len(self.rows), (height, width, self.channels))
        return np.zeros(whole, np.uint8), notice

    def _jobs(self) -> Iterator[_Job]:
        for entry in entries(self.path):
            row = self.rows.get(entry.name)
            if row is not None and not entry.is_folder:
                try:
                    yield _Job(row, entry.source())
                except ValueError as error:
                    yield _Job(row, _reason(error))

    def _opened(self, size: tuple[int, int] | None, job: _Job) -> tuple[int, Image.Image | str]:
        """Returns the row of an image, and the image in its final size, or why it cannot be read."""
        if isinstance(job.source, str):
            return job.row, job.source
        try:
            image = picture(job.source, size, self.options.resize).convert("L" if self.channels == 1 else "RGB")
        except (ValueError, FileNotFoundError) as error:
            return job.row, _reason(error)
        return job.row, fitted(image, *size, self.options.resize) if size else image


def _check_broken(path: Path, broken: dict[str, str]) -> None:
    """Raises DataError, which names the images that cannot be read, if there are any."""
    if len(broken) == 1:
        ((where, reason),) = broken.items()
        way_on = "--skip-broken leaves it out"
        raise DataError(f"--dataset {path}: {where}: cannot be read as an image ({reason}); {way_on}")
    if broken:
        way_on = "--skip-broken leaves them out"
        raise DataError(f"--dataset {path}: {len(broken)} images cannot be read: {_listed(broken)}; {way_on}")


def _skipped(broken: dict[str, str]) -> str:
    """Returns the notice for images that were left out."""
    count = "1 image cannot be read and is" if len(broken) == 1 else f"{len(broken)} images cannot be read and are"
    return f"{count} left out: {_listed(broken)}" if broken else ""


def _listed(broken: dict[str, str]) -> str:
    more = f" and {len(broken) - _NAMED} more" if len(broken) > _NAMED else ""
    return ", ".join(sorted(broken)[:_NAMED]) + more
