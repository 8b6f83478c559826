"""Podium's sampler on studies whose best place is known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.samplers import RandomSampler
from optuna.trial import TrialState, create_trial

from hpo.search.samplers.rank import MAX_TRIALS, STARTUP_TRIALS, RankSampler
from hpo.spec.spaces.guess import Guess

SPACE: dict[str, Any] = {
    "lr": FloatDistribution(1e-5, 1.0, log=True),
    "dropout": FloatDistribution(0.0, 0.9),
    "activation": CategoricalDistribution(("relu", "gelu", "tanh")),
}


def accuracy(params: dict[str, Any]) -> float:
    """Best at 1e-2, 0.3 and gelu."""
    far = ((math.log10(params["lr"]) + 2) / 5) ** 2 + (params["dropout"] - 0.3) ** 2
    return 0.99 - far - 0.05 * (params["activation"] != "gelu")


def best_of(sampler: Any, trials: int = 40, pruned: bool = False) -> float:
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for guess in getattr(sampler, "guesses", ()):
        study.enqueue_trial({"activation": "relu", **guess.config})
    best = 0.0
    for _ in range(trials):
        trial = study.ask(SPACE)
        value = accuracy(trial.params)
        best = max(best, value)
        if pruned:
            trial.report(value, 2)
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, value)
    return best


GOOD = Guess({"lr": 1e-2, "dropout": 0.3})
WRONG = Guess({"lr": 1e-5, "dropout": 0.9})


def test_a_right_belief_finds_the_best_sooner_and_a_wrong_one_costs_little() -> None:
    def best(trials: int, *guesses: Guess) -> float:
        return float(np.mean([best_of(RankSampler(seed, (2,), guesses), trials) for seed in range(20)]))

    without = best(8)
    assert best(8, GOOD) > without + 0.01 and best(9, WRONG) > without - 0.02
    assert np.mean([best_of(RankSampler(seed, (2,), (WRONG,))) for seed in range(5)]) > 0.98


@pytest.mark.parametrize("pruned", [False, True])
def test_it_finds_more_than_random_also_from_trials_that_were_stopped(pruned: bool) -> None:
    ours = [best_of(RankSampler(seed, (2,)), pruned=pruned) for seed in range(5)]
    randoms = [best_of(RandomSampler(seed)) for seed in range(5)]
    assert np.mean(ours) > 0.985 > np.mean(randoms)


def test_no_configuration_is_tried_twice_unless_all_were() -> None:
    sizes: dict[str, Any] = {**SPACE, "batch_size": CategoricalDistribution((32, 64, 128))}
    few: dict[str, Any] = {"activation": SPACE["activation"], "batch_size": sizes["batch_size"]}
    for seed in range(5):
        for space, different in ((sizes, 40), (few, 9)):
            study = optuna.create_study(direction="maximize", sampler=RankSampler(seed))
            study.enqueue_trial({"lr": 1e-2, "dropout": 0.0, "activation": "gelu", "batch_size": 64})
            configs = []
            for number in range(40):
                trial = study.ask(space)
                configs.append(tuple(trial.params.values()))
                study.tell(trial, 0.9 - 0.01 * number)  # the first one stays the best
            assert len(set(configs)) == different


def test_a_trial_that_came_further_is_better_than_one_that_did_not() -> None:
    sampler = RankSampler(0, (2, 6))
    trials = [
        create_trial(state=TrialState.PRUNED, intermediate_values={2: 0.9}),
        create_trial(state=TrialState.PRUNED, intermediate_values={2: 0.5, 6: 0.6}),
        create_trial(value=0.7),
        create_trial(state=TrialState.PRUNED),
        create_trial(state=TrialState.PRUNED, intermediate_values={1: 0.99}),
        create_trial(state=TrialState.PRUNED, intermediate_values={1: 0.99, 2: 0.91, 3: 0.2}),
        create_trial(state=TrialState.RUNNING, intermediate_values={2: 0.99}),
        create_trial(state=TrialState.FAIL),
    ]
    assert [trials.index(trial) for trial in sampler._ranked(trials)] == [
        3,
        4,
        1,
        0,
        5,
        2,
    ]  # 1 was behind on its first rung


def test_of_very_many_the_best_and_the_newest_are_looked_at() -> None:
    study = optuna.create_study(direction="maximize")
    study.add_trials([create_trial(value=1 - number / 1000) for number in range(3 * MAX_TRIALS)])
    numbers = {trial.number for trial in RankSampler(0)._ranked(study.trials)}
    assert numbers == {*range(MAX_TRIALS // 2), *range(5 * MAX_TRIALS // 2, 3 * MAX_TRIALS)}


def test_the_same_seed_draws_the_same_configurations() -> None:
    assert best_of(RankSampler(7), 20) == best_of(RankSampler(7), 20) != best_of(RankSampler(8), 20)


def test_workers_at_the_same_moment_try_different_configurations() -> None:
    study = optuna.create_study(direction="maximize", sampler=RankSampler(0))
    for _ in range(2 * STARTUP_TRIALS):
        trial = study.ask(SPACE)
        study.tell(trial, accuracy(trial.params))
    rates = [math.log10(study.ask(SPACE).params["lr"]) for _ in range(4)]
    assert len(set(rates)) == 4


def test_half_of_the_first_trials_are_near_the_best_so_far() -> None:
    study = optuna.create_study(direction="maximize", sampler=RankSampler(0))
    study.enqueue_trial({"lr": 1e-2, "dropout": 0.3, "activation": "gelu"})
    study.tell(study.ask(SPACE), 0.99)
    kept = 0
    for _ in range(200):
        study.sampler._rng = np.random.default_rng(len(study.trials))
        params = study.ask(SPACE).params
        kept += any(params[name] == pytest.approx(value) for name, value in (("lr", 1e-2), ("dropout", 0.3)))
    assert 30 < kept < 100  # half of them, and of these a good half keep one of the two numbers
