"""Data sets that exist in Python, as arrays and as whatever yields images and labels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset
from torchvision.datasets import FakeData

from trainers.data.dataset import load_dataset
from trainers.data.reading import ReadOptions
from trainers.data.sources.python_objects import as_picture, keep, read
from trainers.errors import DataError

RNG = np.random.default_rng(0)
X, Y = RNG.integers(0, 256, (40, 9, 7), dtype=np.uint8), np.arange(40) % 4


def source(made: Any, **options: Any) -> Any:
    return read("mine:make", made, ReadOptions(**options))


def test_arrays_are_taken_as_they_are() -> None:
    found = source((X, Y, X[:8], Y[:8]))
    assert (found.train.images[..., 0] == X).all() and (found.train.labels == Y).all()
    assert (found.test.images[..., 0] == X[:8]).all() and found.classes == ("0", "1", "2", "3")
    assert source((X, Y)).test is None and found.validation is None


@pytest.mark.parametrize(
    "images",
    [
        X / 255,
        torch.from_numpy(X)[:, None],
        torch.from_numpy(X)[:, None].float() / 255,
        X[..., None],
        [Image.fromarray(each) for each in X],
    ],
    ids=["floats", "tensor of bytes", "tensor of floats", "with channels", "pictures"],
)
def test_images_of_every_kind_are_the_same_bytes(images: Any) -> None:
    pairs = list(zip(images, Y.tolist(), strict=True))
    for made in ({"train": pairs, "test": pairs[:8]}, (pairs, pairs[:8]), (iter(pairs), iter(pairs[:8]))):
        found = source(made)
        assert (found.train.images[..., 0] == X).all() and len(found.test) == 8


def test_colours_sizes_and_names() -> None:
    train = [(Image.new("RGB", (20 + n, 30), (n, 0, 200)), "cat" if n % 2 else "dog") for n in range(10)]
    found = source({"train": train, "validation": train[:2], "classes": None})
    assert found.train.shape == (24, 24, 3) and found.classes == ("cat", "dog") and "24x24" in found.notice
    assert found.train.labels.tolist() == [1, 0] * 5 and len(found.validation) == 2
    assert source({"train": train}, size=(8, 12)).train.shape == (8, 12, 3)


def test_data_sets_of_torch() -> None:
    tensors = TensorDataset(torch.from_numpy(X)[:, None], torch.from_numpy(Y))
    assert (source((tensors, tensors)).train.images[..., 0] == X).all()
    fake = source(FakeData(20, (3, 8, 8), 2))
    assert fake.train.shape == (8, 8, 3) and len(fake.train) == 20 and fake.test is None


def test_classes_are_those_of_the_training_images() -> None:
    found = source({"train": (X, Y * 10), "test": (X, Y * 10)})
    assert found.classes == ("0", "10", "20", "30") and found.train.labels.max() == 3
    named = source({"train": (X, Y), "classes": ["a", "b", "c", "d"]})
    assert named.classes == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (3, "mine:make: does not yield (image, label)"),
        ({"train": (X, Y), "tset": (X, Y)}, "tset is no part of a data set; give (train, test), a mapping"),
        ({"test": (X, Y)}, "has no training images; give (train, test)"),
        ((X, Y, X), "is a tuple of 3; give (train, test)"),
        ((X, Y[:-1]), "40 images have 39 labels"),
        ((X, Y * 0), "has one class; at least two are needed"),
        ((X, Y, X, Y + 1), "class 4 of the test images has no training image"),
        ((X * 2.0, Y), "pixels are not in [0, 1]; give them without a normalization"),
        ((X.astype(int) - 9, Y), "whole pixels are not in 0 to 255"),
        ([(X[0], 0, 1)], "does not yield (image, label)"),
        ([("a.png", 0), ("b.png", 1)], "an image or its label cannot be read (str of shape ()"),
    ],
    ids=str,
)
def test_what_is_no_data_set_is_one_line(made: Any, words: str) -> None:
    with pytest.raises(DataError, match=re.escape(words)) as error:
        source(made)
    assert "\n" not in str(error.value) and str(error.value).startswith("--dataset mine:make: ")


def test_a_file_of_arrays_is_a_data_set(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", x_train=X, y_train=Y, x_test=X[:8], y_test=Y[:8], classes=list("abcd"))
    data = load_dataset(str(tmp_path / "mine.npz"), tmp_path)
    assert data.input_shape == (1, 9, 7) and len(data.test) == 8 and data.classes == tuple("abcd")
    np.savez(tmp_path / "else.npz", images=X)
    with pytest.raises(DataError, match=r"else.npz: has images; needs arrays x_train and y_train"):
        load_dataset(str(tmp_path / "else.npz"), tmp_path)
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match=r"broken.npz: cannot be read"):
        load_dataset(str(tmp_path / "broken.npz"), tmp_path)


def test_objects_are_kept_in_a_file_named_after_their_content(tmp_path: Path) -> None:
    one, same, other = (keep(made, tmp_path / "data") for made in ((X, Y), (X.copy(), Y), (X[::-1], Y)))
    assert one == same != other and sorted(path.name for path in (tmp_path / "data").iterdir()) == sorted(
        [one.name, other.name]
    )
    assert load_dataset(str(one), tmp_path).hashes["train"] == load_dataset(str(same), tmp_path).hashes["train"]


def test_pictures_may_have_an_alpha_channel() -> None:
    assert as_picture(np.zeros((4, 5, 4), np.uint8)).mode == "RGBA"
    with pytest.raises(ValueError, match="is no image"):
        as_picture(np.zeros((4, 5, 2), np.uint8))
