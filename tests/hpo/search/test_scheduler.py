"""ASHA on its rungs, also after a resume."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler

from hpo.search.scheduler import RungScheduler
from hpo.trials.asha import rungs
from hpo.trials.messages import EPOCHS, VALUE

GO_ON, STOP = TrialScheduler.CONTINUE, TrialScheduler.STOP


@pytest.mark.parametrize(
    ("epochs", "at"), [(1, ()), (2, (1,)), (3, (1,)), (4, (1, 3)), (10, (1, 3, 9)), (28, (1, 3, 9, 27))]
)
def test_rungs_are_the_powers_of_three_before_the_end(epochs: int, at: tuple[int, ...]) -> None:
    assert rungs(epochs) == at


def recorded(scheduler: RungScheduler) -> dict[int, dict[str, float]]:
    return {int(epoch): values for epoch, values in scheduler._brackets[0]._rungs}


def report(scheduler: RungScheduler, name: str, epoch: int, value: float) -> str:
    trial: Any = SimpleNamespace(trial_id=name)
    if name not in scheduler._trial_info:
        scheduler.on_trial_add(None, trial)  # type: ignore[arg-type]
    return scheduler.on_trial_result(None, trial, {EPOCHS: epoch, VALUE: value})


def test_the_weaker_two_thirds_stop_at_a_rung() -> None:
    scheduler = RungScheduler(10)
    assert [report(scheduler, name, 1, v) for name, v in (("a", 0.5), ("b", 0.9), ("c", 0.4))] == [GO_ON, GO_ON, STOP]
    assert report(scheduler, "b", 2, 0.1) == GO_ON  # no rung
    assert recorded(scheduler)[1] == {"a": 0.5, "b": 0.9, "c": 0.4}


def test_a_resumed_study_compares_with_the_trials_before() -> None:
    scheduler = RungScheduler(10)
    scheduler.refill("cnn-0000", {1: 0.9, 2: 0.95, 3: 0.96, 4: 0.97})
    scheduler.refill("cnn-0001", {1: 0.8, 2: None})
    assert recorded(scheduler) == {1: {"cnn-0000": 0.9, "cnn-0001": 0.8}, 3: {"cnn-0000": 0.96}, 9: {}}
    assert report(scheduler, "new", 1, 0.7) == STOP


def test_a_trial_that_goes_on_after_a_rung_does_not_stand_on_it_with_a_later_value() -> None:
    scheduler = RungScheduler(10)
    for n in range(5):
        scheduler.refill(f"cnn-{n:04d}", {1: 0.9, 3: 0.99})
    assert [report(scheduler, "resumed", epoch, 0.5) for epoch in (4, 5, 6)] == [GO_ON] * 3
    assert "resumed" not in recorded(scheduler)[3] and "resumed" not in recorded(scheduler)[1]
    scheduler.on_trial_complete(None, SimpleNamespace(trial_id="resumed"), {EPOCHS: 10, VALUE: 0.5})
    assert not any("resumed" in values for values in recorded(scheduler).values())
