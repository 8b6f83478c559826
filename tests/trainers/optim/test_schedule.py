from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from trainers.config import TrainConfig
from trainers.optim.optimizer import make_optimizer
from trainers.optim.schedule import make_schedule


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


def test_wsd_rises_stays_and_falls_to_zero() -> None:
    seen = rates("wsd", epochs=10, steps=10)
    assert seen[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])
    assert seen[5:71] == pytest.approx([1] * 66)
    assert seen[85] == pytest.approx(0.5) and seen[-1] == pytest.approx(1 / 30)


def test_linear_rises_and_falls_in_one_line() -> None:
    seen = rates("linear", epochs=10, steps=10)
    assert seen[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1])
    assert seen[5:] == pytest.approx([(100 - step) / 95 for step in range(5, 100)])
    assert seen[52] == pytest.approx(48 / 95) and seen[-1] == pytest.approx(1 / 95)


@pytest.mark.parametrize("schedule", ["wsd", "linear"])
@pytest.mark.parametrize("warm_up", [0.0, 0.2])
def test_the_warm_up_is_a_share_of_all_steps(schedule: str, warm_up: float) -> None:
    seen = rates(schedule, epochs=10, steps=10, warm_up=warm_up)
    first_at_its_highest = seen.index(max(seen))
    assert first_at_its_highest == max(0, round(100 * warm_up) - 1) and max(seen) == pytest.approx(
        seen[first_at_its_highest]
    )


@pytest.mark.parametrize("schedule", ["wsd", "linear"])
def test_they_end_at_zero_and_stay_there_and_short_trainings_train(schedule: str) -> None:
    assert rates(schedule, 1, 1) == [1.0] and min(rates(schedule, 1, 2)) > 0 and max(rates(schedule, 1, 5)) == 1
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    made = make_schedule(optimizer, TrainConfig(lr=1.0, schedule=schedule, epochs=2), 10)
    assert made is not None
    for _ in range(20):
        optimizer.step()
        made.step()
    assert optimizer.param_groups[0]["lr"] == 0
    optimizer.step()
    made.step()
    assert optimizer.param_groups[0]["lr"] == 0


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_one_cycle_swings_beta1_around_its_value(name: str) -> None:
    config = TrainConfig(optimizer=name, beta1=0.8, schedule="one-cycle", epochs=2)
    optimizer = make_optimizer(nn.Linear(1, 1).parameters(), config)
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.999)
    made = make_schedule(optimizer, config, 10)
    assert made is not None and optimizer.param_groups[0]["betas"] == pytest.approx((0.85, 0.999))
    for _ in range(6):
        optimizer.step()
        made.step()
    assert 0.749 < optimizer.param_groups[0]["betas"][0] < 0.76


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
    with pytest.raises(ValueError, match="schedule 'lines': choose from none, step, cosine, one-cycle, wsd, linear"):
        rates("lines", 1, 1)
