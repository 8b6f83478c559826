"""Data sets as tensors in memory, split once into train, validation and a sealed test set.

`load_dataset` decodes every image once; a batch is normalized when it is trained on. Search and training only see a
`TrainingData`, which has no test images; the test split opens through `Dataset.test.open()` only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NoReturn

import torch

from trainers.data import cache
from trainers.data.images.moments import moments
from trainers.data.images.scaling import Scaling
from trainers.data.names import DATASETS, RESIZES, is_function, is_named
from trainers.data.reading import RawSplit, ReadOptions, Source
from trainers.data.sources import named, python_objects
from trainers.data.splits import Split, TrainingData
from trainers.data.splitting import split
from trainers.data.streaming import Stream
from trainers.errors import DataError
from trainers.generators import all_seeded

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
    skipped: tuple[str, ...] = ()
    """Images that did not decode and were left out."""
    resize: str = RESIZES[0]
    """How images of another size are made to fit."""

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


def load_dataset(
    name: str,
    data_dir: Path,
    *,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    train_size: int | None = None,
    options: ReadOptions | None = None,
) -> Dataset:
    """Loads the data set called `name` (see `DATASETS`), or the folder, .tar, .zip or .npz at this path.

    "auto" is MNIST where it is in `data_dir` or can be downloaded, else scikit-learn's digits. mean, std: one number
    for all channels or one for each, by default those of the training split. train_size: take a stratified subset of
    the training split. options: how images are read. Raises DataError, in one line, for anything wrong with the data
    or the request.
    """
    options = options or ReadOptions()
    source = _read(name, data_dir, options)
    train, validation, test = split(source, train_size)
    scaling = Scaling(
        *moments((chunk for _, chunk in train.chunks()), mean, std), is_given=mean is not None or std is not None
    )
    for_training, for_validation = _splits([train, validation], scaling)
    splits = {"train": train, "validation": validation, "test": test}
    return Dataset(
        name=source.name,
        classes=source.classes,
        training=TrainingData(for_training, for_validation, _stream(source, train, validation, options)),
        test=SealedSplit(_splits([test], scaling)[0]),
        hashes={key: part.sha256() for key, part in splits.items()},
        notice=source.notice,
        skipped=source.skipped,
        resize=options.resize,
    )


def _read(name: str, data_dir: Path, options: ReadOptions) -> Source:
    """Reads the source; the result depends on these arguments alone, and on the files."""
    if is_function(name):
        if options.make is None:
            raise DataError(f"--dataset {name}: is a function of somebody's own, which is not known here")
        with all_seeded(0):  # so that a data set of random transformations is the same each time
            return python_objects.read(name, options.make(), options)
    if not is_named(name):
        if not Path(name).exists():
            choices = ", ".join(DATASETS)
            raise DataError(f"--dataset {name}: no such folder or file; give a path, or choose from {choices}")
        if Path(name).suffix == ".npz":
            return python_objects.read_npz(Path(name), options)
        return cache.read(Path(name), options)
    return named.read(name, data_dir, options)


def _stream(source: Source, train: RawSplit, validation: RawSplit, options: ReadOptions) -> Stream | None:
    if not options.stream or options.make is None:
        return None
    places = validation.all_rows() + (0 if source.validation is None else len(source.train))
    return Stream(source.name, options.make, options.resize, train.all_rows(), places)


def _splits(parts: Sequence[RawSplit], scaling: Scaling) -> list[Split]:
    """Makes splits that share the memory of their images: joining them, for the finals, copies nothing.

    Images that are mapped from a file stay there. Others are copied together, so that the images of no other split are
    kept in memory, or travel to workers.
    """
    mapped = parts[0].mapped
    if mapped is not None and all(part.mapped == mapped for part in parts):
        images = mapped.open()
        return [
            Split(images, torch.from_numpy(p.labels), scaling, torch.from_numpy(p.all_rows()), mapped) for p in parts
        ]
    (height, width, channels), ends = parts[0].shape, list(accumulate(map(len, parts), initial=0))
    images = torch.empty(ends[-1], channels, height, width, dtype=torch.uint8)
    for part, (start, _) in zip(parts, pairwise(ends), strict=True):
        for at, chunk in part.chunks():
            images[start + at : start + at + len(chunk)] = torch.from_numpy(chunk).permute(0, 3, 1, 2)
    bounds = zip(parts, pairwise(ends), strict=True)
    return [Split(images, torch.from_numpy(part.labels), scaling, torch.arange(*bound)) for part, bound in bounds]
