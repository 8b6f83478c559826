"""A study read from memory and written in few transactions: its database says the same, at every moment that counts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from hpo.store.database import own_study
from hpo.store.database.optuna_private import make_wait, trial_key
from hpo.store.database.own_study import read_into_memory, save
from hpo.store.database.study_db import close_storage, open_storage, open_study

SPACE = {"lr": FloatDistribution(1e-4, 1e-1, log=True), "activation": CategoricalDistribution(["relu", "gelu"])}
SHOWN = ("number", "state", "params", "distributions", "values", "user_attrs", "system_attrs", "datetime_start")


@dataclass
class Both:
    """A study in memory, and its database."""

    database: RDBStorage
    study: optuna.Study
    path: Path

    def is_same(self) -> bool:
        """Whether another process would read the same trials."""
        there = optuna.load_study(study_name="cnn", storage=f"sqlite:///{self.path}").get_trials()
        return [shown(trial) for trial in self.study.get_trials()] == [shown(trial) for trial in there]


def shown(trial: optuna.trial.FrozenTrial) -> list[Any]:
    curve = {step: "nan" if math.isnan(value) else value for step, value in trial.intermediate_values.items()}
    return [*(getattr(trial, name) for name in SHOWN), trial.datetime_complete, curve]


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    path = tmp_path / "study.db"
    database = open_storage(f"sqlite:///{path}")
    study = open_study(database, "cnn", resume=False)
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    study.enqueue_trial({"lr": 0.01})
    yield Both(database, read_into_memory(study, database), path)
    close_storage(database)


def test_another_process_reads_the_same(both: Both) -> None:
    study = both.study
    first, second, third, fourth = (study.ask(fixed_distributions=SPACE) for _ in range(4))
    assert first.params["lr"] == 0.01  # it had waited in the database
    for trial, values in {first: (0.5, 0.75), second: (math.nan, math.inf), third: (-math.inf, 0.1)}.items():
        for step, value in enumerate(values):
            trial.report(value, step)
    third.set_user_attr("why", ["a", 1])
    study.tell(first, 0.75)
    study.tell(second, state=TrialState.PRUNED)
    study.tell(third, state=TrialState.FAIL)
    study.set_user_attr("of", "the study")
    assert both.is_same()
    fourth.report(0.5, 1)
    make_wait(study, trial_key(fourth))
    assert both.is_same()
    assert study.ask(fixed_distributions=SPACE).params == fourth.params and both.is_same()
    again = read_into_memory(optuna.load_study(study_name="cnn", storage=both.database), both.database)
    assert [shown(trial) for trial in again.get_trials()] == [shown(trial) for trial in study.get_trials()]
    assert again.user_attrs == {"of": "the study"} and again.best_trial.number == 0


def test_a_trial_takes_three_transactions(both: Both) -> None:
    from sqlalchemy import event

    both.study.tell(both.study.ask(fixed_distributions=SPACE), 0.5)
    commits: list[Any] = []
    event.listen(both.database.engine, "commit", commits.append)
    trial = both.study.ask(fixed_distributions=SPACE)
    save(both.study)
    assert both.is_same()
    for step in range(9):
        trial.report(0.1 * step, step)
    both.study.tell(trial, 0.8)
    assert len(commits) == 3  # has the database more trials, what was asked for, what came of it


def test_the_values_of_slow_epochs_are_written_as_they_come(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_study, "WRITE_AFTER_S", 0.0)
    trial = both.study.ask(fixed_distributions=SPACE)
    trial.report(0.5, 1)
    assert both.is_same()


def test_trials_that_others_add_are_taken_over(both: Both) -> None:
    both.study.ask(fixed_distributions=SPACE)
    optuna.load_study(study_name="cnn", storage=f"sqlite:///{both.path}").enqueue_trial({"lr": 0.02})
    assert both.study.ask(fixed_distributions=SPACE).params["lr"] == 0.02
    assert both.study.ask(fixed_distributions=SPACE).number == 2
    save(both.study)
    assert both.is_same()


def test_what_the_database_does_not_take_has_not_happened(both: Both) -> None:
    trial = both.study.ask(fixed_distributions=SPACE)
    save(both.study)
    with both.database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE trial_values RENAME TO elsewhere")
    with pytest.raises(StorageInternalError):
        both.study.tell(trial, 0.5)
    assert both.study.trials[0].state == TrialState.RUNNING
    with both.database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO trial_values")
    both.study.tell(trial, 0.5)
    assert both.is_same()
