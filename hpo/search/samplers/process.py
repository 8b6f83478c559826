"""A Gaussian process over encoded configurations (Rasmussen & Williams, 2006, algorithm 2.1), in numpy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.special import ndtr

from hpo.search.samplers.encoding import Encoding, Points

Values = NDArray[np.float64]
LENGTHS = (0.25, 0.5, 1.0, 2.0)
NOISES = (0.03, 0.2)  # variances, of values with variance 1
SHORTEST, LONGEST = 0.1, 10.0
LEAST_GAIN = 0.05  # of the log likelihood, for which a length is changed
SWEEPS = 2


@dataclass(frozen=True)
class Kernel:
    """Matern 5/2 with a length for each hyperparameter: one without effect gets a long one."""

    lengths: Values
    noise: float

    def __call__(self, squared: NDArray[np.float64]) -> NDArray[np.float64]:
        distance = math.sqrt(5) * np.sqrt(squared @ self.lengths**-2.0 + 1e-12)
        return (1 + distance + distance**2 / 3) * np.exp(-distance)


class Process:
    """A process that has seen points and their values, of mean 0 and variance 1."""

    def __init__(self, encoding: Encoding, points: Points, values: Values, kernel: Kernel) -> None:
        self.encoding, self.points, self.kernel = encoding, points, kernel
        self._see(encoding.squared_distances(points, points), values)

    @classmethod
    def fitted(cls, encoding: Encoding, points: Points, values: Values, rng: np.random.Generator) -> Process:
        """Chooses the kernel by the likelihood: the best of a few, then one length after the other."""
        squared = encoding.squared_distances(points, points)
        even = [Kernel(np.full(len(encoding), length), noise) for length in LENGTHS for noise in NOISES]
        likelihoods = [_likelihood(squared, values, kernel) for kernel in even]
        kernel, best = even[int(np.argmax(likelihoods))], max(likelihoods)
        for _ in range(SWEEPS):
            for place in rng.permutation(len(encoding)):
                for factor in (0.5, 2.0):
                    lengths = kernel.lengths.copy()
                    lengths[place] = np.clip(lengths[place] * factor, SHORTEST, LONGEST)
                    other = Kernel(lengths, kernel.noise)
                    if (likelihood := _likelihood(squared, values, other)) > best + LEAST_GAIN:
                        kernel, best = other, likelihood
        return cls(encoding, points, values, kernel)

    def predict(self, points: Points) -> tuple[Values, Values]:
        """Returns the mean and the standard deviation at each point."""
        across = self.kernel(self.encoding.squared_distances(points, self.points))
        explained = solve_triangular(self.factor, across.T, lower=True)
        return across @ self.weights, np.sqrt(np.maximum(1 - (explained**2).sum(0), 1e-9))

    def believing(self, points: Points) -> Process:
        """Returns a process that takes its own predictions at these points for values that it has seen."""
        if not len(points):
            return self
        values = np.concatenate([self.values, self.predict(points)[0]])
        return Process(self.encoding, np.concatenate([self.points, points]), values, self.kernel)

    def expected_improvement(self, points: Points) -> Values:
        """Returns the expected improvement over the best value seen (Jones et al., 1998), at each point."""
        mean, deviation = self.predict(points)
        z = (mean - self.values.max()) / deviation
        improvement: Values = deviation * (z * ndtr(z) + np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi))
        return improvement

    def _see(self, squared: NDArray[np.float64], values: Values) -> None:
        self.values = values
        self.factor = _factor(squared, self.kernel)
        self.weights = cho_solve((self.factor, True), values)


def _factor(squared: NDArray[np.float64], kernel: Kernel) -> NDArray[np.float64]:
    factor: NDArray[np.float64] = cholesky(kernel(squared) + kernel.noise * np.eye(len(squared)), lower=True)
    return factor


def _likelihood(squared: NDArray[np.float64], values: Values, kernel: Kernel) -> float:
    factor = _factor(squared, kernel)
    return float(-0.5 * values @ cho_solve((factor, True), values) - np.log(np.diag(factor)).sum())
