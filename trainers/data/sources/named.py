"""The data sets that have names: read by name from the folder of data sets."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from trainers.data.images.resizing import fitted
from trainers.data.reading import RawSplit, ReadOptions, Source
from trainers.data.sources import idx, torchvision_sets
from trainers.errors import DataError


def read(name: str, data_dir: Path, options: ReadOptions) -> Source:
    """Reads a data set by its name; see `DATASETS`. Raises DataError where it is missing or damaged."""
    return _resized(_read(name, data_dir, options), options)


def _read(name: str, data_dir: Path, options: ReadOptions) -> Source:
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
    return Source(name, idx.class_names(name)[: int(train.labels.max()) + 1], train, test=test)


def _digits(notice: str) -> Source:
    """Loads the test set of the UCI optical digits from scikit-learn: 1,797 images of 8x8, values 0 to 16."""
    spec = find_spec("sklearn")
    assert spec and spec.origin
    # Its load_digits reads the same file, after it has imported packages for more than a second.
    table = np.loadtxt(Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    images = torch.from_numpy(table[:, :-1].reshape(-1, 8, 8)).float()[:, None] * (255 / 16)
    scaled = F.interpolate(images, size=(28, 28), mode="bilinear", align_corners=False)
    pixels = scaled.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    classes = tuple(str(label) for label in range(10))
    return Source("digits", classes, RawSplit(pixels, table[:, -1].astype(np.int64)), notice=notice)
