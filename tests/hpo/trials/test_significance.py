from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.trials.significance import holm, measure, p_value, tied_with

IMAGES, STUDIES = 2000, 200


def networks(
    rng: np.random.Generator, accuracy: float, easy: np.ndarray, seeds: int = 3, spread: float = 0.0
) -> np.ndarray:
    """What `seeds` networks get right of images that are harder or easier for all networks: bool (seeds, images).
    spread: standard deviation of a network's own accuracy around the configuration's."""
    own = accuracy + spread * rng.standard_normal((seeds, 1))
    # Three quarters of the mistakes are on a tenth of the images.
    wrong = np.where(easy, (1 - own) * 0.25 / 0.9, (1 - own) * 0.75 / 0.1)
    return rng.random((seeds, len(easy))) >= wrong


def hard_images(rng: np.random.Generator) -> np.ndarray:
    """A test set, drawn anew: which of its images are easy."""
    return rng.random(IMAGES) >= 0.1


@pytest.mark.parametrize("models", [2, 4, 12])
@pytest.mark.parametrize("spread", [0.0, 0.004])
def test_models_that_are_equal_are_tied(models: int, spread: float) -> None:
    rng, all_tied = np.random.default_rng(models), 0
    for _ in range(STUDIES):
        easy = hard_images(rng)
        right = [networks(rng, 0.97, easy, spread=spread) for _ in range(models)]
        best = max(range(models), key=lambda at: right[at].mean())
        all_tied += all(tied_with(best, right))
    assert all_tied >= 0.9 * STUDIES


@pytest.mark.parametrize("spread", [0.0, 0.004])
def test_a_gap_of_five_standard_errors_is_found(spread: float) -> None:
    rng, found = np.random.default_rng(7), 0
    # Of the difference of two means of three networks: their own spread, and their mistakes on single images.
    share = np.array([0.03 * 0.25 / 0.9, 0.03 * 0.75 / 0.1])
    of_images = (np.array([0.9, 0.1]) * share * (1 - share)).sum() / IMAGES
    gap = 5 * np.sqrt(2 * (spread**2 + of_images) / 3)
    for _ in range(STUDIES):
        easy = hard_images(rng)
        found += not tied_with(0, [networks(rng, a, easy, spread=spread) for a in (0.97 + gap / 2, 0.97 - gap / 2)])[1]
    assert found >= 0.9 * STUDIES


@pytest.mark.parametrize("spread", [0.0, 0.004])
def test_the_interval_holds_the_accuracy_in_95_per_cent(spread: float) -> None:
    rng, held = np.random.default_rng(1), 0
    for _ in range(1000):
        measured = measure(networks(rng, 0.97, hard_images(rng), spread=spread))
        held += measured.low <= 0.97 <= measured.high
    assert held / 1000 >= 0.93


def test_one_seed_has_an_interval_of_its_images_and_is_told_from_nothing() -> None:
    right = np.ones((1, 100), dtype=bool)
    right[0, :5] = False
    measured = measure(right)
    assert (measured.mean, measured.std) == (0.95, None)
    share = 97 / 104
    half = 1.96 * np.sqrt(share * (1 - share) / 104)
    assert (measured.low, measured.high) == pytest.approx((0.95 - half, 0.95 + half), abs=1e-4)
    assert p_value(right, np.zeros((3, 100), dtype=bool)) == 1.0
    assert tied_with(0, [right, ~right]) == [True, True]


def test_all_right_is_not_taken_for_certain() -> None:
    measured = measure(np.ones((3, 50), dtype=bool))
    assert measured.mean == measured.high == 1.0 and 0.85 < measured.low < 0.99


def test_images_that_are_hard_for_both_do_not_count() -> None:
    """The same 20 % are wrong for all; one configuration also misses 2 % that the other has: hardly more than a
    standard error of each proportion, and clear on the images they share."""
    one = np.ones((3, 1000), dtype=bool)
    one[:, :200] = False
    other = one.copy()
    other[:, 200:220] = False
    assert p_value(one, other) < 1e-4


def test_equal_answers_are_equal_and_different_ones_of_no_variance_are_not() -> None:
    right = np.array([[True, False, True]] * 3)
    assert p_value(right, right) == 1.0
    assert p_value(right, ~right) < 1.0
    assert p_value(np.ones((2, 4), dtype=bool), np.zeros((2, 4), dtype=bool)) == 0.0


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_rejects_at_least_what_bonferroni_does_and_from_the_smallest(values: list[float]) -> None:
    rejected = holm(values)
    assert all(different for p, different in zip(values, rejected, strict=True) if p <= 0.05 / len(values))
    kept = [p for p, different in zip(values, rejected, strict=True) if not different]
    assert all(p <= min(kept, default=1.0) for p, different in zip(values, rejected, strict=True) if different)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == [True, False, False, True]
    assert holm([0.05]) == [True] and holm([]) == []
