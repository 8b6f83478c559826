"""The search: one Tuner after another, an architecture each, over one Ray."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any
from zlib import crc32

import optuna
import ray
from optuna.exceptions import OptunaError
from ray import tune
from sqlalchemy.exc import SQLAlchemyError

from hpo.search.asking import Asker
from hpo.search.grouping import GroupMaker
from hpo.search.patience import Patience
from hpo.search.recorder import Recorder, ReportRecorder, SharedColumns
from hpo.search.samplers.choice import seed_sampler
from hpo.search.scheduler import InOrder
from hpo.search.searcher import StudySearcher
from hpo.search.study_sync import Value, reconcile
from hpo.search.telling import Teller
from hpo.search.tune_hooks import NoReporter, SearchStopper, WorkerCallback, environment_inherited
from hpo.search.worker_settings import MAX_WORKER_LOSSES, make_search_settings
from hpo.spec.plan import SHARED_ATTR, ModelPlan, Plan, shared_by_drivers, study_name
from hpo.spec.resources import ResourceSpec
from hpo.spec.spaces.parameter_budget import within_budget
from hpo.store.checkpoint_stores import CheckpointStorage, DriverStorage, FolderStorage
from hpo.store.checkpoints import Checkpoints
from hpo.store.csv_tables import LiveTrials
from hpo.store.database.memory_study import read_into_memory
from hpo.store.database.study_db import close_storage, create_or_open_shared, open_storage, open_study, quiet_optuna
from hpo.store.journal import Journal
from hpo.store.run_folder import RunFolder
from hpo.store.stored_run import read_records
from hpo.store.trackers import make_trackers
from hpo.system.text import describe_error
from hpo.trials.ladder import Ladder
from hpo.trials.messages import REQUEST, GroupRequest, TrialListener
from hpo.trials.objectives import directions, values
from hpo.trials.records import TrialRecord
from hpo.worker.trial import Trial

SERVER_PATIENCE_S = 30.0  # for a database server that does not answer
MAX_TUNERS_IN_A_ROW = 3  # that Ray ends before a trial is finished
DRIVER_SEEDS = 2**20  # so many seeds are shared among the drivers of a study; two of them rarely get the same one
logger = logging.getLogger(__name__)


class SearchFault(RuntimeError):
    """The search could not go on (its storage or its disk failed); what was finished is safe."""


@dataclass(frozen=True)
class _Search:
    """What every architecture's search of this run shares."""

    plan: Plan
    folder: RunFolder
    storage: optuna.storages.RDBStorage
    recorder: Recorder
    interrupted: threading.Event
    deadline: float
    resume: bool
    checkpoints: CheckpointStorage
    """As the workers see it."""
    data: ray.ObjectRef[Any]
    """The data set's arrays: in the object store once, and mapped by the workers without a copy."""


def run_search(
    plan: Plan,
    folder: RunFolder,
    checkpoints: Checkpoints,
    listeners: Sequence[TrialListener],
    interrupted: threading.Event,
) -> list[TrialRecord]:
    """Runs, or goes on with, the planned trials; returns a record of every finished one.

    Ends early, with what is finished, when `interrupted` is set or the time budget is over. Raises
    SearchFault if the storage or the disk fails for good.
    """
    output, journal = plan.spec.output, Journal(folder.journal)
    trackers = make_trackers(folder.path, tensorboard=output.tensorboard, mlflow=output.mlflow)
    with quiet_optuna():
        search = _make_search(plan, folder, checkpoints, journal, [*listeners, *trackers], interrupted)
        try:
            _search_all(search)
        finally:
            for tracker in trackers:
                tracker.close()
            journal.close()
            close_storage(search.storage)
    return search.recorder.records


