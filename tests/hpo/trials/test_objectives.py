from __future__ import annotations

from hpo.trials.objectives import directions, values
from tests.helpers.records import record


def test_directions_and_values_are_in_the_order_of_the_names() -> None:
    trial = record(0, val_accuracy=0.5, parameters=7, wall_time_s=2.0)
    assert directions(["time", "accuracy"]) == ["minimize", "maximize"]
    assert values(["time", "accuracy", "parameters"], trial) == [2.0, 0.5, 7]
    assert values(["accuracy"], record(1)) == [None]


def test_a_metric_stands_there_as_its_score() -> None:
    trial = record(0, metric="log_loss", val_accuracy=0.5, val_score=-0.25, wall_time_s=2.0)
    assert directions(["log_loss", "time"]) == ["maximize", "minimize"]
    assert values(["log_loss", "time"], trial) == [-0.25, 2.0]
