"""What every trainer promises (trainers/fit.py), held by each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers.distributed import a_data, led, make
from trainers import checkpoint
from trainers.config import TrainConfig
from trainers.fit import Trainer, fit
from trainers.fused.trainer import FusedTrainer
from trainers.single import SingleTrainer

CONFIG = TrainConfig(lr=2e-3, batch_size=32, schedule="cosine", epochs=4)
Use = Callable[[Callable[[Any], Any]], Any]


@contextmanager
def closed(trainer: Any) -> Iterator[Any]:
    try:
        yield trainer
    finally:
        trainer.close()


def single(work: Callable[[Any], Any]) -> Any:
    with closed(SingleTrainer(make("lenet5_bn", dropout=0.1), a_data(), CONFIG)) as trainer:
        return work(trainer)


def several(lanes: int) -> Use:
    def use(work: Callable[[Any], Any]) -> Any:
        configs = [replace(CONFIG, seed=seed, lr=CONFIG.lr * (1 + seed)) for seed in range(lanes)]
        with closed(FusedTrainer([make("lenet5_bn", dropout=0.1)] * lanes, a_data(), configs)) as trainer:
            return work(trainer)

    return use


def distributed(work: Callable[[Any], Any]) -> Any:
    return led(make("lenet5_bn", dropout=0.1), CONFIG, work)


EVERY = [
    pytest.param(single, 1, id="single"),
    pytest.param(several(1), 1, id="fused, one lane"),
    pytest.param(several(3), 3, id="fused"),
    pytest.param(distributed, 1, id="ddp", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("use", "lanes"), EVERY)
def test_a_step_is_an_epoch_of_every_lane(use: Use, lanes: int) -> None:
    def work(trainer: Trainer) -> None:
        for epoch in (1, 2):
            results = trainer.step()
            assert [result.epoch for result in results] == [epoch] * lanes
            for result in results:
                assert result.images == 301 and result.finite and 0 <= result.val_accuracy <= 1
                assert result.train_s > 0 and result.eval_s > 0

    use(work)


@pytest.mark.parametrize(("use", "lanes"), EVERY)
def test_weights_are_the_networks_own_and_a_copy(use: Use, lanes: int) -> None:
    expected = make("lenet5_bn")().state_dict()

    def work(trainer: Trainer) -> None:
        for lane in range(lanes):
            before = trainer.weights(lane)
            assert {name: value.shape for name, value in before.items()} == {k: v.shape for k, v in expected.items()}
            assert {value.device.type for value in before.values()} == {"cpu"}
        kept = {name: value.clone() for name, value in before.items()}
        trainer.step()
        assert all(torch.equal(value, kept[name]) for name, value in before.items())
        assert any(not torch.equal(value, kept[name]) for name, value in trainer.weights(lanes - 1).items())

    use(work)


@pytest.mark.parametrize(("use", "lanes"), EVERY)
def test_what_was_saved_goes_on_as_if_nothing_had_happened(use: Use, lanes: int, tmp_path: Path) -> None:
    def whole(trainer: Trainer) -> list[dict[str, torch.Tensor]]:
        for epoch in range(4):
            if epoch == 2:
                for lane in range(lanes):
                    checkpoint.save(tmp_path / f"{lane}.pt", trainer.save(lane))
            trainer.step()
        return [trainer.weights(lane) for lane in range(lanes)]

    def rest(trainer: Trainer) -> list[dict[str, torch.Tensor]]:
        trainer.load(*(checkpoint.load(tmp_path / f"{lane}.pt") for lane in range(lanes)))
        assert [[result.epoch for result in trainer.step()] for _ in range(2)] == [[3] * lanes, [4] * lanes]
        return [trainer.weights(lane) for lane in range(lanes)]

    for one, other in zip(use(whole), use(rest), strict=True):
        assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize(("use", "lanes"), [each for each in EVERY if each.values[1] == 1])
def test_one_lane_can_be_fitted(use: Use, lanes: int) -> None:
    fitted = use(lambda trainer: fit(trainer, 3))
    assert [result.epoch for result in fitted.curve] == [1, 2, 3] and fitted.best_weights
