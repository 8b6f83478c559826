from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from trainers.config import TrainConfig
from trainers.fused.stacked_optimizer import StackedOptimizer
from trainers.optim.optimizer import make_optimizer

CONFIGS = [
    TrainConfig(lr=0.1, optimizer="adam", weight_decay=0.1),
    TrainConfig(lr=0.02, optimizer="sgd", weight_decay=0.01),
    TrainConfig(lr=0.3, optimizer="adamw", weight_decay=0.2),
    TrainConfig(lr=0.05, optimizer="sgd"),
]


def start() -> Tensor:
    return torch.randn(len(CONFIGS), 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def gradient(step: int, trials: Sequence[int]) -> Tensor:
    whole = torch.randn(len(CONFIGS), 3, 2, generator=torch.Generator().manual_seed(step), dtype=torch.float64)
    return whole[list(trials)]


def alone(trial: int, steps: int) -> Tensor:
    parameter = nn.Parameter(start()[trial].clone())
    optimizer = make_optimizer([parameter], CONFIGS[trial])
    for step in range(1, steps + 1):
        parameter.grad = gradient(step, [trial])[0]
        optimizer.step()
    return parameter.detach()


def move(optimizer: StackedOptimizer, parameter: Tensor, steps: range, trials: Sequence[int]) -> None:
    for step in steps:
        parameter.grad = gradient(step, trials)
        optimizer.step()
        assert parameter.grad is None


def test_each_trial_moves_as_with_its_own_optimizer() -> None:
    parameter = start().requires_grad_()
    move(StackedOptimizer([parameter], CONFIGS, 1), parameter, range(1, 6), range(4))
    for trial in range(4):
        torch.testing.assert_close(parameter.detach()[trial], alone(trial, 5))


@pytest.mark.parametrize("stay", [(3, 0), (1,), (2, 1, 0)])
def test_trials_that_stay_move_on_as_if_the_others_had_stayed(stay: tuple[int, ...]) -> None:
    parameter = start().requires_grad_()
    optimizer = StackedOptimizer([parameter], CONFIGS, 1)
    move(optimizer, parameter, range(1, 4), range(4))
    left = parameter.detach()[list(stay)].requires_grad_()
    optimizer.keep(stay, [left])
    move(optimizer, left, range(4, 6), stay)
    for place, trial in enumerate(stay):
        torch.testing.assert_close(left.detach()[place], alone(trial, 5))


def test_a_saved_trial_moves_on_among_others() -> None:
    parameter = start().requires_grad_()
    optimizer = StackedOptimizer([parameter], CONFIGS, 1)
    move(optimizer, parameter, range(1, 4), range(4))
    order = (2, 0)
    other = parameter.detach()[list(order)].requires_grad_()
    resumed = StackedOptimizer([other], [CONFIGS[trial] for trial in order], 1)
    resumed.load([optimizer.state(trial) for trial in order])
    move(resumed, other, range(4, 6), order)
    for place, trial in enumerate(order):
        torch.testing.assert_close(other.detach()[place], alone(trial, 5))
