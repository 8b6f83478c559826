"""The steps of an accelerator, taken on the CPU: all of them but the capture itself."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models import build_model
from trainers.config import TrainConfig
from trainers.data import TrainingData, load_dataset
from trainers.graphs import Steps
from trainers.single import SingleTrainer


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return load_dataset("digits", Path("x"), train_size=150).training


@pytest.mark.parametrize("schedule", ["none", "cosine"])
def test_an_epoch_on_an_accelerator_is_an_epoch(data: TrainingData, schedule: str) -> None:
    config = TrainConfig(batch_size=32, schedule=schedule, augment="rotate-crop", epochs=3)
    make = partial(build_model, "lenet5_bn", (1, 28, 28), 10, dropout=0.4)
    plain, resident = SingleTrainer(make, data, config), SingleTrainer(make, data, config)
    resident._train = resident._train_resident  # type: ignore[method-assign]
    for _ in range(3):
        (one,), (other,) = plain.step(), resident.step()
        assert one.train_loss == pytest.approx(other.train_loss, abs=1e-6)
        assert (one.train_accuracy, one.val_loss) == (other.train_accuracy, other.val_loss)
    assert all(torch.equal(value, resident.weights()[name]) for name, value in plain.weights().items())


def test_it_says_how_far_an_epoch_is(data: TrainingData) -> None:
    trainer = SingleTrainer(partial(build_model, "mlp_small", (1, 28, 28), 10), data, TrainConfig(batch_size=50))
    trainer._train = trainer._train_resident  # type: ignore[method-assign]
    heard: list[float] = []
    trainer.watch = heard.append
    trainer.step()
    assert heard == [1 / 3, 2 / 3, 1.0]


class Fake:
    """A graph on a machine without an accelerator: what was captured is called again."""

    def __init__(self, steps: Steps) -> None:
        self.replay = steps._take_next


def test_a_captured_step_takes_one_batch_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[list[int]] = []
    steps = Steps(lambda batch: taken.append(batch.tolist()), dict, torch.Generator(), capture=True)
    captures: list[int] = []
    monkeypatch.setattr(steps, "_captured", lambda: captures.append(1) or Fake(steps))
    after: list[int] = []
    for first in (0, 10):
        batches = torch.arange(first, first + 7).split(3)
        steps.run(batches, after.append)
    assert taken == [[0, 1, 2], [3, 4, 5], [6], [10, 11, 12], [13, 14, 15], [16]]
    assert after == [0, 1, 2] * 2 and len(captures) == 1


def test_a_step_that_cannot_be_captured_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    taken: list[Tensor] = []
    steps = Steps(taken.append, dict, torch.Generator(), capture=True)
    monkeypatch.setattr(steps, "_captured", fails)
    steps.run(torch.arange(9).split(3), lambda _: None)
    steps.run(torch.arange(9).split(3), lambda _: None)
    assert [batch.tolist() for batch in taken] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]] * 2
