from __future__ import annotations

from typing import Any

import pytest

from hpo.trials.records import TrialRecord
from hpo.views.timing import measure
from tests.helpers.progress import finished_trial


def trials(count: int, **times: Any) -> list[TrialRecord]:
    wall = {"wall_time_s": 10.0, "train_s": 8.0, "eval_s": 1.0, "setup_s": 0.5, "queue_s": 0.25}
    return [finished_trial(number, **{**wall, **times}) for number in range(count)]


def test_every_second_of_every_place_is_counted_once() -> None:
    times = measure(trials(4), places=2, elapsed_s=25.0, started_s=2.0)
    assert times is not None
    assert (times.training, times.evaluation, times.setup, times.between) == (32.0, 4.0, 2.0, 2.0)
    assert (times.starting, times.idle) == (5.0, 5.0)
    parts = ("training", "evaluation", "setup", "between", "starting", "idle")
    assert sum(getattr(times, part) for part in parts) == 50.0
    assert times.share == pytest.approx(0.64)
    assert times.words() == "64 % training, 8 % evaluation, 4 % setup, 4 % between, 10 % starting, 10 % idle"


@pytest.mark.parametrize(
    ("values", "elapsed_s", "expected"),
    [
        ({"train_s": 9.4, "eval_s": 0.1, "setup_s": 0.1}, 20.5, ""),
        ({"train_s": 4.0, "eval_s": 5.0}, 21.0, "--train-size"),
        ({"train_s": 4.0, "setup_s": 5.0}, 21.0, "--epochs"),
        ({"train_s": 3.0}, 21.0, "--train-size"),
        ({}, 40.0, "--concurrency"),
        (
            {"queue_s": 9.0},
            39.0,
            "Hint: start-up took much of this short run. It is a fixed cost: use more --trials or --epochs.",
        ),
    ],
)
def test_the_advice_names_what_took_most(values: dict[str, float], elapsed_s: float, expected: str) -> None:
    times = measure(trials(4, **values), places=2, elapsed_s=elapsed_s, started_s=0.0)
    assert times is not None
    assert "--train-size" not in times.advice(all_images=True)
    assert expected in times.advice(False) and bool(times.advice(False)) == bool(expected)


def test_what_an_earlier_session_spent_on_a_trial_is_not_counted_again() -> None:
    before = {"train_s": 6.0, "eval_s": 0.5, "wall_time_s": 7.0, "queue_s": 0.25}
    times = measure([*trials(1, before=before), *trials(1)], places=1, elapsed_s=13.25, started_s=0.0)
    assert times is not None
    assert (times.training, times.evaluation, times.starting, times.idle) == (10.0, 1.5, 0.25, 0.0)


def test_a_session_without_a_finished_trial_has_no_times() -> None:
    assert measure([], places=2, elapsed_s=3.0, started_s=1.0) is None
