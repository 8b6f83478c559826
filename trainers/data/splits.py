"""Images with their labels, and the training data as it travels to workers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Split:
    """Images and their labels."""

    images: Tensor
    """float32 (N, channels, height, width), normalized."""
    labels: Tensor
    """int64 (N,), from 0."""

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: str) -> Split:
        """Returns the split on a torch device."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True, kw_only=True)
class TrainingArrays:
    """The training data as it travels to the workers: arrays of `TrainingData`, without the test split."""

    train_images: np.ndarray
    train_labels: np.ndarray
    validation_images: np.ndarray
    validation_labels: np.ndarray
    black: tuple[float, ...]
    """The value of a black pixel, per channel."""


@dataclass(frozen=True)
class TrainingData:
    """What training and the search may look at."""

    train: Split
    validation: Split
    black: tuple[float, ...]
    """The normalized value of a black pixel, per channel."""

    def to(self, device: str) -> TrainingData:
        """Returns the data on a torch device."""
        return TrainingData(self.train.to(device), self.validation.to(device), self.black)

    def joined(self) -> TrainingData:
        """Returns training and validation images together for training, and none for validation."""
        pairs = ((getattr(self.train, part), getattr(self.validation, part)) for part in ("images", "labels"))
        nothing = Split(self.validation.images[:0], self.validation.labels[:0])
        return TrainingData(Split(*(torch.cat(pair) for pair in pairs)), nothing, self.black)

    def to_arrays(self) -> TrainingArrays:
        """Returns numpy arrays that share this memory: Ray's object store shares them without copies."""
        train, validation = self.train, self.validation
        return TrainingArrays(
            train_images=train.images.numpy(),
            train_labels=train.labels.numpy(),
            validation_images=validation.images.numpy(),
            validation_labels=validation.labels.numpy(),
            black=tuple(self.black),
        )

    @classmethod
    def from_arrays(cls, arrays: TrainingArrays) -> TrainingData:
        """Makes the data from what `to_arrays` returned, without copies; the arrays may be read-only."""
        import warnings

        with warnings.catch_warnings():
            # torch warns that it cannot mark read-only memory; nothing here writes to it.
            warnings.filterwarnings("ignore", message=".*not writable.*")
            train = Split(torch.from_numpy(arrays.train_images), torch.from_numpy(arrays.train_labels))
            validation = Split(torch.from_numpy(arrays.validation_images), torch.from_numpy(arrays.validation_labels))
        return cls(train, validation, arrays.black)
