"""The rows of a study's trials in SQLite or Postgres, in Optuna's own tables, as read in its version 5.0."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState


@dataclass(frozen=True)
class _Row:
    """What is in the database of a trial."""

    key: int
    state: TrialState
    parts: list[dict[Any, Any]]
    """What each of _PARTS has."""


class TrialRows:
    """Reads new trials, and writes what is new in trials, as many of them as there are in one transaction."""

    def __init__(self, database: RDBStorage, study_name: str) -> None:
        self.database, self.study_key = database, database.get_study_id_from_name(study_name)
        self._rows: dict[int, _Row] = {}  # by the numbers of trials
        self._numbers: dict[int, int] = {}  # by the keys of rows
        self._last_key = -1

    def key(self, number: int) -> int:
        """The key of a trial's row."""
        return self._rows[number].key

    def number(self, key: int) -> int:
        """The number of the trial that has this row."""
        return self._numbers[key]

    def read_new(self, changing: Collection[int] = ()) -> list[FrozenTrial]:
        """The trials that were neither read nor written here, in the order of their numbers, and those of `changing`
        that have another state or hyperparameters by now."""
        newer, changed = self._look([self.key(number) for number in changing])
        if not newer and not changed:
            return []
        found = self.database._get_trials(self.study_key, None, changed, self._last_key)
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

    def _look(self, changing: Sequence[int]) -> tuple[bool, set[int]]:
        """Whether there are rows after the last one known, and those of `changing` that differ from what is known."""
        from sqlalchemy import or_, select

        row = _table("TrialModel").c
        wanted = or_(row.trial_id > self._last_key, row.trial_id.in_(changing))
        query = select(row.trial_id, row.state).where(row.study_id == self.study_key, wanted)
        with self._transaction() as connection:
            found = {key: state for key, state in connection.execute(query) if not self._is_as_known(key, state)}
        return any(key > self._last_key for key in found), {key for key in found if key <= self._last_key}

    def _is_as_known(self, key: int, state: TrialState) -> bool:
        row = self._rows.get(self._numbers.get(key, -1))
        # Without hyperparameters it is one that another process asks for just now.
        return row is not None and row.state == state and bool(row.parts[0])

    def _remember(self, key: int, trial: FrozenTrial) -> None:
        # Copies: Optuna changes the trials that it hands out.
        self._rows[trial.number] = _Row(key, trial.state, [dict(part.of(trial)) for part in _PARTS])
        self._numbers[key] = trial.number
        self._last_key = max(self._last_key, key)

    def _write(self, connection: Any, trial: FrozenTrial) -> int:
        """Writes what is new of one trial; returns the key of its row."""
        row = self._rows.get(trial.number)
        key = self._write_trial(connection, row.key if row else None, trial)
        for part, there in zip(_PARTS, row.parts if row else [{}] * len(_PARTS), strict=True):
            new = {name: value for name, value in part.of(trial).items() if name not in there or there[name] != value}
            if new:
                rows = [{"trial_id": key, **part.row(trial, name, value)} for name, value in new.items()]
                self._replace(connection, part, rows)
        return key

    def _replace(self, connection: Any, part: _Part, rows: list[dict[str, Any]]) -> None:
        """Inserts rows, in place of those of the same name. A transaction may be repeated: one that was cut off may
        have reached the database."""
        insert = import_module(f"sqlalchemy.dialects.{self.database.engine.name}").insert(_table(part.model))
        values = {column: insert.excluded[column] for column in rows[0] if column not in ("trial_id", part.name)}
        connection.execute(insert.on_conflict_do_update(index_elements=["trial_id", part.name], set_=values), rows)

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
    name: str
    """The column that names it within the trial."""
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
    _Part("TrialParamModel", "param_name", lambda trial: trial.params, _parameter),
    _Part("TrialUserAttributeModel", "key", lambda trial: trial.user_attrs, _attribute),
    _Part("TrialSystemAttributeModel", "key", lambda trial: trial.system_attrs, _attribute),
    _Part("TrialValueModel", "objective", lambda trial: dict(enumerate(trial.values or ())), _value),
    _Part("TrialIntermediateValueModel", "step", lambda trial: trial.intermediate_values, _intermediate_value),
)


def _model(name: str) -> Any:
    return getattr(import_module("optuna.storages._rdb.models"), name)


def _table(name: str) -> Any:
    return _model(name).__table__
