"""The one bridge between Optuna and Tune: a searcher that knows about fidelity.

Ray's own OptunaSearch tells Optuna that a trial ASHA stopped is complete, with the value of its few epochs.
Here every intermediate value is reported, and such trials are told as pruned, so that samplers, best_trial
and importances never mix one epoch with ten. Tune's trials are arrays of lanes, ordinarily one: a lane is
one Optuna trial.

No exception may leave a hook, because Tune ends the whole run on one. A storage that fails ends the search
instead: `fault` says why, and what was finished is in the journal.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from ray.tune.search import Searcher
from sqlalchemy.exc import SQLAlchemyError

from hpo.objectives import values

MOST_REJECTED = 100  # configurations in a row
ASKING_S = 60.0  # at most, for one trial
DRIVER = "podium_run"
Value = float | list[float | None] | None
logger = logging.getLogger(__name__)


class LaneListener:
    """What the searcher tells of each lane; here nothing is done with it."""

    def started(self, lane: dict[str, Any]) -> None: ...

    def reported(self, lane: dict[str, Any], report: dict[str, Any]) -> None: ...

    def finished(self, lane: dict[str, Any], report: dict[str, Any]) -> None: ...


class StudySearcher(Searcher):
    """Asks an Optuna study for configurations and tells it what became of them.

    study: maximizes the accuracy, alone or with other objectives. distributions: the space. wanted: how many trials to
    hand out. deadline: time.time() after which none is. A trial that a killed driver left waiting in the study is
    handed out again, under its own number and with its own parameters.

    listener: follows each lane; its `finished` has put the row on disk before Optuna is told. run: of this driver,
    in a study that others work on too: its trials carry the name.
    """

    def __init__(
        self,
        study: optuna.Study,
        distributions: dict[str, BaseDistribution],
        *,
        wanted: int,
        listener: LaneListener,
        deadline: float = math.inf,
        run: str | None = None,
    ) -> None:
        super().__init__(metric="value", mode="max")
        self.study, self.distributions = study, distributions
        self.wanted, self.listener, self.deadline, self.driver = wanted, listener, deadline, run
        self.objective: Sequence[str] = ("accuracy",)  # names of the study's objectives (hpo/objectives.py)
        self.several = len(study.directions) > 1  # which know no intermediate values
        # What does not fit is told as pruned, so that the sampler learns to avoid it, and is no trial of the run.
        self.fits: Callable[[dict[str, Any]], bool] = lambda _: True
        self.patience_s = 0.0  # how long a storage that fails is tried again
        self.fault: Exception | None = None
        self.most = 1
        self.running: set[str] = set()  # Tune's names of the trials that have a worker
        self.live: dict[str, list[tuple[dict[str, Any], optuna.Trial]]] = {}
        self._last: dict[str, dict[str, Any]] = {}
        self._retries: dict[str, int] = {}

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        self.most = max_concurrent
        return True

    def suggest(self, trial_id: str) -> Any:
        """A configuration {"lanes": [...]}, None while enough trials run, FINISHED when there is no more."""
        if self.fault or self.wanted <= 0 or time.time() >= self.deadline:
            return Searcher.FINISHED
        if len(self.live) >= self.most:
            return None
        lane = self._guarded(self._ask)
        if lane is None:
            return Searcher.FINISHED
        self.wanted -= 1
        self.live[trial_id] = [lane]
        return {"lanes": [lane[0]]}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self._guarded(lambda: self._report(trial_id, result))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tune ended the trial. After an error `fail` follows, with the words Tune has for it."""
        if error:
            return
        if result:
            self._guarded(lambda: self._report(trial_id, result))
        self._guarded(lambda: self._finish(trial_id, {}))

    def fail(self, trial_id: str, error: str, retries: int) -> None:
        """The trial's worker was lost for good."""
        update = {"state": "failed", "error": error, "retries": retries}
        self._guarded(lambda: self._finish(trial_id, update))

    def restarted(self, trial_id: str, retries: int) -> None:
        """The trial's worker died and another one goes on with it."""
        for lane, _ in self.live.get(trial_id, []):
            self._retries[lane["trial_id"]] = retries

    def release(self) -> None:
        """Hands the trials that still run back to the study, to be resumed: nothing is left running."""
        for lanes in self.live.values():
            for _, trial in lanes:
                self._guarded(partial(make_wait, self.study, trial._trial_id))
        self.live.clear()
        if not self.fault:
            self._guarded(lambda: drop_orphans(self.study, ASKING_S if self.driver else 0))

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the study is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: the study is the state."""

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its searcher next to its results: no storage, and so no password, may be in there.
        return {}

    def _ask(self) -> tuple[dict[str, Any], optuna.Trial]:
        trial = self._ask_for_one_that_fits()
        lane = {
            "trial_id": trial_id(self.study, trial.number),
            "number": trial.number,
            "params": dict(trial.params),
            "asked_at": time.time(),
        }
        self.listener.started(lane)
        return lane, trial

    def _ask_for_one_that_fits(self) -> optuna.Trial:
        for _ in range(MOST_REJECTED):
            trial = self._patiently(lambda: self.study.ask(fixed_distributions=self.distributions))
            if self.driver:
                self._patiently(partial(trial.set_user_attr, DRIVER, self.driver))
            if self.fits(trial.params):
                return trial  # type: ignore[no-any-return]
            self._patiently(partial(self.study.tell, trial, state=_rejected(self.study)))
        raise RuntimeError(f"{MOST_REJECTED} configurations in a row have more parameters than --max-parameters allows")

    def _report(self, trial_id: str, result: dict[str, Any]) -> None:
        for (lane, trial), report in zip(self.live.get(trial_id, []), result["lanes"], strict=False):
            known = self._last.get(lane["trial_id"])
            if known is not None and known["epochs"] == report["epochs"] and known["state"] == report["state"]:
                continue  # Tune hands the last result over a second time when a trial ends
            self._last[lane["trial_id"]] = report
            # Before Optuna: a storage that fails now must not tear a hole into the trial's curve.
            self.listener.reported(lane, report)
            for step, value in report["values"]:
                # A resumed trial hands its whole curve over again; Optuna would warn of each value it has.
                if (
                    not self.several
                    and math.isfinite(value)
                    and step not in trial._cached_frozen_trial.intermediate_values
                ):
                    self._patiently(partial(trial.report, value, step))

    def _finish(self, trial_id: str, update: dict[str, Any]) -> None:
        for lane, trial in self.live.pop(trial_id, []):
            retries = self._retries.pop(lane["trial_id"], 0)
            report = {"retries": retries, **self._last.pop(lane["trial_id"], {}), **update}
            if report.get("state") == "running":
                report["state"] = "stopped"
            elif "state" not in report:
                report |= {"state": "failed", "error": "ended before its first epoch"}
            self.listener.finished(lane, report)
            told = values(self.objective, report) if self.several else report.get("value")
            self._patiently(partial(tell, self.study, trial.number, report["state"], told))

    def _patiently(self, action: Callable[[], Any]) -> Any:
        """What `action` of the storage returns, tried again for a while where it fails; then raises what it raised."""
        until, pause = time.monotonic() + self.patience_s, 0.5
        while True:
            try:
                return action()
            except (optuna.exceptions.StorageInternalError, SQLAlchemyError) as error:
                if self.fault or time.monotonic() + pause > until:
                    raise
                logger.warning("the storage failed and is tried again: %s", " ".join(str(error).split())[:200])
                time.sleep(pause)
                pause = min(2 * pause, 8)

    def _guarded(self, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except Exception as error:
            self.fault = self.fault or error
            logger.exception("the search ends here, and can be resumed")
            return None


def tell(study: optuna.Study, number: int, state: str, value: Value) -> None:
    """Tells the study a lane's end.

    completed with its best value, or values. stopped and diverged are pruned: told as failed, TPE would ignore a
    diverging region and keep sampling it. failed, a fault that is not the configuration's, is ignored; with several
    objectives, for which Optuna knows no pruned trials, all that are not completed are.
    """
    if state == "completed":
        study.tell(number, value, skip_if_finished=True)  # type: ignore[arg-type]
    else:
        told = TrialState.FAIL if state == "failed" else _rejected(study)
        study.tell(number, state=told, skip_if_finished=True)


def _rejected(study: optuna.Study) -> TrialState:
    """A state for configurations that are no good."""
    return TrialState.PRUNED if len(study.directions) == 1 else TrialState.FAIL


def restore(
    study: optuna.Study,
    records: dict[str, Any],
    distributions: dict[str, BaseDistribution],
    objective: Sequence[str] = ("accuracy",),
) -> None:
    """Adds the journaled trials that the study does not know, where a database was lost or is behind: their numbers
    would be given out again otherwise.

    records: `TrialRecord`s by trial id. A trial whose space was another one, or that is in neither, is added as failed.
    """
    numbers = {int(name.rpartition("-")[2]): record for name, record in records.items()}
    for number in range(len(study.get_trials(deepcopy=False)), max(numbers, default=-1) + 1):
        record = numbers.get(number)
        if record is None or set(record.config) != set(distributions) or record.state.value == "failed":
            study.add_trial(create_trial(state=TrialState.FAIL))
            continue
        done = record.state.value == "completed"
        told = [record.val_accuracy] if len(objective) == 1 else values(objective, record.to_dict())
        curve = {epoch["epoch"]: epoch["val_accuracy"] for epoch in record.curve if len(objective) == 1}
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE if done else _rejected(study),
                values=told if done else None,  # type: ignore[arg-type]
                params=record.config,
                distributions=distributions,
                intermediate_values={k: v for k, v in curve.items() if v is not None and math.isfinite(v)},
            )
        )


def trial_id(study: optuna.Study, number: int) -> str:
    """ "cnn-0007": the study's name, without the run's where it stands before it, and the trial's number."""
    return f"{study.study_name.rpartition('/')[2]}-{number:04d}"


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
