from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.trials.asha import cutoff, rungs, survivors

ACCURACIES = st.lists(st.sampled_from([n / 20 for n in range(21)]), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("epochs", "at"),
    [
        (1, ()),
        (2, ()),
        (3, (2,)),
        (8, (2,)),
        (9, (2, 6)),
        (47, (2, 6, 18)),
        (48, (3, 9, 27)),
        (100, (6, 18, 54)),
        (1000, (62, 186, 558)),
    ],
)
def test_rungs_triple_until_less_than_a_third_is_left(epochs: int, at: tuple[int, ...]) -> None:
    assert rungs(epochs) == at


def test_the_best_quarter_goes_on() -> None:
    assert survivors([0.1, 0.9, 0.5, 0.4, 0.8, 0.2, 0.3, 0.6]) == [1, 4]
    assert survivors([0.3]) == [0] and survivors([]) == []
    assert survivors([0.5, 0.5, 0.5]) == [0, 1, 2]


def test_what_others_had_on_the_rung_counts() -> None:
    assert survivors([0.5, 0.6], known=[0.9, 0.8, 0.7, 0.95]) == []
    assert survivors([0.5, 0.6, 0.7], known=[0.1] * 10) == [0, 1, 2]


def test_what_is_not_finite_never_goes_on() -> None:
    assert survivors([math.nan, 0.4, math.nan]) == [1]
    assert survivors([math.nan]) == []


@given(ACCURACIES, ACCURACIES, st.integers(2, 5))
def test_it_is_numpys_percentile_and_the_same_in_any_order(
    values: list[float], known: list[float], factor: int
) -> None:
    limit = np.percentile([*values, *known], 100 * (1 - 1 / factor))
    assert math.isclose(cutoff([*values, *known], factor), limit, abs_tol=1e-9)
    kept = survivors(values, known, factor)
    assert kept == [place for place, value in enumerate(values) if value >= limit - 1e-9]
    backwards = [len(values) - 1 - place for place in survivors(values[::-1], known, factor)]
    assert backwards[::-1] == kept
    if not known or max(values) >= max(known):
        assert values.index(max(values)) in kept
