"""The search: one Tuner after another, an architecture each, over one Ray."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import optuna
import ray
from optuna.trial import FrozenTrial
from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler
from sqlalchemy.exc import SQLAlchemyError

from cluster.worker_end import how_it_ended
from hpo.search.plan import SHARED_ATTR, ModelPlan, Plan, shared_by_drivers, study_name
from hpo.search.recorder import Constants, Recorder
from hpo.search.searcher import StudySearcher
from hpo.search.study_sync import Value, reconcile, unfinished
from hpo.spec.checks import seconds
from hpo.spec.resources import ResourceSpec
from hpo.store.checkpoints import Checkpoints, CheckpointStorage, DriverStorage, FolderStorage
from hpo.store.csv_tables import LiveTrials
from hpo.store.journal import Journal
from hpo.store.run_folder import RunFolder
from hpo.store.stored_run import read_records
from hpo.store.study_db import open_storage, open_study, quiet_optuna, seed_sampler
from hpo.store.trackers import make_trackers
from hpo.system.text import MAX_ERROR_CHARS, describe_error, single_line
from hpo.trials.asha import GRACE_EPOCHS, REDUCTION_FACTOR, rungs
from hpo.trials.objectives import directions, values
from hpo.trials.records import TrialRecord
from hpo.views.progress import Progress
from hpo.worker.trial import Trial
from models import count_parameters
from trainers.config import split_config

SERVER_PATIENCE_S = 30.0  # for a database server that does not answer
MAX_TUNERS_IN_A_ROW = 3  # in a row that Ray ends before a trial is finished
WORKER_START_S = 30.0  # a worker takes no longer to start where there is room for it
MAX_FAILURES = 2  # a trial whose worker dies is started again this often, from its last checkpoint
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
    place: CheckpointStorage  # for checkpoints, as the workers see it


def run_search(
    plan: Plan, folder: RunFolder, checkpoints: Checkpoints, progress: Progress, interrupted: threading.Event
) -> list[TrialRecord]:
    """Runs, or goes on with, the planned trials; returns a record of every finished one.

    Ends early, with what is finished, when `interrupted` is set or the time budget is over. Raises
    SearchFault if the storage or the disk fails for good.
    """
    journal = Journal(folder.journal)
    records = read_records(folder.journal)
    live = LiveTrials(folder.trials_csv, records, plan.rank_by)
    with quiet_optuna():
        search = _Search(
            plan=plan,
            folder=folder,
            storage=plan.storage or open_storage(f"sqlite:///{folder.study_db}"),
            recorder=Recorder(records, journal, live, progress, checkpoints),
            interrupted=interrupted,
            deadline=time.time() + plan.spec.search.budget_s,
            resume=plan.spec.output.resume is not None,
            place=for_workers(checkpoints.place, plan.spec.resources.address is not None),
        )
        search.recorder.trackers = make_trackers(
            folder.path, tensorboard=plan.spec.output.tensorboard, mlflow=plan.spec.output.mlflow
        )
        # In the object store once, for every trial of every architecture; workers map it without a copy.
        data = ray.put(plan.dataset.training.to_arrays())
        try:
            for model in plan.models:
                if not interrupted.is_set():
                    _search_model(search, model, data)
        except (optuna.exceptions.OptunaError, SQLAlchemyError) as error:
            logger.exception("the storage failed")
            raise _fault(error) from error
        finally:
            for tracker in search.recorder.trackers:
                tracker.close()
            journal.close()
            search.storage.remove_session()
            search.storage.engine.dispose()
    return records


def for_workers(place: CheckpointStorage, cluster: bool) -> CheckpointStorage:
    """The driver's own folder is out of sight for other nodes, those that are to join included: what they write there
    goes through the driver's."""
    cluster = cluster or sum(node["Alive"] for node in ray.nodes()) > 1  # type: ignore[no-untyped-call]
    return DriverStorage(place) if cluster and isinstance(place, FolderStorage) and not place.shared else place


def _search_model(search: _Search, model: ModelPlan, data: ray.ObjectRef[Any]) -> None:
    """Tunes one architecture. A Tuner that Ray ends (a node was lost at a bad moment, say) is followed by another
    one, which goes on with what is missing as a resumed run does."""
    left, resume = MAX_TUNERS_IN_A_ROW, search.resume
    while left and not search.interrupted.is_set():
        before = len(search.recorder.records)
        lost = _tune(search, model, data, resume)
        if lost is None:
            return
        logger.error("Tune ended by itself", exc_info=lost)
        left = MAX_TUNERS_IN_A_ROW if len(search.recorder.records) > before else left - 1
        if not left or not ray.is_initialized():
            raise _fault(lost) from lost
        resume = True


