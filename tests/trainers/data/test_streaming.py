"""Training images that are read in each epoch."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models import build_model
from trainers.config import TrainConfig
from trainers.data.dataset import Dataset, load_dataset
from trainers.data.reading import ReadOptions
from trainers.data.splits import TrainingData
from trainers.errors import DataError
from trainers.single import SingleTrainer

RNG = np.random.default_rng(1)
IMAGES, LABELS = RNG.integers(0, 256, (60, 9, 9), dtype=np.uint8), np.arange(60) % 3


class Pairs:
    """Yields images by number; noise: what is added to each."""

    def __init__(self, first: int, end: int, noise: Callable[[], int] = lambda: 0) -> None:
        self.images, self.labels, self.noise = IMAGES[first:end], LABELS[first:end], noise

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, at: int) -> tuple[Any, int]:
        if at >= len(self):
            raise IndexError(at)
        return self.images[at] // 2 + np.uint8(self.noise()), int(self.labels[at])


def load(made: Any, *, stream: bool = True, size: tuple[int, int] | None = None) -> Dataset:
    return load_dataset("mine:make", Path(), options=ReadOptions(size=size, make=lambda: made, stream=stream))


def trained(data: TrainingData, epochs: int = 2, seed: int = 0, state: Any = None) -> SingleTrainer:
    config = TrainConfig(batch_size=8, epochs=4, augment="shift", seed=seed)
    trainer = SingleTrainer(partial(build_model, "mlp_small", tuple(data.train.images.shape[1:]), 3), data, config)
    if state:
        trainer.load(state)
    for _ in range(epochs):
        trainer.step()
    return trainer


def weights(trainer: SingleTrainer) -> torch.Tensor:
    return torch.cat([value.flatten() for value in trainer.weights().values()])


@pytest.mark.parametrize(
    "made",
    [
        Pairs(0, 60),
        {"train": Pairs(0, 30), "validation": Pairs(30, 45), "test": Pairs(45, 60)},
        (IMAGES[:40], LABELS[:40], IMAGES[40:], LABELS[40:]),
        {"train": [(image, str(label)) for image, label in zip(IMAGES, LABELS, strict=True)]},
    ],
)
@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("size", [None, (6, 7)])
def test_images_that_stay_the_same_train_the_same(made: Any, joined: bool, size: tuple[int, int] | None) -> None:
    both = [load(made, stream=stream, size=size).training for stream in (True, False)]
    if joined:
        both = [data.joined() for data in both]
    streamed = TrainingData.from_arrays(both[0].to_arrays())
    assert both[1].stream is None
    torch.testing.assert_close(weights(trained(streamed)), weights(trained(both[1])), rtol=0, atol=0)


@pytest.mark.parametrize(
    "noise",
    [
        lambda: random.randrange(100),
        lambda: np.random.randint(100),
        lambda: int(torch.randint(100, ())),
    ],
)
def test_random_images_are_drawn_in_each_epoch_and_follow_the_seed(noise: Callable[[], int]) -> None:
    made = {"train": Pairs(0, 30, noise), "validation": Pairs(30, 60)}
    data = load(made).training
    trainer = trained(data, epochs=0)
    assert trainer.stream
    order = (torch.arange(10),)
    (first,), (second,), (again,) = (list(trainer.stream.batches(order, seed)) for seed in (1, 2, 1))
    assert not torch.equal(first, second) and torch.equal(first, again)
    assert first.shape == (10, 1, 9, 9) and first.dtype == torch.uint8
    whole = weights(trained(data, epochs=2))
    assert torch.equal(whole, weights(trained(data, epochs=2)))
    assert torch.equal(whole, weights(trained(data, epochs=1, state=trained(data, epochs=1).save())))
    assert not torch.equal(whole, weights(trained(data, epochs=2, seed=1)))


def test_what_is_read_first_is_the_same_each_time() -> None:
    made = {"train": Pairs(0, 45, lambda: random.randrange(100) + int(torch.randint(28, ()))), "test": Pairs(45, 60)}
    random.seed(7)
    state = random.getstate()
    one = load(made)
    assert random.getstate() == state
    random.seed(8)
    assert load(made).hashes == one.hashes


def test_a_split_that_the_function_draws_is_the_same_in_the_trial() -> None:
    def make() -> dict[str, Any]:
        order = torch.randperm(60).tolist()
        return {"train": [(IMAGES[at], int(LABELS[at])) for at in order]}

    both = [
        load_dataset("mine:make", Path(), options=ReadOptions(make=make, stream=stream)).training
        for stream in (True, False)
    ]
    torch.manual_seed(5)
    torch.testing.assert_close(weights(trained(both[0])), weights(trained(both[1])), rtol=0, atol=0)


def test_images_without_numbers_are_refused() -> None:
    class Once:
        def __iter__(self) -> Iterator[tuple[Any, int]]:
            yield from zip(IMAGES, LABELS.tolist(), strict=True)

    assert len(load(Once(), stream=False).training.train)
    with pytest.raises(DataError, match=r"--stream: the train images of mine:make are a Once, which has no \[index\]"):
        load(Once())


def test_a_data_set_that_has_got_shorter_is_refused() -> None:
    counts = iter([60, 20])
    options = ReadOptions(make=lambda: Pairs(0, next(counts)), stream=True)
    data = load_dataset("mine:make", Path(), options=options).training
    with pytest.raises(DataError, match="--dataset mine:make: has 20 images now, fewer than when it was first read"):
        trained(data)


def test_what_the_data_set_raises_ends_the_training() -> None:
    left = [70]  # enough for the first reading

    def noise() -> int:
        left[0] -= 1
        if left[0] < 0:
            raise OSError("the disk is gone")
        return 0

    with pytest.raises(OSError, match="the disk is gone"):
        trained(load(Pairs(0, 60, noise)).training, epochs=9)
