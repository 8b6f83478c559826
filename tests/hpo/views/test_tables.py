from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.table import Table

from hpo.trials.finalists import Finalist, order
from hpo.trials.ranking import rank
from hpo.views.tables import best_table, finals_table
from tests.helpers.records import record


def lines(table: Table) -> list[str]:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


def test_the_best_trials_with_their_configuration() -> None:
    config = {"lr": 0.0012345, "activation": "relu", "batch_size": 64}
    records = [record(0, val_accuracy=0.5, parameters=44_426, wall_time_s=1.25, epochs=3, config=config), record(1)]
    head, first, second = lines(best_table(rank(records)))
    assert head.split() == ["rank", "trial", "val", "acc", "parameters", "time", "epochs", "state", "configuration"]
    assert first.split() == [
        "1*",
        "cnn-0000",
        "0.5000",
        "44,426",
        "1.2",
        "s",
        "3",
        "completed",
        "lr=0.00123",
        "relu",
        "batch_size=64",
    ]
    assert second.split()[:3] == ["2", "cnn-0001", "-"]
    assert len(lines(best_table(rank(records), top=1))) == 2


def finalist(number: int, wrong: int) -> Finalist:
    right = np.ones((3, 1000), dtype=bool)
    right[:, :wrong] = False
    return Finalist(record(number, val_accuracy=0.95), (1, 2, 3), right)


def test_finalists_that_are_tied_have_a_mark() -> None:
    _, first, second, third = lines(finals_table(order([finalist(0, 10), finalist(1, 10), finalist(2, 500)])))
    assert first.split()[:3] == ["1=", "cnn-0000", "0.9900"] and "-0.0400" in first
    assert second.split()[0] == "2=" and third.split()[0] == "3"
    assert lines(finals_table([finalist(0, 10)]))[1].split()[0] == "1"
