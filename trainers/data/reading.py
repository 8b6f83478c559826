"""What a source of images is asked for, and what it gives."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from trainers.data.names import RESIZES

Watch = Callable[[int, int], object]
"""Is called with the number of images that are decoded, and of all."""


def unwatched(done: int, total: int) -> None:
    """Takes no notice of the progress."""


@dataclass(frozen=True)
class ReadOptions:
    """How images are read, beside their source."""

    size: tuple[int, int] | None = None
    """Height and width that all images get; None: their own where they have one size, else one that suits them."""
    resize: str = RESIZES[0]
    """One of `RESIZES`; see trainers/data/images/resizing.py."""
    skip_broken: bool = False
    """Whether to leave out images that do not decode, instead of raising DataError."""
    watch: Watch = unwatched


@dataclass(frozen=True)
class RawSplit:
    """Images as they were read, and their labels."""

    images: np.ndarray
    """uint8 (N, height, width, channels)."""
    labels: np.ndarray
    """int64 (N,), from 0."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray) -> RawSplit:
        """Returns the images with these indices."""
        return RawSplit(self.images[indices], self.labels[indices])

    def sha256(self) -> str:
        """Returns the hash of shape, pixels and labels, in hexadecimal digits."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()


class Source(NamedTuple):
    """A data set as it was read, before it is split."""

    name: str
    """What was loaded; never "auto"."""
    classes: tuple[str, ...]
    """Names, in label order."""
    train: RawSplit
    validation: RawSplit | None = None
    """None where the source has none of its own."""
    test: RawSplit | None = None
    """None where the source has none of its own."""
    notice: str = ""
    """What the user must be told, or ""."""
    skipped: tuple[str, ...] = ()
    """Images that did not decode and were left out."""
