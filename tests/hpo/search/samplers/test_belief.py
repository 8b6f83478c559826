from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from hpo.search.samplers.belief import ANYWHERE, RIGHT_CHOICE, Belief
from hpo.search.samplers.encoding import Encoding
from hpo.spec.spaces.guess import Guess

SPACE: Any = {
    "activation": CategoricalDistribution(("relu", "gelu", "tanh")),
    "dropout": FloatDistribution(0.0, 0.5),
    "lr": FloatDistribution(1e-4, 1e-2, log=True),
}
ENCODING = Encoding(SPACE)


def configs(belief: Belief, count: int = 2000) -> list[dict[str, Any]]:
    return [ENCODING.config(point) for point in belief.draw(count, np.random.default_rng(0))]


def test_draws_lie_around_the_guess_and_anywhere_else_where_it_says_nothing() -> None:
    drawn = configs(Belief([Guess({"lr": 1e-3, "activation": "gelu"}, widths={"lr": 0.05})], ENCODING))
    logarithms = np.log10([config["lr"] for config in drawn])
    assert logarithms.mean() == pytest.approx(-3, abs=0.01)
    assert logarithms.std() == pytest.approx(0.1, rel=0.1)  # 0.05 of two decades
    gelu = np.mean([config["activation"] == "gelu" for config in drawn])
    assert gelu == pytest.approx(RIGHT_CHOICE + (1 - RIGHT_CHOICE) / 3, abs=0.03)
    assert np.mean([config["dropout"] for config in drawn]) == pytest.approx(0.25, abs=0.01)


def test_density_is_highest_at_the_guess_and_nowhere_zero() -> None:
    belief = Belief([Guess({"lr": 1e-3, "activation": "gelu"})], ENCODING)
    at, near, far, other = ENCODING.points(
        [
            {"lr": 1e-3, "dropout": 0.0, "activation": "gelu"},
            {"lr": 2e-3, "dropout": 0.5, "activation": "gelu"},
            {"lr": 1e-2, "dropout": 0.0, "activation": "gelu"},
            {"lr": 1e-3, "dropout": 0.0, "activation": "relu"},
        ]
    )
    densities = belief.log_density(np.stack([at, near, far, other]))
    assert densities[0] == max(densities)
    assert densities[0] > densities[1] > densities[2] >= np.log(ANYWHERE)
    assert densities[0] > densities[3]


def test_the_density_of_a_guess_is_one_on_average() -> None:
    belief = Belief([Guess({"lr": 1e-3, "activation": "gelu"})], ENCODING)
    points = ENCODING.random(50_000, np.random.default_rng(1))
    assert np.exp(belief.log_density(points)).mean() == pytest.approx(1, abs=0.03)


def test_weights_say_how_often_a_guess_is_drawn() -> None:
    guesses = [Guess({"lr": 1e-4}, weight=3, widths={"lr": 1e-6}), Guess({"lr": 1e-2}, widths={"lr": 1e-6})]
    drawn = [config["lr"] for config in configs(Belief(guesses, ENCODING))]
    assert np.mean([lr < 1e-3 for lr in drawn]) == pytest.approx(0.75, abs=0.03)


def test_a_guess_of_nothing_in_the_space_is_none() -> None:
    assert not Belief([Guess({"momentum": 0.9}), Guess({"activation": "silu"})], ENCODING)
    assert not Belief([], ENCODING)


def test_a_value_outside_its_range_is_moved_to_the_end_of_the_range() -> None:
    belief = Belief([Guess({"lr": 1.0}, widths={"lr": 1e-6})], ENCODING)
    assert configs(belief, 3)[0]["lr"] == pytest.approx(1e-2)


def test_a_belief_is_trusted_as_far_as_the_best_trials_agree_with_it() -> None:
    belief = Belief([Guess({"lr": 1e-3})], ENCODING)
    rates = (1e-4, 1e-2, 8e-3, 7e-3, 5e-4, 1.2e-3)  # the last two are near the guess
    points = ENCODING.points([{"lr": lr, "dropout": 0.1, "activation": "relu"} for lr in rates])
    assert belief.trust(points) == 1
    assert belief.trust(points[[0, 1, 2, 4, 3, 5]]) == 0.5
    assert belief.trust(points[::-1]) == 0
    assert (belief.trust(points[4:5]), belief.trust(points[[4, 0]])) == (1, 0)  # the guess alone, and a better one
