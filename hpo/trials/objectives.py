"""The objectives of a study: its metric, or several at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

FURTHER = ("parameters", "time")  # beside the metric; less of them is better
SEVERAL = ("auto", "tpe", "nsgaii", "random")  # the samplers for more than one objective


class Measured(Protocol):
    """A trial, as far as objectives see it."""

    @property
    def score(self) -> float | None: ...
    @property
    def parameters(self) -> int | None: ...
    @property
    def wall_time_s(self) -> float: ...


def directions(names: Sequence[str]) -> list[str]:
    """Optuna's directions, in the order of the names. The study has the metric's score, of which more is better."""
    return ["minimize" if name in FURTHER else "maximize" for name in names]


def values(names: Sequence[str], trial: Measured) -> list[float | None]:
    """A finished trial's values, in the order of the names."""
    known = {"parameters": trial.parameters, "time": trial.wall_time_s}
    return [known.get(name, trial.score) for name in names]
