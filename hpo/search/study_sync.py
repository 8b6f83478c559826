"""An Optuna study made to agree with what became of its trials, after a driver or a database was lost too."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from hpo.store.database.optuna_private import make_wait, trial_key, waiting_trial
from hpo.trials.objectives import values
from hpo.trials.records import TrialRecord, TrialState, make_trial_id

DRIVER = "podium_run"  # a trial's attribute
Value = float | list[float | None] | None


def tell(study: optuna.Study, number: int, state: TrialState, value: Value) -> None:
    """Tells the study a trial's end.

    completed with its best value, or values. stopped and diverged are pruned: told as failed, TPE would ignore a
    diverging region and keep sampling it. failed, a fault that is not the configuration's, is ignored; with several
    objectives, for which Optuna knows no pruned trials, all that are not completed are.
    """
    if state == TrialState.COMPLETED:
        study.tell(number, value, skip_if_finished=True)  # type: ignore[arg-type]
    else:
        told = OptunaState.FAIL if state == TrialState.FAILED else rejected(study)
        study.tell(number, state=told, skip_if_finished=True)


def rejected(study: optuna.Study) -> OptunaState:
    """A state for configurations that are no good."""
    return OptunaState.PRUNED if len(study.directions) == 1 else OptunaState.FAIL


def restore(
    study: optuna.Study,
    records: Mapping[str, TrialRecord],
    distributions: dict[str, BaseDistribution],
    objective: Sequence[str] = ("accuracy",),
    cut_short: Mapping[str, dict[str, Any]] | None = None,
) -> None:
    """Adds the trials that the study does not know, where a database was lost or is behind: their numbers would be
    given out again otherwise.

    records: `TrialRecord`s by trial id. cut_short: the configurations of trials that were interrupted, by trial id, as
    far as they are known. These and all that are in neither wait, to be handed out again under their numbers. A trial
    whose space was another one is added as failed.
    """
    numbers = {_number(name): record for name, record in records.items()}
    waiting = {_number(name): params for name, params in (cut_short or {}).items()}
    for number in range(len(study.get_trials(deepcopy=False)), max((*numbers, *waiting), default=-1) + 1):
        record = numbers.get(number)
        known = _as_known(study, record, distributions, objective) if record else None
        study.add_trial(known or waiting_trial(waiting.get(number, {})))


def _as_known(
    study: optuna.Study, record: TrialRecord, distributions: dict[str, BaseDistribution], objective: Sequence[str]
) -> FrozenTrial:
    """The trial of a record as the study would have it."""
    if set(record.config) != set(distributions) or record.state == TrialState.FAILED:
        return create_trial(state=OptunaState.FAIL)
    done = record.state == TrialState.COMPLETED
    told = values(objective, record)
    curve = record.scores if len(objective) == 1 else {}
    return create_trial(
        state=OptunaState.COMPLETE if done else rejected(study),
        values=told if done else None,  # type: ignore[arg-type]
        params=record.config,
        distributions=distributions,
        intermediate_values={k: v for k, v in curve.items() if v is not None and math.isfinite(v)},
    )


def _number(name: str) -> int:
    return int(name.rpartition("-")[2])


def trial_id(study: optuna.Study, number: int) -> str:
    """ "cnn-0007": the study's name, without the run's where it stands before it, and the trial's number."""
    return make_trial_id(study.study_name, number)


def drop_orphans(study: optuna.Study, age_s: float) -> None:
    """Fails the running trials without a configuration (in a shared study, without a driver): what is left of an `ask`
    that the storage did not survive. One younger than `age_s` may be what another driver asks for just now."""
    for trial in unfinished(study):
        old = datetime.now() - (trial.datetime_start or datetime.min) >= timedelta(seconds=age_s)
        unclaimed = not trial.params or (age_s > 0 and DRIVER not in trial.user_attrs)
        if trial.state == OptunaState.RUNNING and unclaimed and old:
            study.tell(trial.number, state=OptunaState.FAIL, skip_if_finished=True)


def reconcile(study: optuna.Study, finished: Mapping[str, tuple[TrialState, Value]], driver: str | None = None) -> None:
    """Makes the study agree with the journal after a driver was killed.

    finished: trial id to (state, value) of every journaled row. A running trial that is in there is told;
    any other waits to be asked for again. driver: leaves the trials of all others alone.
    """
    for trial in unfinished(study):
        if driver and trial.user_attrs.get(DRIVER) != driver:
            continue
        row = finished.get(trial_id(study, trial.number))
        if row is not None:
            tell(study, trial.number, *row)
        elif trial.state == OptunaState.RUNNING:
            make_wait(study, trial_key(trial))


def unfinished(study: optuna.Study) -> Iterable[FrozenTrial]:
    """Trials of the study that are running or waiting."""
    return [trial for trial in study.get_trials(deepcopy=False) if not trial.state.is_finished()]
