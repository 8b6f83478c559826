"""Who goes on after a rung, and who waits."""

from __future__ import annotations

import random

import pytest

from hpo.trials.ladder import Ladder


def came(ladder: Ladder, trial_id: str, rung: int, value: float) -> None:
    ladder.add(trial_id, {rung: value})
    ladder.wait(trial_id, rung)


def test_the_best_third_goes_on_as_soon_as_there_are_three() -> None:
    ladder = Ladder((3,), 3)
    for name, value in (("a", 0.5), ("b", 0.9)):
        came(ladder, name, 3, value)
        assert ladder.next_to_go_on() is None
    came(ladder, "c", 3, 0.4)
    assert ladder.next_to_go_on() == "b" and ladder.leave("b") == 3
    assert ladder.next_to_go_on() is None


def test_one_that_seemed_weak_goes_on_when_worse_ones_come() -> None:
    ladder = Ladder((1,), 3)
    for name, value in (("a", 0.9), ("b", 0.8), ("c", 0.7)):
        came(ladder, name, 1, value)
    ladder.leave("a")
    for name in "def":
        assert ladder.next_to_go_on() is None
        came(ladder, name, 1, 0.1)
    assert ladder.next_to_go_on() == "b"


def test_the_highest_rung_comes_first() -> None:
    ladder = Ladder((1, 3), 3)
    for n in range(3):
        came(ladder, f"low-{n}", 1, 0.5 + n / 10)
        came(ladder, f"high-{n}", 3, 0.5 + n / 10)
    assert ladder.next_to_go_on() == "high-2"
    ladder.leave("high-2")
    assert ladder.next_to_go_on() == "low-2"


def test_those_that_do_not_wait_count_too() -> None:
    ladder = Ladder((1, 3), 3)
    ladder.add("first", {1: 0.9, 2: 0.95, 3: 0.97, 4: 0.98})
    ladder.add("earlier", {1: 0.8, 3: None})
    came(ladder, "new", 1, 0.85)
    assert ladder.next_to_go_on() is None  # one of three goes on, and that is the first
    came(ladder, "better", 1, 0.95)
    assert ladder.next_to_go_on() == "better"


def test_where_no_more_come_the_best_of_each_rung_goes_on_however_few_there_are() -> None:
    ladder = Ladder((1, 3), 3)
    came(ladder, "a", 1, 0.5)
    came(ladder, "b", 1, 0.6)
    assert ladder.next_to_go_on() is None and ladder.next_to_go_on(closing=True) == "b"
    ladder.leave("b")
    assert ladder.next_to_go_on(closing=True) is None  # the best of the rung has gone on
    came(ladder, "b", 3, 0.7)
    assert ladder.next_to_go_on(closing=True) == "b"


def test_those_far_behind_are_hopeless() -> None:
    ladder = Ladder((1, 3), 3)
    for n in range(9):
        came(ladder, f"t{n}", 1, n / 10)
    assert ladder.hopeless() == ["t1", "t0"]  # three may go on, and four more wait
    ladder.leave("t1")
    assert ladder.hopeless() == ["t0"]
    came(ladder, "high", 3, 0.1)
    assert ladder.hopeless() == ["t0"]


def test_without_rungs_nobody_goes_on() -> None:
    ladder = Ladder(())
    ladder.add("a", {1: 0.5})
    assert ladder.next_to_go_on() is None


@pytest.mark.parametrize("seed", range(5))
def test_in_the_end_the_best_third_has_gone_on(seed: int) -> None:
    draw = random.Random(seed)
    values = {f"t{n}": draw.random() for n in range(30)}
    ladder, gone = Ladder((1,), 3), set()
    for name, value in values.items():
        came(ladder, name, 1, value)
        while (going := ladder.next_to_go_on()) is not None:
            ladder.leave(going)
            gone.add(going)
    assert set(sorted(values, key=lambda name: -values[name])[:10]) <= gone
