"""What a study optimizes: the validation accuracy, or several things at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# By name: Optuna's direction, and the column of a trial's row that has the value.
OBJECTIVES = {
    "accuracy": ("maximize", "val_accuracy"),
    "parameters": ("minimize", "parameters"),
    "time": ("minimize", "wall_time_s"),
}
SEVERAL = ("tpe", "nsgaii", "random")  # samplers for more than one


def directions(names: Sequence[str]) -> list[str]:
    """Optuna's, in the order of the names."""
    return [OBJECTIVES[name][0] for name in names]


def values(names: Sequence[str], row: Mapping[str, Any]) -> list[float | None]:
    """A finished trial's, in the order of the names; row: by the columns of trials.csv."""
    return [row.get(OBJECTIVES[name][1]) for name in names]
