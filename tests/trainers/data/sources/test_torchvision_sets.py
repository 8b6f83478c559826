"""Tiny files in each data set's own format."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torchvision import datasets

from trainers.data.dataset import Dataset, load_dataset
from trainers.data.reading import ReadOptions

PER_CLASS = 6
Rng = np.random.Generator


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network in a test")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def cifar(root: Path, monkeypatch: pytest.MonkeyPatch, family: Any = datasets.CIFAR10, classes: int = 10) -> None:
    folder, rng = root / family.base_folder, np.random.default_rng(0)
    folder.mkdir(parents=True)
    key = "labels" if classes == 10 else "fine_labels"
    for name, _ in [*family.train_list, *family.test_list]:
        labels = list(range(classes)) * PER_CLASS
        content = {"data": rng.integers(0, 256, (len(labels), 3072), np.uint8), key: labels}
        (folder / name).write_bytes(pickle.dumps(content))
    meta = {family.meta["key"]: [f"class {n}" for n in range(classes)]}
    (folder / family.meta["filename"]).write_bytes(pickle.dumps(meta))
    for part in ("train_list", "test_list"):
        known = [[name, md5(folder / name)] for name, _ in getattr(family, part)]
        monkeypatch.setattr(family, part, known)
    monkeypatch.setattr(family, "meta", {**family.meta, "md5": md5(folder / family.meta["filename"])})


def svhn(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.io import savemat

    rng, split_list = np.random.default_rng(0), {}
    for part in ("train", "test"):
        labels = np.tile(np.arange(1, 11), PER_CLASS)[:, None]  # 10 stands for the digit 0
        file = root / f"{part}_32x32.mat"
        savemat(file, {"X": rng.integers(0, 256, (32, 32, 3, len(labels)), np.uint8), "y": labels})
        split_list[part] = ["", file.name, md5(file)]
    monkeypatch.setattr(datasets.SVHN, "split_list", split_list)


def emnist(root: Path, split: str, labels: list[int]) -> None:
    folder = root / "EMNIST" / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "test"):
        images = np.zeros((len(labels), 28, 28), np.uint8)
        images[:, 3:6, :] = 255  # three columns, as the files have rows and columns exchanged
        header = struct.pack(">4I", 0x0803, len(labels), 28, 28), struct.pack(">2I", 0x0801, len(labels))
        for kind, head, values in zip(
            ("images-idx3", "labels-idx1"), header, (images, np.array(labels, np.uint8)), strict=True
        ):
            (folder / f"emnist-{split}-{part}-{kind}-ubyte").write_bytes(head + values.tobytes())


def kmnist(root: Path) -> None:
    folder = root / "KMNIST" / "raw"
    folder.mkdir(parents=True)
    labels = np.tile(np.arange(10, dtype=np.uint8), PER_CLASS)
    for part in ("train", "t10k"):
        images = struct.pack(">4I", 0x0803, len(labels), 28, 28) + bytes(28 * 28 * len(labels))
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(
            gzip.compress(struct.pack(">2I", 0x0801, 60) + labels.tobytes())
        )


def stl10(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, rng = root / "stl10_binary", np.random.default_rng(0)
    folder.mkdir(parents=True)
    for part in ("train", "test"):
        labels = np.tile(np.arange(1, 11, dtype=np.uint8), PER_CLASS)
        rng.integers(0, 256, (len(labels), 3, 96, 96), np.uint8).tofile(folder / f"{part}_X.bin")
        labels.tofile(folder / f"{part}_y.bin")
    (folder / "class_names.txt").write_text("\n".join(f"thing {n}" for n in range(10)))
    monkeypatch.setattr(datasets.STL10, "_check_integrity", lambda self: True)


def load(name: str, root: Path) -> Dataset:
    return load_dataset(name, root, options=ReadOptions())


Make = Callable[[Path, pytest.MonkeyPatch], None]
SETS: dict[str, tuple[Make, tuple[int, int, int], int, str]] = {
    "cifar10": (cifar, (3, 32, 32), 10, "class 0"),
    "cifar100": (lambda root, patch: cifar(root, patch, datasets.CIFAR100, 100), (3, 32, 32), 100, "class 0"),
    "svhn": (svhn, (3, 32, 32), 10, "0"),
    "kmnist": (lambda root, _: kmnist(root), (1, 28, 28), 10, "o"),
    "emnist-letters": (
        lambda root, _: emnist(root, "letters", list(range(1, 27)) * PER_CLASS), (1, 28, 28), 26, "a",
    ),
    "emnist": (lambda root, _: emnist(root, "balanced", list(range(47)) * PER_CLASS), (1, 28, 28), 47, "0"),
    "torchvision:STL10": (stl10, (3, 96, 96), 10, "thing 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", SETS)
def test_each_reads_its_own_format(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, shape, classes, first = SETS[name]
    make(tmp_path, monkeypatch)
    data = load(name, tmp_path)
    assert (data.name, data.input_shape, len(data.classes), data.classes[0]) == (name, shape, classes, first)
    test = data.test.open()
    assert sorted(set(test.labels.tolist())) == list(range(classes)) and len(test) == PER_CLASS * classes


def test_emnist_is_upright(tmp_path: Path) -> None:
    emnist(tmp_path, "letters", list(range(1, 27)) * PER_CLASS)
    image = load("emnist-letters", tmp_path).training.train.pixels(np.array([0]))[0, 0]
    assert image[:, 3:6].min() == 1 and image[:, 6:].max() == 0


@pytest.mark.parametrize("name", ["cifar10", "svhn", "kmnist", "emnist"])
def test_a_truncated_file_is_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SETS[name][0](tmp_path, monkeypatch)
    largest = max((path for path in tmp_path.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-40])
    with pytest.raises(ValueError, match=name if name != "kmnist" else "KMNIST") as caught:
        load(name, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["cifar10", "emnist", "torchvision:STL10"])
def test_a_missing_set_is_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"--dataset {name}: .*not in {tmp_path}.* could not be downloaded") as caught:
        load(name, tmp_path)
    assert "\n" not in str(caught.value) and not list(tmp_path.glob(".download-*"))


def test_a_class_with_a_typo(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"torchvision:STL1: torchvision has no such .* did you mean STL10"):
        load("torchvision:STL1", tmp_path)
