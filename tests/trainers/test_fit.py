"""From a trainer to a trained model: schedules, the best epoch, divergence."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from models import build_model
from trainers import checkpoint
from trainers.config import EpochResult, FitResult, TrainConfig
from trainers.data.dataset import TrainingData, load_dataset
from trainers.fit import fit
from trainers.schedule import make_schedule
from trainers.single import SingleTrainer


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return load_dataset("digits", Path("x"), train_size=300).training


def rates(schedule: str, epochs: int, steps: int, **config: Any) -> list[float]:
    """The learning rate of every step."""
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0, momentum=0.9)
    made = make_schedule(optimizer, TrainConfig(lr=1.0, schedule=schedule, epochs=epochs, **config), steps)
    seen = []
    for _ in range(epochs * steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if made:
            made.step()
    return seen


def test_step_multiplies_every_so_many_epochs() -> None:
    seen = rates("step", epochs=15, steps=2, step_epochs=6, step_factor=0.12)
    assert seen[::2] == pytest.approx([1.0] * 6 + [0.12] * 6 + [0.0144] * 3)


def test_cosine_goes_from_the_rate_to_zero() -> None:
    seen = rates("cosine", epochs=4, steps=5)
    assert seen[0] == 1 and seen[10] == pytest.approx(0.5) and seen[-1] < 0.01
    assert seen == sorted(seen, reverse=True)


def test_one_cycle_goes_up_and_down() -> None:
    seen = rates("one-cycle", epochs=10, steps=10)
    assert seen[0] == pytest.approx(1 / 25) and max(seen) == pytest.approx(1) and seen[-1] < 1e-3
    assert 25 <= seen.index(max(seen)) <= 35
    assert len(rates("one-cycle", epochs=1, steps=1)) == 1


def test_one_cycle_swings_the_momentum_that_was_asked_for() -> None:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0, momentum=0.5)
    made = make_schedule(optimizer, TrainConfig(optimizer="sgd", momentum=0.5, schedule="one-cycle", epochs=2), 10)
    assert made is not None
    seen = []
    for _ in range(20):
        seen.append(optimizer.param_groups[0]["momentum"])
        optimizer.step()
        made.step()
    assert max(seen) == pytest.approx(0.55) and min(seen) == pytest.approx(0.45) and seen[0] == max(seen)


def test_none_stays_and_another_name_is_refused() -> None:
    assert rates("none", epochs=2, steps=2) == [1.0] * 4
    with pytest.raises(ValueError, match="schedule 'linear': choose from none, step, cosine, one-cycle"):
        rates("linear", 1, 1)


@pytest.mark.parametrize("schedule", ["step", "cosine", "one-cycle"])
def test_schedule_and_augmentation_go_on_from_a_checkpoint(data: TrainingData, schedule: str, tmp_path: Path) -> None:
    make = partial(build_model, "lenet5", (1, 28, 28), 10, dropout=0.2)
    config = TrainConfig(schedule=schedule, step_epochs=1, epochs=4, augment="rotate-crop", optimizer="sgd", lr=0.05)
    whole, half, other = (SingleTrainer(make, data, config) for _ in range(3))
    fit(whole, 4)
    fit(half, 2)
    checkpoint.save(tmp_path / "c.pt", half.save())
    other.load(checkpoint.load(tmp_path / "c.pt"))
    fit(other, 2)
    theirs = other.weights()
    assert all(torch.equal(value, theirs[name]) for name, value in whole.weights().items())


class Script:
    """A trainer whose results are given; its weights are the epoch's number."""

    def __init__(self, *values: float) -> None:
        self.values, self.epoch = values, 0

    def step(self) -> list[EpochResult]:
        value = self.values[self.epoch]
        self.epoch += 1
        loss = 1.0 if math.isfinite(value) else math.nan
        return [
            EpochResult(
                epoch=self.epoch,
                train_loss=loss,
                train_accuracy=0.5,
                val_loss=1.0,
                val_accuracy=value if math.isfinite(value) else 0.1,
                train_s=2.0,
                eval_s=0.5,
                images=10,
            )
        ]

    def weights(self) -> dict[str, Any]:
        return {"epoch": self.epoch}

    def save(self) -> dict[str, Any]:
        return {}

    def load(self, state: dict[str, Any]) -> None: ...

    def close(self) -> None: ...


def test_the_first_of_the_best_epochs_is_kept_with_its_weights() -> None:
    heard: list[int] = []
    fitted = fit(Script(0.3, 0.8, 0.8, 0.6), 4, lambda so_far: heard.append(len(so_far.curve)))
    assert fitted.best is not None and fitted.best.epoch == 2 and fitted.best_weights == {"epoch": 2}
    assert heard == [1, 2, 3, 4] and not fitted.diverged
    measured = fitted.measured()
    assert (measured["epochs"], measured["best_epoch"], measured["val_accuracy"]) == (4, 2, 0.8)
    assert (measured["train_s"], measured["eval_s"], measured["images_per_s"]) == (8.0, 2.0, 5.0)


def test_a_loss_that_is_not_finite_ends_it() -> None:
    fitted = fit(Script(0.3, math.nan, 0.9), 3)
    assert fitted.diverged and len(fitted.curve) == 2
    assert fitted.best is not None and fitted.best.epoch == 1
    nothing = fit(Script(math.nan), 3)
    assert nothing.best is None and nothing.measured()["val_accuracy"] is None
    assert not FitResult().diverged and FitResult().measured()["images_per_s"] is None


def test_watch_hears_of_every_batch(data: TrainingData) -> None:
    trainer = SingleTrainer(partial(build_model, "mlp_small", (1, 28, 28), 10), data, TrainConfig(batch_size=128))
    heard: list[float] = []
    trainer.watch = heard.append
    trainer.step()
    assert heard == pytest.approx([0, 1 / 3, 2 / 3])