def _tune(search: _Search, model: ModelPlan, data: ray.ObjectRef[Any], resume: bool) -> Exception | None:
    """One Tuner over the trials of an architecture that are missing; returns what ended it before its time, if
    anything did. Raises SearchFault where the storage or the disk fails."""
    spec = search.plan.spec.search
    run, shared = search.folder.run_id, spec.study is not None
    name = study_name(search.plan, model, search.folder.path.name)
    study = open_study(search.storage, name, resume=resume or shared, directions=directions(spec.objective))
    done = [record for record in search.recorder.records if record.model == model.name]
    if shared and SHARED_ATTR not in study.user_attrs:
        study.set_user_attr(SHARED_ATTR, shared_by_drivers(search.plan, model))
    told = {r.trial_id: (r.state.value, _value(r, spec.objective)) for r in done}
    reconcile(study, told, run if shared else None)
    wanted = spec.trials - len(done)
    if wanted <= 0:
        return None
    if not study.get_trials(deepcopy=False):
        study.enqueue_trial(model.space.default)
    search.recorder.constants = Constants(
        model.name, model.parameters, search.plan.dataset.name, model.precision, spec.seed
    )
    # Drivers that begin at the same moment are not to try the same configurations.
    seed_sampler(study, spec.sampler, spec.seed + (crc32(run.encode()) % 2**20 if shared else 0))
    searcher = StudySearcher(
        study,
        model.space.distributions,
        wanted=wanted,
        listener=search.recorder,
        deadline=search.deadline,
        run=run if shared else None,
    )
    searcher.objective, searcher.fits = spec.objective, _within_budget(search.plan, model)
    searcher.lanes, searcher.gpus = model.lanes, search.plan.gpus_per_trial
    searcher.saved = search.recorder.checkpoints.newest() if model.lanes > 1 else {}
    searcher.rungs = rungs(spec.epochs) if model.lanes > 1 and spec.stops_early else ()
    # SQLite waits for its lock by itself, and nothing else passes there; a server may be started anew.
    searcher.patience_s = 0 if (spec.storage or "sqlite").startswith("sqlite") else SERVER_PATIENCE_S
    scheduler = InOrder() if model.lanes > 1 else _scheduler(search, done, unfinished(study))  # type: ignore[no-untyped-call]
    lost = _fit(search, searcher, _trainable(search, model, data), scheduler)
    searcher.release()
    if searcher.fault:
        raise _fault(searcher.fault) from searcher.fault
    return lost


def _value(record: TrialRecord, objective: Sequence[str]) -> Value:
    """What the study is told of a completed trial."""
    return record.val_accuracy if len(objective) == 1 else values(objective, record.to_dict())


def _within_budget(plan: Plan, model: ModelPlan) -> Callable[[dict[str, Any]], bool]:
    """Whether a configuration has at most --max-parameters: counted on torch's meta device, not constrained in the
    sampler, where it would be a wish."""
    most = plan.spec.search.max_parameters
    if most is None:
        return lambda _: True

    @cache
    def count(arch: frozenset[tuple[str, Any]]) -> int:
        return count_parameters(model.name, plan.dataset.input_shape, len(plan.dataset.classes), **dict(arch))

    def fits(params: dict[str, Any]) -> bool:
        try:
            return count(frozenset(split_config(params)[1].items())) <= most
        except Exception:
            return True  # a network that cannot be made is a failed trial, which says why

    return fits


def _fault(error: BaseException) -> SearchFault:
    """A fault in the words of its first cause, in one line."""
    while error.__cause__:
        error = error.__cause__
    return SearchFault(describe_error(error))


def _fit(search: _Search, searcher: StudySearcher, trainable: Any, scheduler: TrialScheduler) -> Exception | None:
    tuner = tune.Tuner(
        trainable,
        param_space={},
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            num_samples=2 * searcher.wanted,  # one that runs out of memory may be asked for twice
            max_concurrent_trials=search.plan.concurrency,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(search.folder.tune.resolve()),
            failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            callbacks=[_Failures(searcher)],
            stop=_Stopper(search.interrupted, searcher),
            verbose=0,
        ),
    )
    try:
        tuner.fit()
    except OSError as error:
        searcher.fault = searcher.fault or error  # Tune's own scratch, on the same disk as the results
    except Exception as error:
        return error  # not only TuneError: a lost node leaves fit() as whatever Ray raised
    return None


def _trainable(search: _Search, model: ModelPlan, data: ray.ObjectRef[Any]) -> Any:
    plan = search.plan
    epochs, timeout = plan.spec.search.epochs, plan.spec.search.trial_timeout
    settings = {
        "model": model.name,
        "import_from": os.getcwd(),
        "input_shape": plan.dataset.input_shape,
        "num_classes": len(plan.dataset.classes),
        "epochs": epochs,
        "rungs": rungs(epochs),
        "deadline": search.deadline,
        "checkpoints": search.place,
        "cluster": plan.spec.resources.address is not None,
        "timeout": seconds(timeout, "--trial-timeout") if timeout else None,
        "seed": plan.spec.search.seed,
        "train": {
            "precision": model.precision,
            "device": plan.device,
            "threads": plan.spec.resources.cpus_per_trial,
        },
        "workers": plan.spec.resources.workers_per_trial,
        "gpus": plan.gpus_per_trial,
        "lanes": model.lanes,
        "halving": REDUCTION_FACTOR if model.lanes > 1 and plan.spec.search.stops_early else 0,
    }

    resources = partial(_bundles, plan.spec.resources, plan.gpus_per_trial)
    return tune.with_resources(tune.with_parameters(Trial, data=[data], settings=settings), resources)


