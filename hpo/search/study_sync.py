"""An Optuna study made to agree with what became of its trials, after a driver or a database was lost too."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo.trials.objectives import values
from hpo.trials.records import make_trial_id

DRIVER = "podium_run"  # a trial's attribute
Value = float | list[float | None] | None


def tell(study: optuna.Study, number: int, state: str, value: Value) -> None:
    """Tells the study a lane's end.

    completed with its best value, or values. stopped and diverged are pruned: told as failed, TPE would ignore a
    diverging region and keep sampling it. failed, a fault that is not the configuration's, is ignored; with several
    objectives, for which Optuna knows no pruned trials, all that are not completed are.
    """
    if state == "completed":
        study.tell(number, value, skip_if_finished=True)  # type: ignore[arg-type]
    else:
        told = TrialState.FAIL if state == "failed" else rejected(study)
        study.tell(number, state=told, skip_if_finished=True)


def rejected(study: optuna.Study) -> TrialState:
    """A state for configurations that are no good."""
    return TrialState.PRUNED if len(study.directions) == 1 else TrialState.FAIL


def restore(
    study: optuna.Study,
    records: dict[str, Any],
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
        if record is None:
            fixed = {"fixed_params": waiting.get(number, {})}  # as Study.enqueue_trial has it
            study.add_trial(create_trial(state=TrialState.WAITING, system_attrs=fixed))
            continue
        if set(record.config) != set(distributions) or record.state.value == "failed":
            study.add_trial(create_trial(state=TrialState.FAIL))
            continue
        done = record.state.value == "completed"
        told = [record.val_accuracy] if len(objective) == 1 else values(objective, record.to_dict())
        curve = {epoch["epoch"]: epoch["val_accuracy"] for epoch in record.curve if len(objective) == 1}
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE if done else rejected(study),
                values=told if done else None,  # type: ignore[arg-type]
                params=record.config,
                distributions=distributions,
                intermediate_values={k: v for k, v in curve.items() if v is not None and math.isfinite(v)},
            )
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
        if trial.state == TrialState.RUNNING and unclaimed and old:
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def reconcile(study: optuna.Study, finished: dict[str, tuple[str, Value]], driver: str | None = None) -> None:
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
        elif trial.state == TrialState.RUNNING:
            make_wait(study, trial._trial_id)


def unfinished(study: optuna.Study) -> Iterable[FrozenTrial]:
    """Trials of the study that are running or waiting."""
    return [trial for trial in study.get_trials(deepcopy=False) if not trial.state.is_finished()]


def make_wait(study: optuna.Study, optuna_id: int) -> None:
    """Puts a running trial back to waiting: `ask` gives it out next, with the parameters it had."""
    study._storage.set_trial_state_values(optuna_id, state=TrialState.WAITING)
