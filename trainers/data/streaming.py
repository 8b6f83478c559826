"""Training images that are read anew in each epoch, by PyTorch's DataLoader: for random transformations of the user's.

The price is the time of reading them: in `config.threads` further processes per trial, while the network trains.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from trainers.data.sources.items import as_pixels
from trainers.data.sources.python_objects import as_picture, image_at, parts_of
from trainers.errors import DataError
from trainers.generators import all_seeded


@dataclass(frozen=True)
class Stream:
    """Where the training images come from."""

    name: str
    """Of the data set."""
    make: Callable[[], Any]
    """Makes the data set, in the process that trains."""
    resize: str
    """How images of another size are made to fit."""
    train: np.ndarray
    """int64 (N,): the places of the training images: first all of the data set's training part, then those of its
    validation part."""
    validation: np.ndarray
    """int64 (M,): the places of the validation images."""

    def joined(self) -> Stream:
        """Returns the stream for training on the validation images too."""
        return replace(self, train=np.concatenate([self.train, self.validation]), validation=self.validation[:0])


class StreamReader:
    """Reads the images of a stream, in the size and with the channels that they had when they were first read.

    shape: channels, height and width. processes: that read them. Raises DataError where the data set has got shorter.
    """

    def __init__(self, stream: Stream, shape: Sequence[int], processes: int) -> None:
        self._images = _Images(stream, tuple(shape))
        self._processes = processes
        # A forked process has the data set at once, and needs not import the user's code.
        self._context = "fork" if "fork" in multiprocessing.get_all_start_methods() else None

    def batches(self, indices: Sequence[Tensor], seed: int) -> Iterator[Tensor]:
        """Yields the images of each batch: uint8 (n, channels, height, width), channels last in memory.

        indices: of training images, from 0. seed: of random numbers that the data set draws from torch, NumPy or
        Python's random. Raises what the data set raises.
        """
        loader = DataLoader(
            self._images,
            batch_sampler=[batch.tolist() for batch in indices],
            num_workers=self._processes,
            collate_fn=torch.stack,
            generator=torch.Generator().manual_seed(seed),
            multiprocessing_context=self._context,
        )
        for images in loader:
            yield images.permute(0, 3, 1, 2)


class _Images(torch.utils.data.Dataset[Tensor]):
    """The training images by index, as bytes (height, width, channels)."""

    def __init__(self, stream: Stream, shape: tuple[int, ...]) -> None:
        self._stream, self._shape = stream, shape
        with all_seeded(0):  # as when the labels were read: a split that `make` draws is the same
            made = parts_of(stream.name, stream.make())
        self._parts = [image_at(made[part]) for part in ("train", "validation") if made.get(part) is not None]
        count = sum(count for _, count in self._parts)
        if count <= max(stream.train, default=0):
            raise DataError(f"--dataset {stream.name}: has {count} images now, fewer than when it was first read")

    def __len__(self) -> int:
        return len(self._stream.train)

    def __getitem__(self, index: int) -> Tensor:
        channels, height, width = self._shape
        picture = as_picture(self._read(int(self._stream.train[index])))
        return torch.from_numpy(as_pixels(picture, (width, height), channels == 1, self._stream.resize).copy())

    def _read(self, place: int) -> Any:
        (read, count), *further = self._parts
        return read(place) if place < count else further[0][0](place - count)
