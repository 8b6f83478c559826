"""Guesses of a user who knows a task well, or is wrong about it: what --prior does is measured with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hpo.search.samplers.encoding import Encoding
from hpo.spec.spaces.guess import Guess
from tests.benchmarks.lcbench.samplers import Space
from tests.benchmarks.lcbench.surrogate import Curve

CONFIGS = 200
NOISE = 0.1  # of a hyperparameter's range


def make_guess(space: Space, curve: Callable[[Mapping[str, Any]], Curve], seed: int, quantile: float) -> Guess:
    """Returns a guess near one of many random configurations: near the best one for quantile 0, the worst for 1."""
    rng, encoding = np.random.default_rng(seed), Encoding(space)
    points = encoding.random(CONFIGS, rng)
    accuracies = [curve(encoding.config(point)).accuracies[-1] for point in points]
    chosen = points[np.argsort(accuracies)[::-1][round(quantile * (CONFIGS - 1))]]
    return Guess(encoding.config(np.clip(chosen + rng.normal(0, NOISE, len(encoding)), 0, 1)))
