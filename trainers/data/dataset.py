"""Data sets as tensors in memory, split once into train, validation and a sealed test set.

`load_dataset` decodes every image once; a batch is normalized when it is trained on. Search and training only see a
`TrainingData`, which has no test images; the test split opens through `Dataset.test.open()` only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from torch.nn import functional as F

from trainers.data import folder, idx
from trainers.data.moments import moments
from trainers.data.scaling import Scaling
from trainers.data.splits import Split, TrainingData
from trainers.errors import DataError

DATASETS = ("auto", "mnist", "fashion-mnist", "digits")
VALIDATION_SHARE, MAX_VALIDATION_IMAGES = 0.2, 5000
TEST_SHARE = 0.2  # held out where a source has no test set of its own
SPLIT_SEED = 0  # independent of a study's seed: every study of a data set sees the same splits


_sealed = False


def seal() -> None:
    """Makes every later `SealedSplit.open` in this process fail; for processes that search and train."""
    global _sealed
    _sealed = True


class SealedSplit:
    """The test split, for the final evaluation. It cannot be pickled, so no worker gets it by accident."""

    def __init__(self, split: Split) -> None:
        self._split = split

    def __len__(self) -> int:
        return len(self._split)

    def open(self) -> Split:
        """Returns the split; raises PermissionError in a process that is sealed."""
        if _sealed:
            raise PermissionError("the test split is sealed while networks are chosen and trained")
        return self._split

    def __reduce__(self) -> NoReturn:
        raise TypeError("the test split is sealed: it does not leave the process that loaded it")


@dataclass(frozen=True)
class Dataset:
    """A data set, split."""

    name: str
    """What was loaded; never "auto"."""
    classes: tuple[str, ...]
    """Names of the classes, in label order."""
    training: TrainingData
    test: SealedSplit
    hashes: dict[str, str]
    """SHA-256 of each split's pixels and labels, by the split's name."""
    notice: str = ""
    """What the user must be told, or ""."""

    def __str__(self) -> str:
        sizes = f"{len(self.training.train):,} training, {len(self.training.validation):,} validation images"
        return f"{self.name}: {sizes}; {len(self.test):,} test images, sealed"

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean per channel, of pixels in [0, 1], that the images are normalized with."""
        return self.training.train.scaling.mean

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation per channel, of pixels in [0, 1], that the images are normalized with."""
        return self.training.train.scaling.std

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.training.train.images.shape[1:]
        return channels, height, width


@dataclass(frozen=True)
class RawSplit:
    """Images as they were read, and their labels."""

    images: np.ndarray
    """uint8 (N, height, width, channels)."""
    labels: np.ndarray
    """int64 (N,), from 0."""

    def take(self, indices: np.ndarray) -> RawSplit:
        """Returns the images with these indices."""
        return RawSplit(self.images[indices], self.labels[indices])

    def sha256(self) -> str:
        """Returns the hash of shape, pixels and labels, in hexadecimal digits."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()


def load_dataset(
    name: str,
    data_dir: Path,
    *,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    train_size: int | None = None,
) -> Dataset:
    """Loads "auto", "mnist", "fashion-mnist", "digits", or the folder or .tar at the path `name`.

    "auto" is MNIST where it is in `data_dir` or can be downloaded, else scikit-learn's digits. mean, std: one number
    for all channels or one for each, by default those of the training split. train_size: take a stratified subset of
    the training split. Raises DataError, in one line, for anything wrong with the data or the request.
    """
    source, classes, train, test, notice = _read(name, data_dir)
    if test is None:
        test, train = _stratified(train, round(TEST_SHARE * len(train.labels)), classes)
    size = min(round(VALIDATION_SHARE * len(train.labels)), MAX_VALIDATION_IMAGES)
    validation, train = _stratified(train, size, classes)
    if train_size is not None:
        train = _subset(train, train_size, classes)
    scaling = Scaling(*moments(train.images, mean, std))
    splits = {"train": train, "validation": validation, "test": test}
    return Dataset(
        name=source,
        classes=classes,
        training=TrainingData(*_together([train, validation], scaling)),
        test=SealedSplit(_together([test], scaling)[0]),
        hashes={key: split.sha256() for key, split in splits.items()},
        notice=notice,
    )


