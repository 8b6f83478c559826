"""The rows of a study's trials in a SQLite database, in Optuna's own tables, as read in its version 5.0."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial


class TrialRows:
    """Reads new trials, and writes what is new in trials, as many of them as there are in one transaction."""

    def __init__(self, database: RDBStorage, study_name: str) -> None:
        self.database, self.study_key = database, database.get_study_id_from_name(study_name)
        self._keys: dict[int, int] = {}  # of the rows, by the numbers of trials
        self._there: dict[int, list[dict[Any, Any]]] = {}  # what each of _PARTS has, by the numbers of trials
        self._last_key = -1

    def read_new(self) -> list[FrozenTrial]:
        """The trials that were neither read nor written here, in the order of their numbers."""
        if not self._has_new():
            return []
        found = self.database._get_trials(self.study_key, None, set(), self._last_key)
        for trial in found:
            self._remember(trial._trial_id, trial)
        return sorted(found, key=lambda trial: trial.number)

    def write(self, trials: Sequence[FrozenTrial]) -> None:
        """Writes what is not there yet. Raises StorageInternalError where the database does not take it: nothing is
        written then."""
        with self._transaction() as connection:
            keys = [self._write(connection, trial) for trial in trials]
        for key, trial in zip(keys, trials, strict=True):
            self._remember(key, trial)

    def _has_new(self) -> bool:
        from sqlalchemy import select

        row = _table("TrialModel").c
        newer = select(row.trial_id).where(row.study_id == self.study_key, row.trial_id > self._last_key).limit(1)
        with self._transaction() as connection:
            return connection.execute(newer).first() is not None

    def _remember(self, key: int, trial: FrozenTrial) -> None:
        # Copies: Optuna changes the trials that it hands out.
        self._keys[trial.number], self._there[trial.number] = key, [dict(part.of(trial)) for part in _PARTS]
        self._last_key = max(self._last_key, key)

    def _write(self, connection: Any, trial: FrozenTrial) -> int:
        """Writes what is new of one trial; returns the key of its row."""
        from sqlalchemy import insert

        key = self._write_trial(connection, self._keys.get(trial.number), trial)
        for part, there in zip(_PARTS, self._there.get(trial.number, [{}] * len(_PARTS)), strict=True):
            new = {name: value for name, value in part.of(trial).items() if name not in there or there[name] != value}
            if new:
                rows = [{"trial_id": key, **part.row(trial, name, value)} for name, value in new.items()]
                connection.execute(insert(_table(part.model)).prefix_with("OR REPLACE"), rows)
        return key

    def _write_trial(self, connection: Any, key: int | None, trial: FrozenTrial) -> int:
        """Inserts or changes the row itself; returns its key."""
        from sqlalchemy import insert, update

        row = _model("TrialModel")(number=trial.number, study_id=self.study_key, state=trial.state)
        row.datetime_start, row.datetime_complete = trial.datetime_start, trial.datetime_complete
        attributes = row.__mapper__.column_attrs
        columns = {a.columns[0].name: getattr(row, a.key) for a in attributes if a.key != "trial_id"}
        table = _table("TrialModel")
        if key is None:
            return int(connection.execute(insert(table).values(columns)).inserted_primary_key[0])
        connection.execute(update(table).where(table.c.trial_id == key).values(columns))
        return key

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self.database.engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StorageInternalError("the study's database did not take a transaction") from error


@dataclass(frozen=True)
class _Part:
    """One of the tables that hold what a trial consists of."""

    model: str
    of: Callable[[FrozenTrial], Mapping[Any, Any]]
    """What of the trial is in there, by its name within the trial."""
    row: Callable[[FrozenTrial, Any, Any], dict[str, Any]]
    """The columns of one of these."""


def _parameter(trial: FrozenTrial, name: str, value: Any) -> dict[str, Any]:
    space = trial.distributions[name]
    stored = space.to_internal_repr(value)
    return {"param_name": name, "param_value": stored, "distribution_json": distribution_to_json(space)}


def _attribute(_: FrozenTrial, name: str, value: Any) -> dict[str, Any]:
    return {"key": name, "value_json": json.dumps(value)}


def _value(_: FrozenTrial, objective: int, value: float) -> dict[str, Any]:
    stored, kind = _model("TrialValueModel").value_to_stored_repr(value)
    return {"objective": objective, "value": stored, "value_type": kind}


def _intermediate_value(_: FrozenTrial, step: int, value: float) -> dict[str, Any]:
    stored, kind = _model("TrialIntermediateValueModel").intermediate_value_to_stored_repr(value)
    return {"step": step, "intermediate_value": stored, "intermediate_value_type": kind}


_PARTS = (
    _Part("TrialParamModel", lambda trial: trial.params, _parameter),
    _Part("TrialUserAttributeModel", lambda trial: trial.user_attrs, _attribute),
    _Part("TrialSystemAttributeModel", lambda trial: trial.system_attrs, _attribute),
    _Part("TrialValueModel", lambda trial: dict(enumerate(trial.values or ())), _value),
    _Part("TrialIntermediateValueModel", lambda trial: trial.intermediate_values, _intermediate_value),
)


def _model(name: str) -> Any:
    return getattr(import_module("optuna.storages._rdb.models"), name)


def _table(name: str) -> Any:
    return _model(name).__table__
