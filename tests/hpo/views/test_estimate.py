from __future__ import annotations

import math

import pytest

from hpo.views.estimate import Work


def test_without_stops_every_trial_has_all_its_epochs() -> None:
    work = Work(50, 10)
    assert work.search_epochs(0, 0, []) == 500
    assert work.search_epochs(3, 21, [4, 1]) == 465  # what failed early says nothing of the others
    assert work.search_epochs(50, 480, []) == 0


def test_asha_stops_most_of_them() -> None:
    work = Work(50, 10, rungs=(1, 3, 9))
    each = 1 + 2 / 4 + 6 / 16 + 1 / 64
    assert work.search_epochs(0, 0, []) == pytest.approx(50 * each)
    assert work.search_epochs(2, 20, [1, 3]) == pytest.approx(50 * each - 24)
    # More epochs than expected: those that have not begun train to the first rung at least.
    assert work.search_epochs(20, 200, [1, 1]) == 28
    assert work.search_epochs(49, 490, [9]) == 0


def test_finals_follow_a_search_that_ends_within_its_budget() -> None:
    assert Work(10, 5, networks=6).eta_s(20, 4, 0.5, elapsed_s=60) == 10 + 6 * 4 * 0.5
    within = Work(10, 5, networks=6, budget_s=100)
    assert within.eta_s(20, 4, 0.5, elapsed_s=60) == 22
    assert within.eta_s(200, 4, 0.5, elapsed_s=60) == 40
    assert within.eta_s(200, 4, 0.5, elapsed_s=200) == 0 and math.isinf(Work(1, 1).budget_s)
