"""Random numbers: who draws from the trainer's generator, and what becomes of it on another kind of device."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from tests.helpers.distributed import led, make
from trainers import checkpoint
from trainers.config import TrainConfig
from trainers.data.dataset import load_dataset
from trainers.data.splits import TrainingData
from trainers.fused.stacked import is_stackable
from trainers.fused.trainer import FusedTrainer
from trainers.single import SingleTrainer

CONFIG = TrainConfig(lr=2e-3, batch_size=32, schedule="cosine", augment="rotate-crop", epochs=4)
OTHERS = [torch.zeros(16, dtype=torch.uint8), torch.zeros(44, dtype=torch.uint8)]  # of CUDA's and of MPS' size


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return load_dataset("digits", Path("x"), train_size=150).training


def several(data: TrainingData) -> FusedTrainer:
    return FusedTrainer([make(dropout=0.3)] * 2, data, [CONFIG, replace(CONFIG, seed=1)])


def alone(data: TrainingData) -> SingleTrainer:
    return SingleTrainer(make(dropout=0.3), data, CONFIG)


@pytest.mark.parametrize("noise", OTHERS, ids=len)
@pytest.mark.parametrize("trainer", [alone, several])
def test_a_checkpoint_of_another_device_goes_on_with_other_numbers(
    trainer: Any, noise: Tensor, data: TrainingData, tmp_path: Path
) -> None:
    first = trainer(data)
    trials = len(first.step())
    for trial in range(trials):
        checkpoint.save(tmp_path / f"{trial}.pt", {**first.save(trial), "noise": noise})
    twins = [trainer(data), trainer(data)]
    for twin in twins:
        assert twin.load(*(checkpoint.load(tmp_path / f"{trial}.pt") for trial in range(trials))) == (
            "the checkpoint is from another device than cpu: dropout and augmentation draw other random numbers"
        )
        assert [result.epoch for result in twin.step()] == [2] * trials
    one, other = (twin.weights(trials - 1) for twin in twins)
    assert all(torch.equal(value, other[name]) for name, value in one.items())  # by the seed and the epoch


@pytest.mark.parametrize("trainer", [alone, several])
def test_one_of_the_same_device_says_nothing(trainer: Any, data: TrainingData) -> None:
    first = trainer(data)
    assert trainer(data).load(*(first.save(trial) for trial in range(len(first.step())))) == ""


def test_a_schedule_that_a_gpu_left_goes_on_too(data: TrainingData) -> None:
    """There the learning rate is a tensor, which a graph reads."""
    first, second = alone(data), alone(data)
    first.step()
    state = copy.deepcopy(first.save())
    state["schedule"] = {
        key: [torch.tensor(each) for each in value] if key in ("base_lrs", "_last_lr") else value
        for key, value in state["schedule"].items()
    }
    for group in state["optimizer"]["param_groups"]:
        group |= {key: torch.tensor(group[key]) for key in ("lr", "initial_lr")}
    second.load(state)
    (one,), (other,) = first.step(), second.step()
    assert one.val_loss == pytest.approx(other.val_loss, abs=1e-5)


@pytest.mark.slow
def test_each_process_of_several_begins_anew_with_numbers_of_its_own() -> None:
    def work(trainer: Any) -> tuple[str, list[Tensor]]:
        trainer.step()
        state = trainer.save()
        warning = trainer.load({**state, "noises": [OTHERS[0]] * 2})
        noises = trainer.save()["noises"]
        trainer.step()
        return warning, noises

    warning, (first, second) = led(make(dropout=0.3), CONFIG, work)
    assert "another device than cpu" in warning and not torch.equal(first, second)


class Gan(nn.Module):
    """A user's network whose layers are called as they please."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
        self.inner = nn.Identity()
        self.inner.generator = "a text"  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.generator(self.inner(x)))


def test_a_layer_that_is_called_generator_stays(data: TrainingData) -> None:
    trainer = SingleTrainer(Gan, data, TrainConfig(batch_size=32))
    assert trainer.step()[0].finite and isinstance(trainer.model.generator, nn.Sequential)


class Wanting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.given: list[Generator] = []

    def use_random_generator(self, generator: Generator) -> None:
        self.given.append(generator)

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_a_layer_that_wants_the_generator_is_given_it_once(data: TrainingData) -> None:
    trainer = SingleTrainer(
        lambda: nn.Sequential(Wanting(), nn.Flatten(), nn.Linear(784, 10)), data, TrainConfig(batch_size=32)
    )
    assert trainer.model[0].given == [trainer.noise]  # type: ignore[index]


class Jitter(nn.Module):
    """No dropout, but it has all that one has."""

    def __init__(self) -> None:
        super().__init__()
        self.p, self.generator = 0.1, None

    def use_random_generator(self, generator: Generator) -> None: ...


def test_what_only_looks_like_dropout_is_not_fused_as_dropout() -> None:
    assert not is_stackable(nn.Sequential(nn.Flatten(), Jitter(), nn.Linear(784, 10)))
