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

from hpo.store.database import memory_study
from hpo.store.database.memory_study import read_into_memory, save
from hpo.store.database.optuna_private import make_wait, trial_key
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
    monkeypatch.setattr(memory_study, "WRITE_AFTER_S", 0.0)
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


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[optuna.Study, optuna.Study]]:
    """Two drivers of one study."""
    databases = [open_storage(f"sqlite:///{tmp_path}/shared.db") for _ in range(2)]
    studies = [open_study(database, "cnn", resume=number > 0) for number, database in enumerate(databases)]
    yield tuple(read_into_memory(*pair, is_shared=True) for pair in zip(studies, databases, strict=True))  # type: ignore[misc]
    for database in databases:
        close_storage(database)


def test_drivers_of_one_study_see_what_becomes_of_the_others_trials(two: tuple[optuna.Study, optuna.Study]) -> None:
    one, other = two
    trials = [study.ask(fixed_distributions=SPACE) for study in (one, other, one)]
    for study in two:
        save(study)
    assert [trial.number for trial in trials] == [0, 1, 2]
    for study in two:
        assert [trial.params for trial in study.get_trials()] == [trial.params for trial in trials]
    trials[0].report(0.5, 1)
    one.tell(trials[0], 0.5)
    other.tell(trials[1], state=TrialState.PRUNED)
    assert [shown(trial) for trial in one.get_trials()] == [shown(trial) for trial in other.get_trials()]
    assert other.best_trial.number == 0 and other.get_trials()[0].intermediate_values == {1: 0.5}
    assert [trial.state.name for trial in one.get_trials()] == ["COMPLETE", "PRUNED", "RUNNING"]


def test_a_trial_that_waits_is_given_to_one_driver_alone(two: tuple[optuna.Study, optuna.Study]) -> None:
    one, other = two
    given = one.ask(fixed_distributions=SPACE)
    save(one)
    assert other.get_trials()[0].state == TrialState.RUNNING
    make_wait(one, trial_key(given))
    again = other.ask(fixed_distributions=SPACE)
    assert (again.number, again.params) == (0, given.params)
    assert one.ask(fixed_distributions=SPACE).number == 1
    other.tell(again, 0.75)
    assert one.best_value == 0.75


def test_a_trial_is_told_once(two: tuple[optuna.Study, optuna.Study]) -> None:
    one, other = two
    trial = one.ask(fixed_distributions=SPACE)
    save(one)
    one.tell(trial, 0.5)
    other.tell(0, 0.9, skip_if_finished=True)
    assert one.best_value == other.best_value == 0.5


def test_a_database_whose_numbers_are_damaged_is_not_worked_on(both: Both) -> None:
    for _ in range(2):
        both.study.tell(both.study.ask(fixed_distributions=SPACE), 0.5)
    with both.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trials SET number = 0")
    damaged = optuna.load_study(study_name="cnn", storage=both.database)
    with pytest.raises(StorageInternalError, match="not numbered one by one: see trial 0"):
        read_into_memory(damaged, both.database)
