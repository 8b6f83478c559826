"""The contract of trainers/fit.py, held by every trainer: alone, fused, and on several processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from models import trainable_parameters
from tests.examples.co_teaching import CoTeaching
from tests.helpers.distributed import digits, led, make
from trainers import checkpoint
from trainers.config import TrainConfig
from trainers.fit import Trainer, fit
from trainers.fused.trainer import FusedTrainer
from trainers.own_trainer import OwnTrainer
from trainers.single import SingleTrainer

CONFIG = TrainConfig(
    lr=2e-3, batch_size=32, schedule="wsd", epochs=4, augment="shift", label_smoothing=0.05, clip_norm=1.0, ema=0.95
)
Use = Callable[[Callable[[Any], Any]], Any]  # makes a trainer, calls a function with it, closes it
Weights = dict[str, torch.Tensor]


@contextmanager
def closed(trainer: Any) -> Iterator[Any]:
    try:
        yield trainer
    finally:
        trainer.close()


def single(work: Callable[[Any], Any]) -> Any:
    with closed(SingleTrainer(make("lenet5_bn", dropout=0.1), digits(), CONFIG)) as trainer:
        return work(trainer)


def fused(trials: int) -> Use:
    def use(work: Callable[[Any], Any]) -> Any:
        # The second trial has no average and no limit of its gradients.
        alike = [replace(CONFIG, seed=seed, lr=CONFIG.lr * (1 + seed)) for seed in range(trials)]
        configs = [replace(config, ema=0.0, clip_norm=0.0) if config.seed == 1 else config for config in alike]
        with closed(FusedTrainer([make("lenet5_bn", dropout=0.1)] * trials, digits(), configs)) as trainer:
            return work(trainer)

    return use


def distributed(work: Callable[[Any], Any]) -> Any:
    return led(make("lenet5_bn", dropout=0.1), CONFIG, work)


def own_loop(work: Callable[[Any], Any]) -> Any:
    with closed(OwnTrainer(CoTeaching, make("lenet5_bn", dropout=0.1), digits(), CONFIG, {"forget": 0.2})) as trainer:
        return work(trainer)


EVERY = [
    pytest.param(single, 1, id="single"),
    pytest.param(own_loop, 1, id="the user's own loop"),
    pytest.param(fused(1), 1, id="fused, one trial"),
    pytest.param(fused(3), 3, id="fused"),
    pytest.param(distributed, 1, id="ddp", marks=pytest.mark.slow),
]
for_every_trainer = pytest.mark.parametrize(("use", "trials"), EVERY)


def equal(one: Weights, other: Weights) -> bool:
    return list(one) == list(other) and all(torch.equal(value, other[name]) for name, value in one.items())


def test_every_member_of_the_contract_is_tested_here() -> None:
    members = {name for name in vars(Trainer) if not name.startswith("_")}
    assert members == {"epoch", "model", "step", "weights", "save", "load", "keep", "close"}


@for_every_trainer
def test_step_trains_an_epoch_of_every_trial(use: Use, trials: int) -> None:
    def work(trainer: Trainer) -> None:
        assert trainer.epoch == 0
        for epoch in (1, 2):
            began = time.perf_counter()
            results = trainer.step()
            elapsed_s = time.perf_counter() - began
            assert [result.epoch for result in results] == [epoch] * trials and trainer.epoch == epoch
            # Each trial has its share of the time, so that together they have no more than there was.
            assert 0 < sum(result.train_s + result.eval_s for result in results) <= elapsed_s
            for result in results:
                assert result.images == 301 and result.finite
                assert (288 * result.val_accuracy) == pytest.approx(round(288 * result.val_accuracy))
                assert 0.1 < result.train_loss < 2.6 and 0.1 < result.val_loss < 2.6  # chance is ln(10), 2.3

    use(work)


@for_every_trainer
def test_model_has_the_layers_of_one_trial(use: Use, trials: int) -> None:
    expected = make("lenet5_bn")()

    def work(trainer: Trainer) -> tuple[int, list[type[nn.Module]]]:
        norms = [type(module) for module in trainer.model.modules() if "Norm" in type(module).__name__]
        return trainable_parameters(trainer.model), norms

    assert use(work) == (trainable_parameters(expected), [nn.BatchNorm2d, nn.BatchNorm2d, nn.BatchNorm1d])


@for_every_trainer
def test_weights_are_the_networks_own_and_a_copy(use: Use, trials: int) -> None:
    expected = make("lenet5_bn")().state_dict()

    def work(trainer: Trainer) -> None:
        before = [trainer.weights(trial) for trial in range(trials)]
        for each in before:
            assert {name: value.shape for name, value in each.items()} == {k: v.shape for k, v in expected.items()}
            assert {value.device.type for value in each.values()} == {"cpu"}
        kept = [{name: value.clone() for name, value in each.items()} for each in before]
        trainer.step()
        for trial in range(trials):
            assert equal(before[trial], kept[trial]) and not equal(before[trial], trainer.weights(trial))

    use(work)


@for_every_trainer
def test_training_goes_on_from_what_was_saved(use: Use, trials: int, tmp_path: Path) -> None:
    def whole(trainer: Trainer) -> list[Weights]:
        for epoch in range(4):
            if epoch == 2:
                for trial in range(trials):
                    checkpoint.save(tmp_path / f"{trial}.pt", trainer.save(trial))
            trainer.step()
        return [trainer.weights(trial) for trial in range(trials)]

    def rest(trainer: Trainer) -> list[Weights]:
        states = [checkpoint.load(tmp_path / f"{trial}.pt") for trial in range(trials)]
        assert trainer.load(*states) == "" and trainer.epoch == 2 == states[0]["epoch"]
        assert [[result.epoch for result in trainer.step()] for _ in range(2)] == [[3] * trials, [4] * trials]
        return [trainer.weights(trial) for trial in range(trials)]

    for one, other in zip(use(whole), use(rest), strict=True):
        assert equal(one, other)


@for_every_trainer
def test_keep_goes_on_with_the_trials_that_are_named(use: Use, trials: int) -> None:
    order = [trials - 1, *range(1, trials - 1)]  # the last one first, and not the first

    def work(trainer: Trainer) -> None:
        trainer.step()
        before = [trainer.weights(trial) for trial in range(trials)]
        trainer.keep(order)
        assert trainer.epoch == 1 and len(trainer.step()) == len(order)
        after = [trainer.weights(trial) for trial in range(len(order))]
        assert all(not equal(before[trial], weights) for trial, weights in zip(order, after, strict=True))

    def moved(trainer: Trainer) -> None:
        before = [trainer.weights(trial) for trial in range(trials)]
        trainer.keep(order)
        assert all(equal(trainer.weights(place), before[trial]) for place, trial in enumerate(order))

    use(work)
    use(moved)


@for_every_trainer
def test_close_lets_go_of_the_network(use: Use, trials: int) -> None:
    trainer = use(lambda trainer: trainer)
    with pytest.raises((AttributeError, ValueError)):  # no network, no process group
        trainer.step()


@pytest.mark.parametrize(("use", "trials"), [each for each in EVERY if each.values[1] == 1])
def test_one_trial_can_be_fitted(use: Use, trials: int) -> None:
    fitted = use(lambda trainer: fit(trainer, 3))
    assert [result.epoch for result in fitted.curve] == [1, 2, 3]
    assert fitted.best == max(fitted.curve, key=lambda result: result.val_accuracy)
    assert list(fitted.best_weights) == list(make("lenet5_bn")().state_dict())