def _bundles(resources: ResourceSpec, gpus: float, config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """What a trial reserves: `gpus`, unless it is asked for with others."""
    return tune.PlacementGroupFactory(resources.bundles(config.get("gpus", gpus)))


def _scheduler(search: _Search, done: Iterable[TrialRecord], cut_short: Iterable[FrozenTrial]) -> TrialScheduler:
    """ASHA with its rungs refilled from the trials of earlier sessions, or none."""
    spec = search.plan.spec.search
    if not spec.stops_early:
        return InOrder()  # type: ignore[no-untyped-call]
    asha = RungScheduler(spec.epochs)
    for record in done:
        asha.refill(record.trial_id, {epoch["epoch"]: epoch["val_accuracy"] for epoch in record.curve})
    for trial in cut_short:
        asha.refill(f"trial {trial.number}", trial.intermediate_values)
    return asha


class InOrder(FIFOScheduler):
    """Starts each trial on a worker of its own until there are enough, and then on one that is free.

    Tune's own hands a worker that is free to a trial whose worker is just starting, and ends that one: on a cluster,
    trials that are shorter than the start of a worker would all run on one node.
    """

    def choose_trial_to_run(self, tune_controller: Any, **_: Any) -> None:
        """None: Tune then looks for a worker for the newest trial, which has none yet."""


class RungScheduler(InOrder, AsyncHyperBandScheduler):
    """ASHA (Li et al., 2020) that looks at a trial on its rungs only.

    Tune's own would take the first result after a rung for the rung's: a resumed trial that goes on at epoch
    4 would stand on rung 3 with it, and on rung 1 with epoch 5, and could be stopped off any rung.
    """

    def __init__(self, epochs: int) -> None:
        super().__init__(
            time_attr="epochs",
            metric="value",
            mode="max",
            max_t=epochs,
            grace_period=GRACE_EPOCHS,
            reduction_factor=REDUCTION_FACTOR,
        )
        self.rungs = rungs(epochs)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if result["epochs"] not in self.rungs:
            return TrialScheduler.CONTINUE
        return super().on_trial_result(tune_controller, trial, result)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self._trial_info.pop(trial.trial_id, None)

    def refill(self, trial_id: str, values: Mapping[int, float | None]) -> None:
        """Puts an earlier session's values, by epoch, on their rungs."""
        (bracket,) = self._brackets
        trial: Any = SimpleNamespace(trial_id=trial_id)
        for epoch in self.rungs:
            if (value := values.get(epoch)) is not None:
                bracket.on_result(trial, epoch, value)


class _Stopper(tune.Stopper):
    """Ends the whole run on Ctrl-C, on a fault, and when its time is over."""

    def __init__(self, interrupted: threading.Event, searcher: StudySearcher) -> None:
        self.interrupted, self.searcher = interrupted, searcher

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        # Trials end by themselves when the time is over, except those that wait for a node that may never come.
        over = time.time() >= self.searcher.deadline + WORKER_START_S and not self.searcher.running
        return over or self.interrupted.is_set() or self.searcher.fault is not None

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Failures(tune.Callback):
    """Tells the searcher which trials have a worker, and of those whose worker was lost for good: Tune's own hook has
    no reason in it."""

    def __init__(self, searcher: StudySearcher) -> None:
        self.searcher = searcher

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.searcher.running.add(trial.trial_id)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.searcher.running.discard(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.searcher.running.discard(trial.trial_id)
        try:
            words = _words(trial, self.searcher.first_of(trial.trial_id))
            self.searcher.fail(trial.trial_id, words, trial.num_failures - 1)
        except Exception:
            logger.exception("on_trial_error")

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.searcher.running.discard(trial.trial_id)
        self.searcher.restarted(trial.trial_id, trial.num_failures)
        trial.config["lanes"] = self.searcher.left(trial.trial_id)

    def __getstate__(self) -> dict[str, Any]:
        return {}


def _words(trial: Any, name: str) -> str:
    """The telling line of Tune's error file, the last of a traceback, else the first; of a worker that died, how."""
    try:
        text = Path(trial.error_file).read_text(encoding="utf-8")
    except (OSError, TypeError):
        text = ""
    lines = [single_line(line) for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("Failure #")]
    if not lines or lines[0].startswith("The actor died unexpectedly"):
        return how_it_ended(name)
    return lines[-1 if lines[0].startswith("ray::") else 0][:MAX_ERROR_CHARS]
