"""Trials that the journal has lost, recovered from the database and the tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from hpo.session.recovery import RecoverySource, recovered_trials
from hpo.store import run_folder
from hpo.store.csv_tables import curves_frame, trials_frame
from hpo.store.run_folder import RunFolder
from hpo.trials.ranking import rank
from hpo.trials.records import TrialRecord, TrialState
from tests.helpers.records import record

SPACE = {"lr": FloatDistribution(1e-4, 1.0), "activation": CategoricalDistribution(["relu", "tanh"])}
CONFIG = {"lr": 0.125, "activation": "tanh"}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = run_folder.create(tmp_path, "a", {"spec": {}})
    made.unlock()
    return made


def trial(number: int, state: OptunaState, values: dict[int, float], **changes: Any) -> FrozenTrial:
    made = optuna.trial.create_trial(
        state=state, params=CONFIG, distributions=SPACE, intermediate_values=values, **changes
    )
    made.number = number
    return made


def source(trials: Sequence[FrozenTrial] | None) -> RecoverySource:
    return RecoverySource(
        model="cnn", parameters=10, dataset="digits", precision="float32", seed=5, distributions=SPACE, trials=trials
    )


def measured() -> TrialRecord:
    curve = [
        {"epoch": n, "train_loss": 1.0, "train_accuracy": 0.5, "val_loss": 1.0, "val_accuracy": n / 4, "train_s": 1.0,
         "eval_s": 0.5, "images": 9.0}
        for n in (1, 2)
    ]  # fmt: skip
    return record(0, config=CONFIG, val_accuracy=0.5, epochs=2, best_epoch=2, curve=curve, train_s=2.0, share_s=2.0)


def test_the_tables_have_all_of_a_trial(folder: RunFolder) -> None:
    lost = measured()
    folder.trials_csv.write_text(trials_frame(rank([lost])).to_csv(index=False))
    folder.curves_csv.write_text(curves_frame([lost]).to_csv(index=False))
    assert list(recovered_trials(folder, source(None), set())) == [lost]
    assert list(recovered_trials(folder, source(None), {"cnn-0000"})) == []


def test_the_database_has_the_accuracy_and_the_state(folder: RunFolder) -> None:
    trials = [
        trial(0, OptunaState.COMPLETE, {1: 0.25, 2: 0.5}, value=0.5),
        trial(1, OptunaState.PRUNED, {1: 0.25}),
        trial(2, OptunaState.PRUNED, {}),
        trial(3, OptunaState.RUNNING, {1: 0.25}),
    ]
    found = list(recovered_trials(folder, source(trials), set()))
    assert [each.state for each in found] == [TrialState.COMPLETED, TrialState.STOPPED, TrialState.DIVERGED]
    assert [each.val_accuracy for each in found] == [0.5, 0.25, None] and [each.seed for each in found] == [5, 6, 7]
    assert found[0].config == CONFIG and found[0].epochs == 2 and "recovered from study.db" in found[0].error


@pytest.mark.parametrize("changed", [{"lr": 7.0}, {"activation": "gelu"}, {"model": "mlp"}, {"epochs": "x"}])
def test_a_row_that_does_not_fit_is_left_out(changed: dict[str, Any], folder: RunFolder) -> None:
    frame = trials_frame(rank([measured()])).astype(object)
    for key, value in changed.items():
        frame[key] = value
    folder.trials_csv.write_text(frame.to_csv(index=False))
    assert list(recovered_trials(folder, source(None), set())) == []
