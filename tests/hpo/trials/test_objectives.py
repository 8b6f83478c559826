from __future__ import annotations

from hpo.trials.objectives import OBJECTIVES, directions, values
from hpo.trials.records import columns, to_row
from tests.helpers.records import record


def test_directions_and_values_are_in_the_order_of_the_names() -> None:
    row = to_row(record(0, val_accuracy=0.5, parameters=7, wall_time_s=2.0), 1, True)
    assert directions(["time", "accuracy"]) == ["minimize", "maximize"]
    assert values(["time", "accuracy", "parameters"], row) == [2.0, 0.5, 7]
    assert values(["accuracy"], to_row(record(1), 1, False)) == [None]


def test_every_objective_is_a_column() -> None:
    assert {column for _, column in OBJECTIVES.values()} <= set(columns(set()))
