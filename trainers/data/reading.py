"""What a source of images is asked for, and what it gives."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from trainers.data.names import RESIZES

_BYTES_AT_ONCE = 2**24  # of images that are looked at together
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
    make: Callable[[], Any] | None = None
    """What makes the data set, where its name is that of a function of the user's own."""
    stream: bool = False
    """Whether the training images of such a data set are read anew in each epoch."""


@dataclass(frozen=True)
class MappedImages:
    """Images in a file, which processes of one machine share, and of which only what is used takes memory."""

    path: Path
    shape: tuple[int, int, int, int]
    """Number, height, width and channels; the file has these bytes alone."""

    def open(self) -> Tensor:
        """Returns uint8 (N, channels, height, width), channels last in memory. Raises OSError."""
        array = np.memmap(self.path, np.uint8, "r", shape=self.shape)
        return as_tensor(array).permute(0, 3, 1, 2)


def as_tensor(array: np.ndarray) -> Tensor:
    """Returns a tensor that shares the memory of an array, which may be read-only."""
    with warnings.catch_warnings():
        # torch warns that it cannot mark read-only memory; nothing here writes to it.
        warnings.filterwarnings("ignore", message=".*not writable.*")
        return torch.from_numpy(array)


@dataclass(frozen=True)
class RawSplit:
    """Images as they were read, and their labels."""

    images: np.ndarray
    """uint8 (M, height, width, channels)."""
    labels: np.ndarray
    """int64 (N,), from 0."""
    rows: np.ndarray | None = None
    """int64 (N,): which of the images are the split's, in its order; None where all are."""
    mapped: MappedImages | None = None
    """Where the images are mapped from, if they are."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels

    def all_rows(self) -> np.ndarray:
        """Returns the rows of the images in `images`."""
        return np.arange(len(self)) if self.rows is None else self.rows

    def take(self, indices: np.ndarray) -> RawSplit:
        """Returns the images with these indices; their memory is shared."""
        return RawSplit(self.images, self.labels[indices], self.all_rows()[indices], self.mapped)

    def chunks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yields all images in order, some at once, each time with the index of the first."""
        size = max(1, _BYTES_AT_ONCE // max(1, self.images[:1].nbytes))
        for at in range(0, len(self), size):
            yield at, self.images[at : at + size] if self.rows is None else self.images[self.rows[at : at + size]]

    def sha256(self) -> str:
        """Returns the hash of shape, pixels and labels, in hexadecimal digits."""
        digest = hashlib.sha256(repr((len(self), *self.shape)).encode())
        for _, chunk in self.chunks():
            digest.update(np.ascontiguousarray(chunk).data)
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