def _make_search(
    plan: Plan,
    folder: RunFolder,
    checkpoints: Checkpoints,
    journal: Journal,
    listeners: Sequence[TrialListener],
    interrupted: threading.Event,
) -> _Search:
    records = read_records(folder.journal)
    table = LiveTrials(folder.trials_csv, records, plan.rank_by)
    return _Search(
        plan=plan,
        folder=folder,
        storage=plan.storage or open_storage(f"sqlite:///{folder.study_db}"),
        recorder=Recorder(records, journal, checkpoints, [table, *listeners], plan.rank_by),
        interrupted=interrupted,
        deadline=time.time() + plan.spec.search.budget_s,
        resume=plan.spec.output.resume is not None,
        checkpoints=for_workers(checkpoints.storage, plan.spec.resources.address is not None),
        data=ray.put(plan.dataset.training.to_arrays(is_same_disk=plan.is_on_this_machine)),
    )


def _search_all(search: _Search) -> None:
    """Searches one architecture after another. Raises SearchFault as run_search does."""
    try:
        for model in search.plan.models:
            if not search.interrupted.is_set():
                _search_model(search, model)
    except (OptunaError, SQLAlchemyError) as error:
        logger.exception("the storage failed")
        raise _fault(error) from error


def for_workers(storage: CheckpointStorage, is_cluster: bool) -> CheckpointStorage:
    """The storage as workers see it: the driver's own folder is out of sight for other nodes, those that are to join
    included, and what they write there goes through the driver."""
    several = is_cluster or sum(node["Alive"] for node in ray.nodes()) > 1  # type: ignore[no-untyped-call]
    return DriverStorage(storage) if several and isinstance(storage, FolderStorage) and not storage.shared else storage


def _search_model(search: _Search, model: ModelPlan) -> None:
    """Tunes one architecture. A Tuner that Ray ends (a node was lost at a bad moment, say) is followed by another
    one, which goes on with what is missing as a resumed run does."""
    left, resume = MAX_TUNERS_IN_A_ROW, search.resume
    while left and not search.interrupted.is_set():
        before = len(search.recorder.records)
        lost = _tune(search, model, resume)
        if lost is None:
            return
        logger.error("Tune ended by itself", exc_info=lost)
        left = MAX_TUNERS_IN_A_ROW if len(search.recorder.records) > before else left - 1
        if not left or not ray.is_initialized():
            raise _fault(lost) from lost
        resume = True


def _tune(search: _Search, model: ModelPlan, resume: bool) -> Exception | None:
    """One Tuner over the trials of an architecture that are missing; returns what ended it before its time, if
    anything did. Raises SearchFault where the storage or the disk fails."""
    spec = search.plan.spec.search
    done = [record for record in search.recorder.records if record.model == model.name]
    study = _open_study(search, model, done, resume)
    if spec.trials <= len(done):
        return None
    searcher = _make_searcher(search, model, study, done)
    lost = _fit(search, model, searcher)
    searcher.release()
    if searcher.fault:
        raise _fault(searcher.fault) from searcher.fault
    return lost


def _open_study(search: _Search, model: ModelPlan, done: Sequence[TrialRecord], resume: bool) -> optuna.Study:
    """The architecture's study, in agreement with the journal, with its sampler and its first trial."""
    spec, driver = search.plan.spec.search, _driver(search)
    name = study_name(search.plan, model, search.folder.path.name)
    objective = directions(spec.objective)
    if driver:
        study, begins = create_or_open_shared(search.storage, name, directions=objective)
    else:
        study, begins = open_study(search.storage, name, resume=resume, directions=objective), True
    if driver and SHARED_ATTR not in study.user_attrs:
        study.set_user_attr(SHARED_ATTR, shared_by_drivers(search.plan, model))
    reconcile(study, {r.trial_id: (r.state, _value(r, spec.objective)) for r in done}, driver)
    # Of drivers that begin at the same moment, one alone has the first trials.
    if begins and spec.trials > len(done) and not study.get_trials(deepcopy=False):
        for config in (model.first_configs or (model.space.default,))[: spec.trials]:
            study.enqueue_trial(config)
    study = read_into_memory(study, search.storage, is_shared=search.plan.storage is not None)
    # Drivers that begin at the same moment are not to try the same configurations.
    seed = spec.seed + (crc32(driver.encode()) % DRIVER_SEEDS if driver else 0)
    seed_sampler(study, spec.sampler, seed, spec.rungs, model.guesses)
    return study


