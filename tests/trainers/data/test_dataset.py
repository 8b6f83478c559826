from __future__ import annotations

import pickle
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from trainers.data.dataset import Dataset, load_dataset
from trainers.data.sources import idx
from trainers.data.splits import TrainingData


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits", Path("nowhere"))


def test_digits_are_split_stratified_and_disjoint(digits: Dataset) -> None:
    train, validation, test = digits.training.train, digits.training.validation, digits.test.open()
    assert [len(train), len(validation), len(test)] == [1150, 288, 359]
    for split in (train, validation, test):
        shares = torch.bincount(split.labels, minlength=10) / len(split)
        assert shares.min() > 0.08 and shares.max() < 0.12
    # 1,797 different images: no row of one split may stand in another.
    rows = torch.cat([split.normalized().images for split in (train, validation, test)]).flatten(1)
    assert len(torch.unique(rows, dim=0)) == 1797


def test_splits_are_the_same_every_time(digits: Dataset) -> None:
    again = load_dataset("digits", Path("elsewhere"))
    assert again.hashes == digits.hashes
    assert torch.equal(again.training.validation.images, digits.training.validation.images)


def test_normalization_comes_from_the_training_split_alone(digits: Dataset) -> None:
    images = digits.training.train.normalized().images
    assert images.dtype == torch.float32 and images.shape[1:] == digits.input_shape == (1, 28, 28)
    assert images.mean().item() == pytest.approx(0, abs=1e-4)
    assert images.std().item() == pytest.approx(1, abs=1e-3)
    assert load_dataset("digits", Path("x"), train_size=100).mean != digits.mean


def test_normalization_can_be_given() -> None:
    given = load_dataset("digits", Path("x"), mean=0.5, std=0.5)
    images = given.training.train.normalized().images
    assert (images.min().item(), images.max().item()) == pytest.approx((-1, 1))
    assert given.mean == (0.5,)


def test_train_size_takes_a_stratified_subset_and_leaves_validation_alone(digits: Dataset) -> None:
    small = load_dataset("digits", Path("x"), train_size=100)
    assert len(small.training.train) == 100
    assert torch.bincount(small.training.train.labels).min() >= 9
    assert small.hashes["validation"] == digits.hashes["validation"]
    assert small.hashes["train"] != digits.hashes["train"]


@pytest.mark.parametrize("size", [9, 1151])
def test_train_size_out_of_bounds(size: int) -> None:
    with pytest.raises(ValueError, match=f"--train-size {size}: must be between 10 .* and 1150"):
        load_dataset("digits", Path("x"), train_size=size)


def test_the_test_split_cannot_be_sent_away(digits: Dataset) -> None:
    with pytest.raises(TypeError, match="sealed"):
        pickle.dumps(digits)
    assert not any("test" in item.name for item in fields(digits.training.to_arrays()))


def test_arrays_share_memory_and_may_be_read_only(digits: Dataset, recwarn: pytest.WarningsRecorder) -> None:
    arrays = digits.training.to_arrays()
    assert np.shares_memory(arrays.train_images, digits.training.train.images.numpy())
    assert arrays.validation_images is arrays.train_images  # so that Ray stores them once
    for name in ("train_images", "train_labels", "validation_labels", "train_rows", "validation_rows"):
        getattr(arrays, name).flags.writeable = False
    back = TrainingData.from_arrays(arrays)
    assert back.train.images.data_ptr() == digits.training.train.images.data_ptr()
    assert not recwarn.list


def test_auto_falls_back_to_digits_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idx, "download", lambda name, folder: "no mirror answered")
    dataset = load_dataset("auto", tmp_path)
    assert dataset.name == "digits"
    assert dataset.notice.startswith(f"MNIST is not in {tmp_path} and could not be downloaded (no mirror answered)")


def test_mnist_never_falls_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idx, "download", lambda name, folder: "no mirror answered")
    with pytest.raises(
        ValueError, match=r"--dataset mnist: not in .* \(no mirror answered\); put its .* --dataset digits"
    ):
        load_dataset("mnist", tmp_path)


def test_real_mnist(mnist_dir: Path) -> None:
    mnist = load_dataset("auto", mnist_dir)
    sizes = len(mnist.training.train), len(mnist.training.validation), len(mnist.test)
    assert (mnist.name, sizes) == ("mnist", (55_000, 5_000, 10_000))
    assert mnist.mean[0] == pytest.approx(0.1307, abs=2e-3) and mnist.std[0] == pytest.approx(0.3081, abs=2e-3)


def test_unknown_name_lists_the_choices() -> None:
    with pytest.raises(ValueError, match=r"--dataset imagenet: no such folder or file; .* choose from auto, mnist"):
        load_dataset("imagenet", Path("x"))
