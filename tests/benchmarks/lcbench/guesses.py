"""Guesses of a user who knows a task well, or is wrong about it: what --prior does is measured with them."""

from __future__ import annotations

import numpy as np
import optuna

from hpo.search.samplers.choice import make_sampler
from hpo.search.samplers.encoding import Encoding
from hpo.search.samplers.experience import Lessons
from hpo.spec.spaces.guess import Guess
from tests.benchmarks.lcbench.podium import PodiumSearch
from tests.benchmarks.lcbench.samplers import Space
from tests.benchmarks.lcbench.simulator import Curves

CONFIGS = 200
NOISE = 0.1  # of a hyperparameter's range


def with_guess(task: str, space: Space, seed: int, curve: Curves, *, quantile: float) -> PodiumSearch:
    """A search with a guess, after what a search without one begins with, in place of a recipe."""
    guess = make_guess(space, curve, seed, quantile)
    first = optuna.create_study(sampler=make_sampler("random", seed)).ask(dict(space)).params
    return PodiumSearch(space, seed, lessons=Lessons((first, dict(guess.config)), (guess,)))


def make_guess(space: Space, curve: Curves, seed: int, quantile: float) -> Guess:
    """Returns a guess near one of many random configurations: near the best one for quantile 0, the worst for 1."""
    rng, encoding = np.random.default_rng(seed), Encoding(space)
    points = encoding.random(CONFIGS, rng)
    accuracies = [curve(encoding.config(point)).accuracies[-1] for point in points]
    chosen = points[np.argsort(accuracies)[::-1][round(quantile * (CONFIGS - 1))]]
    return Guess(encoding.config(np.clip(chosen + rng.normal(0, NOISE, len(encoding)), 0, 1)))
