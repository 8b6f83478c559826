from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from trainers.data.dataset import load_dataset
from trainers.data.images.scaling import Scaling
from trainers.data.splits import Split, TrainingData

SCALING = Scaling((0.5, 0.25), (0.25, 0.5))


def images(count: int) -> Tensor:
    return torch.randint(256, (count, 2, 3, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.fixture
def split() -> Split:
    """Every second image of twelve, in reverse."""
    return Split(images(12), torch.arange(6), SCALING, torch.arange(10, -1, -2))


def test_a_batch_has_the_rows_of_the_split(split: Split) -> None:
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (SCALING.mean, SCALING.std))
    expected = (images(12)[[10, 6]] / 255 - mean) / std
    assert torch.allclose(split.at(torch.tensor([0, 2])), expected, atol=1e-6)
    assert torch.equal(split.pixels(torch.tensor([0, 2])), images(12)[[10, 6]] / 255)


def test_batches_cover_all_images_in_order(split: Split) -> None:
    found = list(split.batches(4))
    assert [len(labels) for _, labels in found] == [4, 2]
    assert torch.equal(torch.cat([labels for _, labels in found]), split.labels)
    assert torch.equal(torch.cat([batch for batch, _ in found]), split.at(torch.arange(6)))


def test_parts_share_the_memory_of_the_images(split: Split) -> None:
    first = split.first(2)
    assert len(first) == 2 and first.images is split.images
    assert torch.equal(first.at(torch.arange(2)), split.at(torch.arange(2)))
    assert len(split.first(100)) == 6
    copied = first.copied()
    assert len(copied.images) == 2 and torch.equal(copied.at(torch.arange(2)), split.at(torch.arange(2)))


def test_floats_are_taken_as_they_are() -> None:
    floats = Split(torch.randn(5, 2, 3, 4), torch.arange(5), SCALING)
    assert torch.equal(floats.at(torch.tensor([3])), floats.images[[3]])
    pixels = Split(images(5), torch.arange(5), SCALING)
    assert torch.allclose(pixels.normalized().pixels(torch.arange(5)), pixels.pixels(torch.arange(5)), atol=1e-6)


def test_black_is_what_a_black_pixel_becomes() -> None:
    black = Split(torch.zeros(1, 2, 1, 1, dtype=torch.uint8), torch.zeros(1), SCALING)
    assert black.at(torch.tensor([0])).flatten().tolist() == pytest.approx(SCALING.black)


def test_joining_what_shares_its_images_copies_nothing() -> None:
    data = load_dataset("digits", Path("x")).training
    joined = data.joined()
    assert joined.train.images is data.train.images and len(joined.validation) == 0
    counts = len(data.train), len(data.validation)
    assert len(joined.train) == sum(counts)
    last = joined.train.at(torch.arange(counts[0], sum(counts)))
    assert torch.equal(last, data.validation.at(torch.arange(counts[1])))


def test_joining_what_does_not_share_them_gives_the_same() -> None:
    data = load_dataset("digits", Path("x")).training
    apart = TrainingData(data.train.copied(), data.validation.copied()).joined().train
    assert torch.equal(apart.at(torch.arange(len(apart))), data.joined().train.at(torch.arange(len(apart))))


def test_images_stay_bytes() -> None:
    data = load_dataset("digits", Path("x")).training
    assert data.train.images.dtype == data.validation.images.dtype == torch.uint8
    assert data.train.nbytes == len(data.train) * (28 * 28 + 8)
