"""A training loop of the user's own: what Podium does around it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.examples.co_teaching import CoTeaching
from tests.helpers.distributed import digits, make
from trainers.config import TrainConfig, of_trainer, split_config
from trainers.own_trainer import OwnTrainer

CONFIG = TrainConfig(lr=3e-3, batch_size=32)


class Idle:
    """A loop that does not train."""

    def __init__(self, make_model: Any, data: Any, config: Any, *, model: Any = None) -> None:
        self.model = model or make_model()

    def train_epoch(self) -> tuple[float, float]:
        return 1.0, 0.5

    def save(self) -> dict[str, Any]:
        return {}

    def load(self, state: dict[str, Any]) -> None: ...


def test_evaluation_is_podiums() -> None:
    trainer = OwnTrainer(Idle, make("lenet5"), digits(), replace(CONFIG, metric="log_loss"))
    (one,), (other,) = trainer.step(), trainer.step()
    assert (one.train_loss, one.train_accuracy, one.images) == (1.0, 0.5, len(digits().train))
    assert one.val_loss == other.val_loss == pytest.approx(2.3, abs=0.1)
    assert one.val_score == pytest.approx(-one.val_loss, rel=1e-4) and other.epoch == 2


def test_a_network_that_could_not_be_used_is_refused() -> None:
    with pytest.raises(ValueError, match="the model of --trainer is not a network that make_model makes"):
        OwnTrainer(Idle, make("lenet5"), digits(), CONFIG, {"model": torch.nn.Linear(2, 2)})


def test_it_follows_the_seed_and_its_hyperparameters() -> None:
    def losses(seed: int, forget: float) -> list[float]:
        trainer = OwnTrainer(CoTeaching, make("lenet5"), digits(), replace(CONFIG, seed=seed), {"forget": forget})
        return [trainer.step()[0].train_loss for _ in range(2)]

    first = losses(1, 0.1)
    torch.rand(3)
    assert first == losses(1, 0.1) and first != losses(2, 0.1) and first != losses(1, 0.4)
    assert first[1] < first[0]


def test_its_hyperparameters_are_neither_the_networks_nor_podiums() -> None:
    config = {"lr": 0.1, "trainer_forget": 0.2, "dropout": 0.3}
    assert split_config(config) == ({"lr": 0.1}, {"dropout": 0.3}) and of_trainer(config) == {"forget": 0.2}
