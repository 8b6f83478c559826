"""The objectives of a study: the validation accuracy, or several at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# By name: Optuna's direction, and the column of trials.csv with the value.
OBJECTIVES = {
    "accuracy": ("maximize", "val_accuracy"),
    "parameters": ("minimize", "parameters"),
    "time": ("minimize", "wall_time_s"),
}
SEVERAL = ("auto", "tpe", "nsgaii", "random")  # the samplers for more than one objective


def directions(names: Sequence[str]) -> list[str]:
    """Optuna's directions, in the order of the names."""
    return [OBJECTIVES[name][0] for name in names]


def values(names: Sequence[str], row: Mapping[str, Any]) -> list[float | None]:
    """A finished trial's values, in the order of the names; `row` has the columns of trials.csv."""
    return [row.get(OBJECTIVES[name][1]) for name in names]
