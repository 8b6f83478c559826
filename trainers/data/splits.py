"""Images with their labels, and the training data as it travels to workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from trainers.cpu.normalizing import normalized
from trainers.data.images.scaling import Scaling
from trainers.data.reading import MappedImages, as_tensor
from trainers.data.streaming import Stream


@dataclass(frozen=True)
class Split:
    """Images and their labels. Images stay bytes, a quarter of a float's memory, until a batch of them is asked for."""

    images: Tensor
    """uint8 (M, channels, height, width); or floating point, normalized already."""
    labels: Tensor
    """int64 (N,), from 0."""
    scaling: Scaling = field(default_factory=Scaling)
    """How bytes are normalized, or how floats have been."""
    rows: Tensor | None = None
    """int64 (N,): which of the images are the split's, in its order; None where all are. Splits may share images."""
    mapped: MappedImages | None = None
    """The file that the images are mapped from, if they are."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def nbytes(self) -> int:
        """The memory that its images and labels take, in bytes."""
        return len(self) * self.images[:1].nbytes + self.labels.nbytes

    def at(self, indices: Tensor) -> Tensor:
        """Returns the normalized images with these indices, from 0 to N - 1: (n, channels, height, width)."""
        rows = indices if self.rows is None else self.rows.index_select(0, indices)
        if self.images.dtype != torch.uint8:
            return self.images.index_select(0, rows)
        return normalized(self.images, rows, *self._levels)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields all images, normalized, with their labels, in order and at most `size` at once."""
        for indices in torch.split(torch.arange(len(self), device=self.images.device), size):
            yield self.at(indices), self.labels.index_select(0, indices)

    def pixels(self, indices: Tensor) -> Tensor:
        """Returns the images with these indices as pixels in [0, 1], on the CPU, to look at them."""
        rows = indices if self.rows is None else self.rows[indices]
        return self.scaling.pixels(self.images[rows])

    def scaled(self, scaling: Scaling) -> Split:
        """Returns the split with another normalization of its bytes."""
        assert self.images.dtype == torch.uint8 or scaling == self.scaling, "these images are normalized already"
        return replace(self, scaling=scaling)

    def chosen(self, indices: Tensor) -> Split:
        """Returns the images with these indices; their memory is shared."""
        rows = indices if self.rows is None else self.rows[indices]
        return Split(self.images, self.labels[indices], self.scaling, rows, self.mapped)

    def first(self, count: int) -> Split:
        """Returns the first `count` images, or all where there are not so many; their memory is shared."""
        return self.chosen(torch.arange(min(count, len(self)), device=self.images.device))

    def copied(self) -> Split:
        """Returns the split with memory of its own, without the images of other splits."""
        rows = torch.arange(len(self), device=self.images.device) if self.rows is None else self.rows
        return Split(self.images[rows].contiguous(), self.labels.clone(), self.scaling)

    def normalized(self) -> Split:
        """Returns all images as floats at once."""
        return Split(self.at(torch.arange(len(self), device=self.images.device)), self.labels, self.scaling)

    def to(self, device: str) -> Split:
        """Returns the split on a torch device; on another one than now, without the images of other splits."""
        if self.images.device == torch.device(device):
            return self
        images = self.images if self.rows is None else self.images[self.rows]
        return Split(images.to(device), self.labels.to(device), self.scaling)

    @cached_property
    def _levels(self) -> tuple[Tensor, Tensor]:
        return self.scaling.of_bytes(self.images.device)


@dataclass(frozen=True, kw_only=True)
class TrainingArrays:
    """The training data as it travels to the workers: arrays of `TrainingData`, without the test split."""

    train_images: np.ndarray | MappedImages
    train_labels: np.ndarray
    train_rows: np.ndarray | None
    validation_images: np.ndarray | MappedImages
    """The same object as `train_images` where both splits share their images: it travels once."""
    validation_labels: np.ndarray
    validation_rows: np.ndarray | None
    scaling: Scaling
    stream: Stream | None = None


@dataclass(frozen=True)
class TrainingData:
    """What training and the search may look at."""

    train: Split
    validation: Split
    stream: Stream | None = None
    """Where the training images are read in each epoch; None where they are those of `train`."""

    @property
    def scaling(self) -> Scaling:
        """The normalization of the images."""
        return self.train.scaling

    def to(self, device: str) -> TrainingData:
        """Returns the data on a torch device; of training images that are streamed, the labels alone."""
        train = self.train
        train = replace(train, labels=train.labels.to(device)) if self.stream else train.to(device)
        return replace(self, train=train, validation=self.validation.to(device))

    def scaled(self, scaling: Scaling) -> TrainingData:
        """Returns the data with another normalization of its bytes."""
        return replace(self, train=self.train.scaled(scaling), validation=self.validation.scaled(scaling))

    def joined(self) -> TrainingData:
        """Returns training and validation images together for training, and none for validation."""
        stream = self.stream and self.stream.joined()
        return TrainingData(_joined(self.train, self.validation), self.validation.first(0), stream)

    def to_arrays(self, *, is_same_disk: bool = True) -> TrainingArrays:
        """Returns numpy arrays that share this memory: Ray's object store shares them without copies.

        Images that are mapped from a file stay there, if the workers see the same disk.
        """
        if self.train.mapped and not is_same_disk:
            return TrainingData(self.train.copied(), self.validation.copied(), self.stream).to_arrays()
        train, validation = self.train, self.validation
        images = train.mapped or train.images.numpy()
        return TrainingArrays(
            train_images=images,
            train_labels=train.labels.numpy(),
            train_rows=_array(train.rows),
            validation_images=images if validation.images is train.images else validation.images.numpy(),
            validation_labels=validation.labels.numpy(),
            validation_rows=_array(validation.rows),
            scaling=self.scaling,
            stream=self.stream,
        )

    @classmethod
    def from_arrays(cls, arrays: TrainingArrays) -> TrainingData:
        """Makes the data from what `to_arrays` returned, without copies; the arrays may be read-only."""
        one, other = arrays.train_images, arrays.validation_images
        images = _opened(one)
        others = images if other is one else _opened(other)
        return cls(
            Split(images, as_tensor(arrays.train_labels), arrays.scaling, _rows(arrays.train_rows)),
            Split(others, as_tensor(arrays.validation_labels), arrays.scaling, _rows(arrays.validation_rows)),
            arrays.stream,
        )


def _opened(images: np.ndarray | MappedImages) -> Tensor:
    return images.open() if isinstance(images, MappedImages) else as_tensor(images)


def _joined(one: Split, other: Split) -> Split:
    labels = torch.cat([one.labels, other.labels])
    if one.images is other.images:
        return replace(one, labels=labels, rows=torch.cat([_all_rows(one), _all_rows(other)]))
    images = [split.images if split.rows is None else split.images[split.rows] for split in (one, other)]
    return Split(torch.cat(images), labels, one.scaling)


def _all_rows(split: Split) -> Tensor:
    return torch.arange(len(split), device=split.images.device) if split.rows is None else split.rows


def _array(rows: Tensor | None) -> np.ndarray | None:
    return None if rows is None else rows.numpy()


def _rows(rows: np.ndarray | None) -> Tensor | None:
    return None if rows is None else as_tensor(rows)
