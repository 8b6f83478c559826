"""A run's files made to agree before it goes on: what one has lost, another one still has.

The journal is believed first. What it lost is brought back from study.db and trials.csv, and a study.db that is
malformed is made again from the journal. Nothing is thrown away: what is damaged is set aside, beside the file.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial

from hpo.search.study_sync import DRIVER, restore
from hpo.session.recovery import RecoverySource, recovered_trials
from hpo.spec.plan import ModelPlan, Plan, study_name
from hpo.store.checkpoints import Checkpoints
from hpo.store.database.study_db import close_storage, is_sound, open_storage, open_study, quiet_optuna
from hpo.store.journal import Journal, scan, set_aside
from hpo.store.run_folder import RunFolder
from hpo.store.stored_run import read_records
from hpo.trials.metric import label
from hpo.trials.objectives import directions
from hpo.trials.records import TrialRecord, make_trial_id

logger = logging.getLogger(__name__)


def mend(plan: Plan, folder: RunFolder, checkpoints: Checkpoints) -> tuple[str, ...]:
    """Makes the journal and the studies whole; returns what was done, in words. Raises OSError where the disk does not
    take it, optuna's StorageInternalError or sqlalchemy's SQLAlchemyError where a database does not."""
    done = _mend_database(folder.study_db)
    with quiet_optuna():
        own = open_storage(f"sqlite:///{folder.study_db}") if plan.storage is None else None
        storage = plan.storage or own
        assert storage is not None
        try:
            lost = [_lost(plan, model, _trials(storage, plan, model, folder)) for model in plan.models]
            done += _mend_journal(folder, lost)
            _mend_studies(storage, plan, folder, checkpoints)
        finally:
            if own is not None:
                close_storage(own)
    for words in done:
        logger.warning("%s", words)
    return done


def _mend_database(path: Path) -> tuple[str, ...]:
    if not path.exists() or is_sound(path):
        return ()
    aside = _free(path.with_name(f"{path.name}.damaged"))
    for suffix in ("-wal", "-shm", ""):
        if (part := path.with_name(path.name + suffix)).exists():
            os.rename(part, aside.with_name(aside.name + suffix))
    return (f"{path.name} is malformed: set aside as {aside.name}, and made again from trials.jsonl",)


def _mend_journal(folder: RunFolder, studies: list[RecoverySource]) -> tuple[str, ...]:
    Journal(folder.journal).close()  # cuts a torn line off
    found = scan(folder.journal, TrialRecord.from_dict)
    aside = set_aside(folder.journal, found)
    known = {entry["trial_id"] for entry in found.entries}
    brought = [record for lost in studies for record in recovered_trials(folder, lost, known)]
    journal = Journal(folder.journal)
    for record in brought:
        journal.append(record.to_dict())
    journal.close()
    lines, trials = _count(len(found.damaged), "damaged line"), _count(len(brought), "trial")
    done = (f"trials.jsonl: {lines} set aside in {aside.name}",) if aside else ()
    return (*done, f"trials.jsonl: {trials} brought back from study.db and trials.csv") if brought else done


def _mend_studies(storage: RDBStorage, plan: Plan, folder: RunFolder, checkpoints: Checkpoints) -> None:
    """Adds the trials that a study has lost. One that other drivers work on is theirs too, and stays as it is."""
    spec = plan.spec.search
    records = read_records(folder.journal) if spec.study is None else []
    for model in plan.models if spec.study is None else ():
        known = {record.trial_id: record for record in records if record.model == model.name}
        name = study_name(plan, model, folder.path.name)
        study = open_study(storage, name, resume=True, directions=directions(spec.objective))
        there = len(study.get_trials(deepcopy=False))
        cut_short = _cut_short(model, there, known, checkpoints)
        restore(study, known, model.space.distributions, spec.objective, cut_short)


def _cut_short(
    model: ModelPlan, there: int, done: Mapping[str, TrialRecord], checkpoints: Checkpoints
) -> dict[str, dict[str, Any]]:
    """Configurations of interrupted trials that the study, which has so many trials, has lost, by trial id: those in
    their checkpoints, and of the first trial the default one. A checkpoint that says of none is removed: its trial will
    have another."""
    lost = {make_trial_id(model.name, 0): dict(model.space.default)} if done and there == 0 else {}
    for name in checkpoints.newest():
        number = name.rpartition("-")[2]
        is_its_own = number.isdigit() and name == make_trial_id(model.name, int(number))
        if not is_its_own or int(number) < there or name in done:
            continue
        state, _ = checkpoints.load(name)
        if state and set(state.get("params", ())) == set(model.space.distributions):
            lost[name] = state["params"]
        else:
            checkpoints.remove(name)
    return lost


def _trials(storage: RDBStorage, plan: Plan, model: ModelPlan, folder: RunFolder) -> list[FrozenTrial] | None:
    """The trials of the architecture's study that are this run's; None where there is no study."""
    name = study_name(plan, model, folder.path.name)
    if name not in optuna.get_all_study_names(storage):
        return None
    trials = optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
    shared, run = plan.spec.search.study is not None, folder.run_id
    return [trial for trial in trials if not shared or trial.user_attrs.get(DRIVER) == run]


def _lost(plan: Plan, model: ModelPlan, trials: list[FrozenTrial] | None) -> RecoverySource:
    search = plan.spec.search
    return RecoverySource(
        model=model.name,
        parameters=model.parameters,
        dataset=plan.dataset.name,
        precision=model.precision,
        seed=search.seed,
        distributions=model.space.distributions,
        trials=trials,
        metric=search.metric,
        score_at=search.objective.index(label(search.metric)),
        rejects=search.max_parameters is not None,
    )


def _free(path: Path) -> Path:
    names = [path, *(path.with_name(f"{path.name}-{n}") for n in range(2, 100))]
    return next(name for name in names if not name.exists())


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"
