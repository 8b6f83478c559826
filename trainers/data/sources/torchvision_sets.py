"""Data sets of torchvision by name: EMNIST, CIFAR, SVHN, and any other class that yields images and labels."""

from __future__ import annotations

import difflib
import inspect
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from trainers.data.names import EMNIST_SPLITS, PREFIX
from trainers.data.reading import RawSplit, ReadOptions, Source
from trainers.data.sources.items import line_of, read_parts
from trainers.errors import DataError

_STALL_TIMEOUT_S = 10.0  # for the next bytes of a download
_CLASSES = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "svhn": "SVHN"}
Made = Callable[..., Any]


def read(name: str, data_dir: Path, options: ReadOptions) -> Source:
    """Reads a data set in torchvision's own form from `data_dir`, or downloads it there.

    Raises DataError, in one line, where it is missing or damaged, or has no images and labels.
    """
    family = _family(name)
    has_train = name.startswith("emnist") or "train" in inspect.signature(family).parameters
    given = [{"train": True}, {"train": False}] if has_train else [{"split": "train"}, {"split": "test"}]
    train, test = (_opened(name, partial(family, **part), data_dir) for part in given)
    splits, notice = read_parts(name, [_Part(name, each) for each in (train, test)], options)
    used = np.unique(splits[0].labels)
    if len(used) < 2 or not np.isin(splits[1].labels, used).all():
        raise DataError(f"--dataset {name}: its test images have classes that its training images have not")
    classes = [str(each) for each in getattr(train, "classes", ())]
    named = tuple(classes[label] if label < len(classes) else str(label) for label in used)
    # Labels that do not occur, as 0 in EMNIST's letters, are no classes.
    train_split, test_split = (RawSplit(each.images, np.searchsorted(used, each.labels)) for each in splits)
    return Source(name, named, train_split, test=test_split, notice=notice)


class _Part:
    """A part's images, upright."""

    def __init__(self, name: str, part: Any) -> None:
        self._part, self._is_turned = part, name.startswith("emnist")  # whose files have rows and columns exchanged

    def __len__(self) -> int:
        return len(self._part)

    def __getitem__(self, at: int) -> tuple[Image.Image, int]:
        image, label = self._part[at]
        if not isinstance(image, Image.Image):
            raise ValueError("this data set of torchvision does not yield images")
        return image.transpose(Image.Transpose.TRANSPOSE) if self._is_turned else image, label


def _family(name: str) -> Made:
    """Returns what makes one part of the data set: torchvision's class."""
    from torchvision import datasets

    if name.startswith("emnist"):
        return partial(datasets.EMNIST, split=name.partition("-")[2] or EMNIST_SPLITS[0])
    wanted = _CLASSES.get(name, name.removeprefix(PREFIX))
    known = [each for each in datasets.__all__ if _has_parts(getattr(datasets, each))]
    if wanted not in known:
        near = difflib.get_close_matches(wanted, known)
        hint = f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(known)}"
        raise DataError(f"--dataset {name}: torchvision has no such data set of images and labels; {hint}")
    found: Made = getattr(datasets, wanted)
    return found


def _has_parts(family: Any) -> bool:
    names = set(inspect.signature(family).parameters)
    return {"root", "download"} <= names and bool({"train", "split"} & names)


def _opened(name: str, part: Made, data_dir: Path) -> Any:
    """Opens one part; downloads the data set where it is not in `data_dir`."""
    try:
        return part(root=str(data_dir), download=False)
    except RuntimeError as error:  # torchvision says in this way that files are missing, or have another checksum
        missing = error
    except Exception as error:  # damaged files raise any kind of error
        raise DataError(f"--dataset {name}: cannot be read from {data_dir} ({line_of(error)})") from error
    try:
        _download(part, data_dir)
        return part(root=str(data_dir), download=False)
    except Exception as error:
        raise DataError(
            f"--dataset {name}: {line_of(missing)}; it is not in {data_dir}, or damaged there, and could not be "
            f"downloaded ({line_of(error)})"
        ) from error


def _download(part: Made, data_dir: Path) -> None:
    """Downloads with torchvision's own addresses and checksums; the files are moved when all are complete."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=data_dir, prefix=".download-") as folder, _stall_timeout():
        part(root=folder, download=True)
        for file in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
            target = data_dir / file.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(file, target)


@contextmanager
def _stall_timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_STALL_TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
