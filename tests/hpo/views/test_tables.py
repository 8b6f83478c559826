from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console, RenderableType

from hpo.trials.finalists import Finalist, order
from hpo.trials.ranking import rank
from hpo.trials.records import TrialRecord
from hpo.views.tables import best_table, differing_keys, finals_table, shared_config, shared_line
from tests.helpers.records import record

CONSOLE = Console(width=120)
COMMON = {"optimizer": "adamw", "weight_decay": 0.01, "schedule": "linear"}


def lines(table: RenderableType, console: Console = CONSOLE) -> list[str]:
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


def trials(**differing: Sequence[Any]) -> list[TrialRecord]:
    """Trials that differ in these hyperparameters."""
    values = zip(*differing.values(), strict=True)
    configs = [{**dict(zip(differing, one, strict=True)), **COMMON} for one in values]
    return [
        record(n, val_accuracy=0.9 - n / 10, parameters=44_426, wall_time_s=1.25, epochs=3, config=config)
        for n, config in enumerate(configs)
    ]


def test_trials_have_a_column_for_each_hyperparameter_in_which_they_differ() -> None:
    records = trials(lr=(0.0012345, 0.1), activation=("relu", "gelu"), batch_size=(64, 128))
    above, head, first, second = lines(best_table(rank(records), CONSOLE))
    assert above.split() == ["batch"]
    assert head.split() == ["rank", "trial", "val", "acc", "time", "epochs", "state", "lr", "activation", "size"]
    assert first.split() == ["1*", "cnn-0000", "0.9000", "1.2", "s", "3", "completed", "0.00123", "relu", "64"]
    assert second.split()[-3:] == ["0.1", "gelu", "128"]
    assert len(lines(best_table(rank(records), CONSOLE, top=1))) == 3


def test_what_trials_have_in_common_is_said_once() -> None:
    records = trials(lr=(0.1, 0.2))
    assert shared_line(records) == (
        "All trials: 44,426 parameters, optimizer adamw, weight decay 0.01, schedule linear"
    )  # fmt: skip
    assert shared_config(records) == COMMON and differing_keys(records) == ["lr"]
    others = [*records, record(7, config={"lr": 0.1, "dropout": 0.5, "schedule": "linear"})]
    assert shared_line(others) == "All trials: schedule linear"
    assert differing_keys(others) == ["lr", "optimizer", "weight_decay", "dropout"]
    assert lines(best_table(rank(others), CONSOLE))[-1].split()[-4:] == ["0.1", "-", "-", "0.5"]


def test_a_single_trial_has_all_its_hyperparameters() -> None:
    (one,) = trials(lr=(0.1,))
    assert shared_line([one]) == "" and differing_keys([one]) == ["lr", *COMMON]
    assert "44,426" in lines(best_table(rank([one]), CONSOLE))[-1]


def test_on_a_narrow_terminal_each_trial_has_its_hyperparameters_on_a_line_of_their_own() -> None:
    narrow = Console(width=80)
    records = trials(lr=(0.1, 0.2), dropout=(0.5, 0.25), augment=("shift", "none"), label_smoothing=(0.1, 0.0))
    head, first, config, second, _ = lines(best_table(rank(records), narrow), narrow)
    assert head.split()[-1] == "state" and first.split()[0] == "1*" and second.split()[0] == "2"
    assert config == "      lr=0.1 dropout=0.5 shift label_smoothing=0.1"
    assert len(lines(best_table(rank(records), narrow, top=1), narrow)) == 3
    wide = lines(best_table(rank(records), CONSOLE))
    assert wide[-1].split()[-4:] == ["0.2", "0.25", "none", "0"] and len(wide) == 4


def test_a_long_configuration_is_wrapped_at_words() -> None:
    narrow = Console(width=60)
    names = {f"a_long_name_of_number_{n}": (n, n + 1) for n in range(5)}
    _, _, *config = lines(best_table(rank(trials(**names)), narrow, top=1), narrow)
    assert len(config) == 3 and all(line.startswith("      a_long_name_of_number_") for line in config)


def finalist(number: int, wrong: int) -> Finalist:
    right = np.ones((3, 1000), dtype=bool)
    right[:, :wrong] = False
    return Finalist(record(number, val_accuracy=0.95), (1, 2, 3), right)


def test_finalists_that_are_tied_have_a_mark() -> None:
    _, first, second, third = lines(finals_table(order([finalist(0, 10), finalist(1, 10), finalist(2, 500)])))
    assert first.split()[:3] == ["1=", "cnn-0000", "0.9900"] and "-0.0400" in first
    assert second.split()[0] == "2=" and third.split()[0] == "3"
    assert lines(finals_table([finalist(0, 10)]))[1].split()[0] == "1"
    assert lines(finals_table(order([finalist(0, 10), finalist(1, 500)])))[1].split()[0] == "1"  # there is no tie
