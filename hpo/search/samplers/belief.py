"""What is believed of good configurations before a search: guesses, each with a width.

A belief is followed less and less as trials are seen: piBO (Hvarfner et al., 2022, "piBO: Augmenting Acquisition
Functions with User Beliefs for Bayesian Optimization") multiplies the acquisition function with the density of the
belief to the power of strength / trials. So a wrong belief costs trials, but cannot hide what is good.

Besides, it is trusted only as far as the trials agree with it: where none of the best ones is near a guess, it is not
followed any more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpo.search.samplers.encoding import Encoding, Points
from hpo.spec.spaces.guess import Guess

WIDTH = 0.15  # a guess's standard deviation, in units of a hyperparameter's range
RIGHT_CHOICE = 0.7  # how likely a guessed choice is, the rest is spread over the others
ANYWHERE = 0.1  # how much of a belief is spread over the whole space: no region is ruled out
STRENGTH = 5.0  # piBO's beta


class Belief:
    """A mixture of guesses, on the hyperparameters of a space."""

    def __init__(self, guesses: Sequence[Guess], encoding: Encoding) -> None:
        """Guesses of which no hyperparameter is in the space say nothing."""
        self.encoding = encoding
        points = [(guess, encoding.partial_point(guess.config)) for guess in guesses]
        self.guesses = [guess for guess, point in points if not np.isnan(point).all()]
        means = np.array([point for _, point in points if not np.isnan(point).all()])
        self.known, self.means = ~np.isnan(means), np.nan_to_num(means)
        self.widths = np.array([[guess.widths.get(name, WIDTH) for name in encoding.space] for guess in self.guesses])
        weights = np.array([guess.weight for guess in self.guesses])
        self.weights = weights / weights.sum()

    def __bool__(self) -> bool:
        return bool(self.guesses)

    def log_density(self, points: Points) -> NDArray[np.float64]:
        """Returns the logarithm of the density at each point; 0 everywhere is the density of "anywhere"."""
        densities = np.stack([self._density(place, points) for place in range(len(self.guesses))])
        total: NDArray[np.float64] = np.log(ANYWHERE + (1 - ANYWHERE) * (self.weights @ densities))
        return total

    def trust(self, points: Points) -> float:
        """Returns how far trials agree with the belief: which share of the best third is likelier by it than by chance.
        points: of trials, the worst first."""
        best = points[-math.ceil(len(points) / 3) :]
        return float(np.mean(self.log_density(best) > 0))

    def draw(self, count: int, rng: np.random.Generator) -> Points:
        """Returns so many points: each around a guess, and evenly spread where that guess says nothing."""
        chosen = rng.choice(len(self.guesses), size=count, p=self.weights)
        means, widths = self.means[chosen], self.widths[chosen]
        anywhere = self.encoding.random(count, rng)
        numbers = np.clip(means + rng.normal(size=means.shape) * widths, 0, 1)
        choices = np.where(rng.random(means.shape) < RIGHT_CHOICE, means, anywhere)
        return np.where(self.known[chosen], np.where(self.encoding.is_choice, choices, numbers), anywhere)

    def _density(self, place: int, points: Points) -> NDArray[np.float64]:
        """Returns the density of one guess at each point, relative to the even one."""
        mean, width, choices = self.means[place], self.widths[place], self.encoding.choices
        numbers = np.exp(-(((points - mean) / width) ** 2) / 2) / (width * np.sqrt(2 * np.pi))
        others = (1 - RIGHT_CHOICE) / np.maximum(choices - 1, 1)
        same = np.where(points == mean, RIGHT_CHOICE, others) * choices
        each = np.where(self.known[place], np.where(self.encoding.is_choice, same, numbers), 1.0)
        density: NDArray[np.float64] = each.prod(axis=1)
        return density
