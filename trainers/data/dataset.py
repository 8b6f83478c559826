"""Data sets as tensors in memory, split once into train, validation and a sealed test set.

`load_dataset` decodes every image once; a batch is normalized when it is trained on. Search and training only see a
`TrainingData`, which has no test images; the test split opens through `Dataset.test.open()` only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from trainers.data.images.moments import moments
from trainers.data.images.resizing import fitted
from trainers.data.images.scaling import Scaling
from trainers.data.names import DATASETS, RESIZES, is_named
from trainers.data.reading import RawSplit, ReadOptions, Source
from trainers.data.sources import folder, idx, torchvision_sets
from trainers.data.splits import Split, TrainingData
from trainers.data.splitting import split
from trainers.errors import DataError

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
    """Loads the data set called `name` (see `DATASETS`), or the folder, .tar or .zip at this path.

    "auto" is MNIST where it is in `data_dir` or can be downloaded, else scikit-learn's digits. mean, std: one number
    for all channels or one for each, by default those of the training split. train_size: take a stratified subset of
    the training split. options: how images are read. Raises DataError, in one line, for anything wrong with the data
    or the request.
    """
    options = options or ReadOptions()
    source = _read(name, data_dir, options)
    train, validation, test = split(source, train_size)
    scaling = Scaling(*moments(train.images, mean, std))
    splits = {"train": train, "validation": validation, "test": test}
    return Dataset(
        name=source.name,
        classes=source.classes,
        training=TrainingData(*_together([train, validation], scaling)),
        test=SealedSplit(_together([test], scaling)[0]),
        hashes={key: part.sha256() for key, part in splits.items()},
        notice=source.notice,
        skipped=source.skipped,
        resize=options.resize,
    )


def _read(name: str, data_dir: Path, options: ReadOptions) -> Source:
    """Reads the source; the result depends on these arguments alone, and on the files."""
    if not is_named(name):
        if not Path(name).exists():
            choices = ", ".join(DATASETS)
            raise DataError(f"--dataset {name}: no such folder, .tar or .zip; give a path, or choose from {choices}")
        return folder.read(Path(name), options)
    return _resized(_named(name, data_dir, options), options)


def _named(name: str, data_dir: Path, options: ReadOptions) -> Source:
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
    if name not in idx.FAMILIES:
        return torchvision_sets.read(name, data_dir, options)
    found = idx.find(name, data_dir) or idx.download(name, data_dir)
    if isinstance(found, Path):
        return _idx(name, found)
    raise DataError(
        f"--dataset {name}: not in {data_dir} and could not be downloaded ({found}); put its four IDX "
        f"files into {data_dir / idx.FAMILIES[name]}, or use --dataset digits, which needs no download"
    )


def _resized(source: Source, options: ReadOptions) -> Source:
    """Scales the images of a named data set to the size that was asked for."""
    if options.size is None:
        return source
    test = _scaled(source.test, options) if source.test else None
    return source._replace(train=_scaled(source.train, options), test=test)


def _scaled(split: RawSplit, options: ReadOptions) -> RawSplit:
    assert options.size is not None
    height, width = options.size
    images = np.empty((len(split), height, width, split.images.shape[3]), np.uint8)
    for row, image in enumerate(split.images):
        plain = Image.fromarray(image.squeeze(-1) if image.shape[2] == 1 else image)
        images[row] = np.asarray(fitted(plain, width, height, options.resize)).reshape(height, width, -1)
    return RawSplit(images, split.labels)


def _idx(name: str, raw: Path) -> Source:
    train, test = (RawSplit(*idx.read(raw, part)) for part in ("train", "t10k"))
    classes = tuple(str(label) for label in range(int(train.labels.max()) + 1))
    return Source(name, classes, train, test=test)


def _digits(notice: str) -> Source:
    """Loads the test set of the UCI optical digits from scikit-learn: 1,797 images of 8x8, values 0 to 16."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.images).float()[:, None] * (255 / 16)
    scaled = F.interpolate(images, size=(28, 28), mode="bilinear", align_corners=False)
    pixels = scaled.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    classes = tuple(str(label) for label in range(10))
    return Source("digits", classes, RawSplit(pixels, digits.target.astype(np.int64)), notice=notice)


def _together(parts: Sequence[RawSplit], scaling: Scaling) -> list[Split]:
    """Makes splits that share the memory of their images: joining them, for the finals, copies nothing."""
    count, (height, width, channels) = sum(len(part.labels) for part in parts), parts[0].images.shape[1:]
    images, ends = torch.empty(count, channels, height, width, dtype=torch.uint8), [0]
    for part in parts:
        ends.append(ends[-1] + len(part.labels))
        images[ends[-2] : ends[-1]] = torch.from_numpy(part.images).permute(0, 3, 1, 2)
    pairs = zip(parts, pairwise(ends), strict=True)
    return [Split(images, torch.from_numpy(part.labels), scaling, torch.arange(*ends)) for part, ends in pairs]
