"""Where the classes of a folder of images are: which images belong to which part of the data set and to which class.

Either train/ and, optionally, val/ and test/, or the class folders alone. One folder may surround all. Within a part
there is a folder per class, or files named {ID}_{Label}.png, whose label is a number.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from trainers.errors import DataError

PARTS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
_PASSED_OVER = ("__MACOSX",)  # what macOS adds to a .zip


def parts_of(name: str) -> tuple[str, ...]:
    """Returns the folders and the file of an entry's name; () for what is hidden, or added by an operating system.

    Letters with accents have one form: macOS writes them as two characters.
    """
    parts = tuple(part for part in unicodedata.normalize("NFC", name).split("/") if part not in ("", "."))
    hidden = any(part.startswith(".") or part in _PASSED_OVER for part in parts)
    return () if hidden else parts


@dataclass(frozen=True)
class Layout:
    """How the images of one data set are arranged."""

    has_parts: bool
    """Whether there is a train/."""
    depth: int = 0
    """Number of folders around the class folders, where there are no parts."""

    @classmethod
    def of(cls, images: Iterable[tuple[str, ...]]) -> Layout:
        """Finds it. images: the parts of the name of each image."""
        names = list(images)
        if any(_part_at(parts, ("train",)) is not None for parts in names):
            return cls(has_parts=True)
        deep = [parts for parts in names if len(parts) > 1]
        is_surrounded = len({parts[0] for parts in deep}) == 1 and all(len(parts) > 2 for parts in deep)
        return cls(has_parts=False, depth=1 if is_surrounded else 0)

    def place(self, parts: tuple[str, ...]) -> tuple[str, str] | None:
        """Returns the part of the data set and the path within it; None for what belongs to none."""
        if not self.has_parts:
            inside = parts[self.depth :]
            return ("train", "/".join(inside)) if len(inside) > 1 else None
        at = _part_at(parts, PARTS.values())
        return None if at is None else (PARTS[parts[at]], "/".join(parts[at + 1 :]))

    def folder(self, parts: tuple[str, ...]) -> tuple[str, str] | None:
        """Returns the part and the class of a folder; the class is "" for the folder of the part itself."""
        if not self.has_parts:
            inside = parts[self.depth :]
            return ("train", inside[0]) if len(inside) == 1 else None
        at = next((at for at, name in enumerate(parts[:2]) if name in PARTS), None)
        if at is None or len(parts) > at + 2:
            return None
        return PARTS[parts[at]], parts[at + 1] if len(parts) > at + 1 else ""


def _part_at(parts: tuple[str, ...], wanted: Iterable[str]) -> int | None:
    """Returns where the name of a part stands among the outer two folders of a file."""
    known = set(wanted)
    found = (at for at, name in enumerate(parts[:2]) if PARTS.get(name) in known and at + 1 < len(parts))
    return next(found, None)


def label(where: str, name: str, is_numbered: bool) -> str:
    """Returns the class of an image. where: how a DataError begins; name: the path within the part."""
    if not is_numbered:
        return PurePosixPath(name).parts[0]
    _, separator, found = PurePosixPath(name).stem.rpartition("_")
    if not separator or not found.isdecimal():
        raise DataError(f"{where}: the label is not a number; name files {{ID}}_{{Label}}.png")
    return str(int(found))


def is_numbered(names: Iterable[str]) -> bool:
    """Whether files are named {ID}_{Label}.png: some lie in the part itself, and not in the folder of a class."""
    return any("/" not in name for name in names)