def _driver(search: _Search) -> str | None:
    """The id of this run, in a study that other drivers work on too."""
    return search.folder.run_id if search.plan.spec.search.study is not None else None


def _make_searcher(
    search: _Search, model: ModelPlan, study: optuna.Study, done: Sequence[TrialRecord]
) -> StudySearcher:
    plan, spec = search.plan, search.plan.spec.search
    is_fused = model.group_size > 1
    # SQLite waits for its lock by itself, and nothing else passes there; a server may be started anew.
    patience = Patience(0 if (spec.storage or "sqlite").startswith("sqlite") else SERVER_PATIENCE_S)
    asker = Asker(
        study,
        model.space.distributions,
        wanted=spec.trials - len(done),
        fits=within_budget(model.name, plan.dataset.input_shape, len(plan.dataset.classes), spec.max_parameters),
        driver=_driver(search),
        patience=patience,
    )
    groups = GroupMaker(asker, model.group_size, search.recorder.checkpoints.newest() if is_fused else None)
    columns = SharedColumns(
        model=model.name,
        parameters=model.parameters,
        dataset=plan.dataset.name,
        precision=model.precision,
        metric=spec.metric,
        seed=spec.seed,
    )
    teller = Teller(study, ReportRecorder(search.recorder, columns), spec.objective, patience)
    ladder = Ladder(() if is_fused else spec.rungs)
    for record in done:  # of earlier sessions
        ladder.add(record.trial_id, record.scores)
    return StudySearcher(
        groups,
        teller,
        gpus=plan.gpus_per_trial,
        ladder=ladder,
        rungs=spec.rungs if is_fused else (),
        deadline=search.deadline,
    )


def _value(record: TrialRecord, objective: Sequence[str]) -> Value:
    """What the study is told of a completed trial."""
    return record.score if len(objective) == 1 else values(objective, record)


def _fault(error: BaseException) -> SearchFault:
    """A fault in the words of its first cause, in one line."""
    while error.__cause__:
        error = error.__cause__
    return SearchFault(describe_error(error))


def _fit(search: _Search, model: ModelPlan, searcher: StudySearcher) -> Exception | None:
    """Runs Tune; returns what ended it before its time, if anything did."""
    is_cluster = search.plan.spec.resources.address is not None
    try:
        with nullcontext() if is_cluster else environment_inherited():
            _make_tuner(search, model, searcher).fit()
    except OSError as error:
        searcher.end_by(error)  # Tune's own scratch, on the same disk as the results
    except Exception as error:
        return error  # not only TuneError: a lost node leaves fit() as whatever Ray raised
    return None


def _make_tuner(search: _Search, model: ModelPlan, searcher: StudySearcher) -> tune.Tuner:
    tuning = tune.TuneConfig(
        search_alg=searcher,
        scheduler=InOrder(),  # type: ignore[no-untyped-call]
        num_samples=-1,  # the searcher says when no more come: a trial is one of Tune's each time it goes on
        max_concurrent_trials=search.plan.concurrency,
        reuse_actors=True,
    )
    run = tune.RunConfig(
        name="tune",
        storage_path=str(search.folder.tune.resolve()),
        failure_config=tune.FailureConfig(max_failures=MAX_WORKER_LOSSES),
        checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        callbacks=[WorkerCallback(searcher)],
        stop=SearchStopper(search.interrupted, searcher),
        progress_reporter=NoReporter(),
        verbose=0,
    )
    return tune.Tuner(_trainable(search, model), param_space={}, tune_config=tuning, run_config=run)


def _trainable(search: _Search, model: ModelPlan) -> Any:
    plan = search.plan
    settings = make_search_settings(plan, model, search.checkpoints, search.deadline)
    resources = partial(_bundles, plan.spec.resources, plan.gpus_per_trial)
    return tune.with_resources(tune.with_parameters(Trial, data=[search.data], settings=settings), resources)


def _bundles(resources: ResourceSpec, gpus: float, config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """What a trial reserves: `gpus`, unless it is asked for with others."""
    request: GroupRequest | None = config.get(REQUEST)
    return tune.PlacementGroupFactory(resources.bundles(request.gpus if request else gpus))
