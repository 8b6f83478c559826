from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from models import build_model
from trainers.config import EpochResult, TrainConfig
from trainers.data.dataset import load_dataset
from trainers.data.splits import TrainingData
from trainers.gpu.probe import _rate, probe


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return load_dataset("digits", Path("x"), train_size=150).training


def test_it_measures_a_trial_alone_and_fused_ones(data: TrainingData) -> None:
    make = partial(build_model, "mlp_small", (1, 28, 28), 10)
    began = time.perf_counter()
    found = probe(make, data, TrainConfig(batch_size=32), group_sizes=(2, 4), largest=(make, 64))
    elapsed_s = time.perf_counter() - began
    assert list(found.images_per_s) == [1, 2, 4]
    # The second epochs of all three are a part of what the probe took: each has 150 images for each trial.
    assert 0 < sum(150 * trials / rate for trials, rate in found.images_per_s.items()) < elapsed_s
    assert (found.busy, found.peak_bytes, found.total_bytes) == (1.0, 0, 0)  # a CPU does not say


class Scripted:
    """A trainer of two trials whose epochs take given seconds of training."""

    def __init__(self, *seconds: float) -> None:
        self.seconds, self.closed = iter(seconds), False

    def step(self) -> list[EpochResult]:
        values: dict[str, Any] = dict.fromkeys(("train_loss", "train_accuracy", "val_loss", "val_accuracy"), 0.5)
        result = EpochResult(epoch=1, train_s=next(self.seconds) / 2, eval_s=9.0, images=100, **values)
        return [result, result]

    def close(self) -> None:
        self.closed = True


def test_the_rate_is_that_of_the_second_epochs_training() -> None:
    trainer = Scripted(8.0, 0.5)
    assert _rate(lambda: trainer) == 400 and trainer.closed  # type: ignore[arg-type, return-value]


def test_a_trainer_is_closed_where_an_epoch_fails() -> None:
    trainer = Scripted(8.0)
    with pytest.raises(StopIteration):
        _rate(lambda: trainer)  # type: ignore[arg-type, return-value]
    assert trainer.closed


def test_it_raises_what_the_network_raises(data: TrainingData) -> None:
    with pytest.raises(ValueError, match="activation 'swish'"):
        probe(partial(build_model, "mlp", (1, 28, 28), 10, activation="swish"), data, TrainConfig())


def test_fused_trials_have_the_optimizers_in_turn(data: TrainingData) -> None:
    make = partial(build_model, "mlp_small", (1, 28, 28), 10)
    with pytest.raises(ValueError, match="optimizer 'lion'"):
        probe(make, data, TrainConfig(), group_sizes=(2,), optimizers=("adam", "lion"))