_Raw = tuple[str, tuple[str, ...], RawSplit, RawSplit | None, str]


def _read(name: str, data_dir: Path) -> _Raw:
    if name == "digits":
        return _digits("")
    if name == "auto":
        found = idx.find("mnist", data_dir) or idx.download("mnist", data_dir)
        if isinstance(found, Path):
            return _idx("mnist", found)
        return _digits(
            f"MNIST is not in {data_dir} and could not be downloaded ({found}): using scikit-learn's digits, "
            "1,797 images of 8x8 scaled to 28x28"
        )
    if name in idx.FAMILIES:
        found = idx.find(name, data_dir) or idx.download(name, data_dir)
        if isinstance(found, Path):
            return _idx(name, found)
        raise DataError(
            f"--dataset {name}: not in {data_dir} and could not be downloaded ({found}); put its four IDX "
            f"files into {data_dir / idx.FAMILIES[name]}, or use --dataset digits, which needs no download"
        )
    if Path(name).exists():
        classes, train, test, notice = folder.read(Path(name))
        return name, classes, RawSplit(*train), RawSplit(*test) if test else None, notice
    raise DataError(f"--dataset {name}: no such folder or .tar; give a path, or choose from {', '.join(DATASETS)}")


def _idx(name: str, raw: Path) -> _Raw:
    train, test = (RawSplit(*idx.read(raw, part)) for part in ("train", "t10k"))
    classes = tuple(str(label) for label in range(int(train.labels.max()) + 1))
    return name, classes, train, test, ""


def _digits(notice: str) -> _Raw:
    """Loads the test set of the UCI optical digits from scikit-learn: 1,797 images of 8x8, values 0 to 16."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.images).float()[:, None] * (255 / 16)
    scaled = F.interpolate(images, size=(28, 28), mode="bilinear", align_corners=False)
    pixels = scaled.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    classes = tuple(str(label) for label in range(10))
    return "digits", classes, RawSplit(pixels, digits.target.astype(np.int64)), None, notice


def _stratified(data: RawSplit, size: int, classes: tuple[str, ...]) -> tuple[RawSplit, RawSplit]:
    """Splits off `size` images in the proportions of the classes; returns (those, the rest), in source order."""
    counts = np.bincount(data.labels, minlength=len(classes))
    for label, count in enumerate(counts):
        if count < 3:
            raise DataError(f"--dataset: class {classes[label]!r} has {count} training images, at least 3 are needed")
    quota = counts * (size / len(data.labels))
    take = np.clip(np.floor(quota).astype(int), 1, counts - 1)
    for label in np.argsort(take - quota, kind="stable")[: max(0, size - take.sum())]:
        take[label] += 1
    rng = np.random.default_rng(SPLIT_SEED)
    shuffled = [rng.permutation(np.flatnonzero(data.labels == label)) for label in range(len(classes))]
    chosen = np.sort(np.concatenate([order[:n] for order, n in zip(shuffled, take, strict=True)]))
    rest = np.setdiff1d(np.arange(len(data.labels)), chosen)
    return data.take(chosen), data.take(rest)


def _subset(train: RawSplit, size: int, classes: tuple[str, ...]) -> RawSplit:
    if not len(classes) <= size <= len(train.labels):
        raise DataError(
            f"--train-size {size}: must be between {len(classes)} (one image of each class) "
            f"and {len(train.labels)} (the whole training split)"
        )
    return train if size == len(train.labels) else _stratified(train, size, classes)[0]


def _together(parts: Sequence[RawSplit], scaling: Scaling) -> list[Split]:
    """Makes splits that share the memory of their images: joining them, for the finals, copies nothing."""
    count, (height, width, channels) = sum(len(part.labels) for part in parts), parts[0].images.shape[1:]
    images, ends = torch.empty(count, channels, height, width, dtype=torch.uint8), [0]
    for part in parts:
        ends.append(ends[-1] + len(part.labels))
        images[ends[-2] : ends[-1]] = torch.from_numpy(part.images).permute(0, 3, 1, 2)
    pairs = zip(parts, pairwise(ends), strict=True)
    return [Split(images, torch.from_numpy(part.labels), scaling, torch.arange(*ends)) for part, ends in pairs]
