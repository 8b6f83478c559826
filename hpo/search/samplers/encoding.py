"""Configurations as points: each hyperparameter a number in [0, 1], or the place of a choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

Points = NDArray[np.float64]
Point = NDArray[np.float64]


class Encoding:
    """The hyperparameters of a space, in the order of their names."""

    def __init__(self, space: Mapping[str, BaseDistribution]) -> None:
        self.space = {name: space[name] for name in sorted(space)}
        self.is_choice = np.array([isinstance(d, CategoricalDistribution) for d in self.space.values()])
        self.choices = np.array([len(getattr(d, "choices", ())) for d in self.space.values()])

    def __len__(self) -> int:
        return len(self.space)

    def points(self, configs: Sequence[Mapping[str, Any]]) -> Points:
        """Returns (N, hyperparameters): a number in [0, 1] on its scale, or the place among the choices."""
        rows = [[_to_number(d, config[name]) for name, d in self.space.items()] for config in configs]
        return np.array(rows, dtype=float).reshape(len(configs), len(self))

    def partial_point(self, config: Mapping[str, Any]) -> Point:
        """Returns a point for some of the hyperparameters; NaN for the others, and for a choice that is none here. A
        number outside its range is moved to the range's end."""
        return np.array([_to_number(d, config[n]) if _has(d, n, config) else np.nan for n, d in self.space.items()])

    def config(self, point: Point) -> dict[str, Any]:
        """Returns the configuration of a point."""
        return {name: _from_number(d, float(x)) for (name, d), x in zip(self.space.items(), point, strict=True)}

    def random(self, count: int, rng: np.random.Generator) -> Points:
        """Returns so many points, drawn evenly from the space."""
        return np.where(
            self.is_choice, np.floor(rng.random((count, len(self))) * self.choices), rng.random((count, len(self)))
        )

    def mutated(self, point: Point, count: int, spread: float, rng: np.random.Generator) -> Points:
        """Returns so many neighbours of a point: about half of its hyperparameters are changed, at least one. A number
        moves by a normal deviate of this spread, a choice is drawn anew."""
        changed = rng.random((count, len(self))) < 0.5
        changed[np.arange(count), rng.integers(len(self), size=count)] = True
        moved = np.clip(point + rng.normal(0, spread, (count, len(self))), 0, 1)
        return np.where(changed, np.where(self.is_choice, self.random(count, rng), moved), point)

    def squared_distances(self, one: Points, other: Points) -> NDArray[np.float64]:
        """Returns (N, M, hyperparameters): of numbers the squared difference, of choices 0 or 1."""
        difference = one[:, None, :] - other[None, :, :]
        return np.where(self.is_choice, difference != 0, difference**2)


def _to_number(distribution: BaseDistribution, value: Any) -> float:
    if isinstance(distribution, CategoricalDistribution):
        return float(distribution.to_internal_repr(value))
    low, high = _ends(distribution)
    x = np.log(value) if _is_log(distribution) else value
    return float(np.clip((x - low) / (high - low), 0, 1))


def _has(distribution: BaseDistribution, name: str, config: Mapping[str, Any]) -> bool:
    """Whether the configuration has a value for this hyperparameter that can be one of its values here."""
    return name in config and (
        not isinstance(distribution, CategoricalDistribution) or config[name] in distribution.choices
    )


def _from_number(distribution: BaseDistribution, x: float) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.to_external_repr(x)
    low, high = _ends(distribution)
    value = low + (high - low) * x
    value = np.exp(value) if _is_log(distribution) else value
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    if distribution.step is not None:
        value = distribution.low + np.round((value - distribution.low) / distribution.step) * distribution.step
    value = min(max(float(f"{value:.12g}"), distribution.low), distribution.high)  # 0.003, not 0.00299...
    return int(value) if isinstance(distribution, IntDistribution) else float(value)


def _ends(distribution: BaseDistribution) -> tuple[float, float]:
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    ends = float(distribution.low), float(distribution.high)
    return (float(np.log(ends[0])), float(np.log(ends[1]))) if distribution.log else ends


def _is_log(distribution: BaseDistribution) -> bool:
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return distribution.log
