"""Studies that are read from memory, and written to their database in few transactions.

Optuna's own storage asks the database again for each hyperparameter, for each value of an epoch and for each list of
trials, which costs more than all else that a driver does for a trial.
"""

from __future__ import annotations

import time
from collections.abc import Container, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState

from hpo.store.database.trial_rows import TrialRows

WRITE_AFTER_S = 1.0  # so long the values of epochs may wait for their transaction


def read_into_memory(study: optuna.Study, database: RDBStorage, *, is_shared: bool = False) -> optuna.Study:
    """The study of a SQLite or a Postgres database as one that is read from memory; that of another one as it is.

    Each change of a trial's state is written before it counts. The hyperparameters of a new trial and the values of its
    epochs wait for the next such change, for a second or for `save`, whichever comes first. Trials that other processes
    add meanwhile are taken over. is_shared: other processes also train trials of this study; what became of these is
    looked up when the trials are read, but for the values of their epochs, which come with their end. Where the
    database does not take a trial, the study raises StorageInternalError, as Optuna's own storage does.
    """
    if database.engine.name not in ("sqlite", "postgresql"):
        return study
    kind = _SharedStudy if is_shared else _OwnStudy
    return optuna.load_study(study_name=study.study_name, storage=kind(database, study), sampler=study.sampler)


def save(study: optuna.Study) -> None:
    """Writes down what a study that was read into memory has not written yet; any other has written all."""
    if isinstance(study._storage, _OwnStudy):
        study._storage.write()


class _OwnStudy(InMemoryStorage):
    """A study in memory, and its rows in a database, to which this process alone writes. A trial's id in here is its
    number."""

    def __init__(self, database: RDBStorage, study: optuna.Study) -> None:
        super().__init__()
        self._rows = TrialRows(database, study.study_name)
        self._study_id = self.create_new_study(study.directions, study.study_name)
        self._changed: set[int] = set()
        self._written = time.monotonic()
        for key, value in study.user_attrs.items():
            super().set_study_user_attr(self._study_id, key, value)
        for key, value in database.get_study_system_attrs(self._rows.study_key).items():
            super().set_study_system_attr(self._study_id, key, value)
        self._take_over()

    def write(self) -> None:
        """Writes all that has changed."""
        self._written = time.monotonic()
        if self._changed:
            self._rows.write([self.get_trial(trial_id) for trial_id in sorted(self._changed)])
            self._changed.clear()

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self._rows.database.set_study_user_attr(self._rows.study_key, key, value)
        super().set_study_user_attr(study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._rows.database.set_study_system_attr(self._rows.study_key, key, value)
        super().set_study_system_attr(study_id, key, value)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        trial_id = super().create_new_trial(study_id, template_trial)
        self._changed.add(trial_id)
        if template_trial is not None:  # it is whole
            self.write()
        return trial_id

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        super().set_trial_param(trial_id, param_name, param_value_internal, distribution)
        self._changed.add(trial_id)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        super().set_trial_user_attr(trial_id, key, value)
        self._changed.add(trial_id)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        super().set_trial_system_attr(trial_id, key, value)
        self._changed.add(trial_id)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        super().set_trial_intermediate_value(trial_id, step, intermediate_value)
        self._changed.add(trial_id)
        if time.monotonic() - self._written >= WRITE_AFTER_S:
            self.write()

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        before = self.get_trial(trial_id)
        if not super().set_trial_state_values(trial_id, state, values):
            return False
        if state == TrialState.WAITING:
            self._find_waiting(before.number)
        self._changed.add(trial_id)
        try:
            self.write()
        except Exception:
            self._set_trial(trial_id, before)
            raise
        return True

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        if states == (TrialState.WAITING,):  # for the next trial
            self._take_over()
        return super().get_all_trials(study_id, deepcopy, states)

    def _take_over(self) -> None:
        """Adds the trials that the database has more of."""
        for trial in self._rows.read_new():
            self._add(trial)

    def _find_waiting(self, number: int) -> None:
        """Lets Optuna find a trial that waits again: it looks only behind the first one that waited when it last
        looked."""
        waiting = self._prev_waiting_trial_number
        waiting[self._study_id] = min(waiting[self._study_id], number)

    def _add(self, trial: FrozenTrial) -> None:
        if InMemoryStorage.create_new_trial(self, self._study_id, trial) != trial.number:
            raise StorageInternalError(f"the study's trials are not numbered one by one: see trial {trial.number}")


class _SharedStudy(_OwnStudy):
    """A study that other processes write to, too: the database numbers its trials, and knows what became of theirs."""

    def __init__(self, database: RDBStorage, study: optuna.Study) -> None:
        self._mine: set[int] = set()  # the trials that this process has been given, until it gives them back
        super().__init__(database, study)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        key = self._rows.database.create_new_trial(self._rows.study_key, template_trial)
        self._take_over()
        trial_id = self._rows.number(key)
        self._mine.add(trial_id)
        return trial_id

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        if trial_id in self._mine:
            done = super().set_trial_state_values(trial_id, state, values)
            if state == TrialState.WAITING:
                self._mine.discard(trial_id)
            return done
        # The database decides who has a trial that waited.
        done = self._rows.database.set_trial_state_values(self._rows.key(trial_id), state, values)
        self._take_over()
        if done and state == TrialState.RUNNING:
            self._mine.add(trial_id)
        return done

    def get_trial(self, trial_id: int) -> FrozenTrial:
        if trial_id not in self._mine:
            self._take_over()
        return super().get_trial(trial_id)

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        self._take_over()
        return super().get_best_trial(study_id)

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        if trial_number not in self._mine:
            self._take_over()
        return super().get_trial_id_from_study_id_trial_number(study_id, trial_number)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        self._take_over()
        return InMemoryStorage.get_all_trials(self, study_id, deepcopy, states)

    def _take_over(self) -> None:
        """Adds the trials that the database has more of, and what others have made of theirs."""
        known = InMemoryStorage.get_all_trials(self, self._study_id, deepcopy=False)
        others = [trial.number for trial in known if not trial.state.is_finished() and trial.number not in self._mine]
        for trial in self._rows.read_new(others):
            if trial.number < len(known):
                trial._trial_id = trial.number
                self._set_trial(trial.number, trial)
                self._update_cache(trial.number, self._study_id)
                if trial.state == TrialState.WAITING:
                    self._find_waiting(trial.number)
            else:
                self._add(trial)
