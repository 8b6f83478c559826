"""Smoothed labels, clipped gradients, averaged weights and moved images of fused trials, each with its own values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.helpers.fusing import (
    assert_as_alone,
    configs,
    digits_in_doubles,
    fused,
    in_doubles,
    make,
)
from trainers import checkpoint
from trainers.config import TrainConfig
from trainers.data.splits import TrainingData
from trainers.fused.stacked_optimizer import clip
from trainers.fused.trainer import FusedTrainer

# Values of three trials, one of which goes without.
FEATURES: dict[str, dict[str, list[Any]]] = {
    "label_smoothing": {"label_smoothing": [0.0, 0.3, 0.1]},
    "ema": {"ema": [0.98, 0.0, 0.5]},
    "clip_norm": {"clip_norm": [0.5, 0.05, 0.0]},
    "all": {"label_smoothing": [0.2, 0.0, 0.1], "ema": [0.0, 0.9, 0.98], "clip_norm": [0.1, 0.3, 0.0]},
}
NETWORK = in_doubles(make("lenet5_bn", dropout=0.0))


@pytest.fixture(scope="module")
def doubles() -> TrainingData:
    return digits_in_doubles()


def settings(feature: str, **shared: Any) -> list[TrainConfig]:
    values = FEATURES[feature]
    return [
        replace(config, **{key: each[trial] for key, each in values.items()})
        for trial, config in enumerate(configs(**shared))
    ]


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("optimizer", ["adam", "each"])
def test_each_trial_has_its_own_value(feature: str, optimizer: str, doubles: TrainingData) -> None:
    own = settings(feature, optimizer=optimizer, schedule="wsd", epochs=3)
    trainer, results = fused([NETWORK] * 3, doubles, own)
    for trial, config in enumerate(own):
        assert_as_alone((trainer, results), trial, NETWORK, doubles, config)


def test_beta1_is_that_of_all(doubles: TrainingData) -> None:
    own = configs(optimizer="adamw", beta1=0.7)
    trainer, results = fused([NETWORK] * 3, doubles, own)
    for trial, config in enumerate(own):
        assert_as_alone((trainer, results), trial, NETWORK, doubles, config)


@pytest.mark.parametrize("augment", ["shift", "shift-flip"])
def test_images_of_one_trial_move_as_if_it_were_alone(augment: str, doubles: TrainingData) -> None:
    config = TrainConfig(batch_size=32, augment=augment)
    trainer, results = fused([NETWORK], doubles, [config])
    assert_as_alone((trainer, results), 0, NETWORK, doubles, config)


@pytest.mark.parametrize("stay", [(2, 0), (1,)])
def test_trials_that_leave_change_nothing_for_those_that_stay(stay: tuple[int, ...], doubles: TrainingData) -> None:
    own = settings("all", schedule="linear", epochs=4)
    trainer, _ = fused([NETWORK] * 3, doubles, own)
    trainer.keep(stay)
    rest = [trainer.step() for _ in range(2)]
    for place, trial in enumerate(stay):
        assert_as_alone((trainer, rest), place, NETWORK, doubles, own[trial], epochs=4)


def test_trials_go_on_from_their_checkpoints_among_others(doubles: TrainingData, tmp_path: Path) -> None:
    own = settings("all", schedule="wsd", epochs=4)
    trainer, _ = fused([NETWORK] * 3, doubles, own)
    states = [trainer.save(trial) for trial in range(3)]
    assert ["average" in state for state in states] == [False, True, True]
    for trial, state in enumerate(states):
        checkpoint.save(tmp_path / f"{trial}.pt", state)
    order = (2, 0)
    again = FusedTrainer([NETWORK] * 2, doubles, [own[trial] for trial in order])
    again.load(*(checkpoint.load(tmp_path / f"{trial}.pt") for trial in order))
    rest = [again.step() for _ in range(2)]
    for place, trial in enumerate(order):
        assert_as_alone((again, rest), place, NETWORK, doubles, own[trial], epochs=4)


def test_a_trial_that_diverges_does_not_touch_the_others(doubles: TrainingData) -> None:
    own = settings("all", optimizer="sgd")
    own[1] = replace(own[1], lr=1e10, clip_norm=0.0)
    trainer, results = fused([NETWORK] * 3, doubles, own)
    assert not results[-1][1].finite
    for trial in (0, 2):
        assert_as_alone((trainer, results), trial, NETWORK, doubles, own[trial])


def test_nothing_is_computed_for_what_no_trial_has(doubles: TrainingData) -> None:
    trainer = FusedTrainer([NETWORK] * 3, doubles, configs())
    assert trainer.smoothing == 0.0 and trainer.average is None and trainer.optimizer.limits is None


def test_gradients_are_clipped_as_torchs_are() -> None:
    gradients = [torch.randn(3, 4, 2, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)]
    limits, expected = (0.5, 100.0, 0.0), []
    for trial, limit in enumerate(limits):
        parameters = [nn.Parameter(torch.zeros_like(gradient[trial])) for gradient in gradients]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient[trial].clone()
        if limit:
            nn.utils.clip_grad_norm_(parameters, limit)
        expected.append([parameter.grad for parameter in parameters])
    clip(gradients, torch.tensor(limits, dtype=torch.float64))
    for trial in range(3):
        for gradient, one in zip(gradients, expected[trial], strict=True):
            torch.testing.assert_close(gradient[trial], one)
