"""The one bridge between Optuna and Tune: a searcher that knows about fidelity.

Ray's own OptunaSearch tells Optuna that a trial ASHA stopped is complete, with the value of its few epochs.
Here every intermediate value is reported, and such trials are told as pruned, so that samplers, best_trial
and importances never mix one epoch with ten. Tune's trials are arrays of lanes, ordinarily one: a lane is
one Optuna trial. Lanes that are trained as one network share its shape, which the array's first lane has drawn.

No exception may leave a hook, because Tune ends the whole run on one. A storage that fails ends the search
instead: `fault` says why, and what was finished is in the journal.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState
from ray.tune.search import Searcher
from sqlalchemy.exc import SQLAlchemyError

from hpo.search.grouping import group_alike, larger_shares, shape_of
from hpo.search.study_sync import DRIVER, drop_orphans, make_wait, rejected, tell, trial_id, unfinished
from hpo.store.study_db import alike
from hpo.trials.objectives import values
from hpo.trials.records import OUT_OF_MEMORY

MAX_REJECTED_IN_A_ROW = 100  # configurations in a row
MAX_ASK_S = 60.0  # at most, for one trial
Asked = tuple[dict[str, Any], optuna.Trial]  # a lane, and Optuna's trial of it
logger = logging.getLogger(__name__)


class TrialListener:
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
        listener: TrialListener,
        deadline: float = math.inf,
        run: str | None = None,
    ) -> None:
        super().__init__(metric="value", mode="max")
        self.study, self.distributions = study, distributions
        self.wanted, self.listener, self.deadline, self.driver = wanted, listener, deadline, run
        self.objective: Sequence[str] = ("accuracy",)  # names of the study's objectives (hpo/trials/objectives.py)
        self.several = len(study.directions) > 1  # which know no intermediate values
        # What does not fit is told as pruned, so that the sampler learns to avoid it, and is no trial of the run.
        self.fits: Callable[[dict[str, Any]], bool] = lambda _: True
        self.patience_s = 0.0  # how long a storage that fails is tried again
        self.fault: Exception | None = None
        self.most = 1
        self.lanes, self.gpus = 1, 0.0  # of an array
        self.rungs: Sequence[int] = ()  # where an array needs to know how others did
        self.saved: Mapping[str, int] = {}  # the epochs that trials of an earlier session have in a checkpoint
        self.running: set[str] = set()  # Tune's names of the trials that have a worker
        self.live: dict[str, list[Asked]] = {}
        self._array_gpus: dict[str, float] = {}
        self._waiting: list[list[Asked]] = []  # arrays whose first lanes are asked for
        self._again: list[tuple[list[Asked], float]] = []  # arrays that get more memory
        self._over: set[str] = set()
        self._last: dict[str, dict[str, Any]] = {}
        self._retries: dict[str, int] = {}
        self._notes: dict[str, str] = {}

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        self.most = max_concurrent
        return True

    def suggest(self, trial_id: str) -> Any:
        """A configuration, None while enough trials run or one may have to run again, FINISHED when there is no more.

        lanes: its trials. gpus: of each of its workers. known: of each rung, the values of other trials on it.
        """
        if self.fault or time.time() >= self.deadline:
            return Searcher.FINISHED
        if len(self.live) >= self.most:
            return None
        if any(gpus > self.gpus and name not in self.running for name, gpus in self._array_gpus.items()):
            return None  # one that needs more of a GPU waits for it: what others leave is for that one
        if not (self._again or self._waiting or self.wanted > 0):
            return None if self.live and self.gpus else Searcher.FINISHED
        return self._guarded(partial(self._hand_out, trial_id)) or Searcher.FINISHED

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
        for lane in self.left(trial_id):
            self._retries[lane["trial_id"]] = retries

    def left(self, trial_id: str) -> list[dict[str, Any]]:
        """The array's lanes that are not over, with which another worker is to go on."""
        self.live[trial_id] = [asked for asked in self.live.get(trial_id, []) if asked[0]["trial_id"] not in self._over]
        return [lane for lane, _ in self.live[trial_id]]

    def first_of(self, trial_id: str) -> str:
        """Our own name of the array's first lane that was not over when its worker began."""
        return next((lane["trial_id"] for lane, _ in self.live.get(trial_id, [])), "")

    def release(self) -> None:
        """Hands the trials that still run back to the study, to be resumed: nothing is left running."""
        for array in [*self.live.values(), *self._waiting, *(array for array, _ in self._again)]:
            for lane, trial in array:
                if lane["trial_id"] not in self._over:
                    self._guarded(partial(make_wait, self.study, trial._trial_id))
        self.live.clear()
        if not self.fault:
            self._guarded(lambda: drop_orphans(self.study, MAX_ASK_S if self.driver else 0))

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the study is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: the study is the state."""

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its searcher next to its results: no storage, and so no password, may be in there.
        return {}

    def _hand_out(self, trial_id: str) -> dict[str, Any]:
        array, gpus = self._next_array()
        known = self._known(array)
        self.live[trial_id], self._array_gpus[trial_id] = array, gpus
        for lane, _ in array:
            lane["lanes"] = len(array)
            self.listener.started(lane)
        return {"lanes": [lane for lane, _ in array], "gpus": gpus, "known": known}

    def _next_array(self) -> tuple[list[Asked], float]:
        """The next lanes to train together, and on how many GPUs."""
        if self._again:
            return self._again.pop(0)
        if not self._waiting:
            # Trials that wait in the study come first, whatever their shapes are.
            count = max(1, min(self._count_waiting(), self.wanted)) if self.lanes > 1 else 1
            self._waiting = group_alike([self._ask() for _ in range(count)], self._key, self.lanes)
        array = self._waiting.pop(0)
        shape, epochs = self._key(array[0])
        while len(array) < self.lanes and self.wanted > 0 and not epochs:
            asked = self._ask_alike(shape)
            if self._key(asked) != (shape, epochs):  # one that was put into the study just now
                self._waiting.append([asked])
                break
            array.append(asked)
        return array, self.gpus

    def _key(self, asked: Asked) -> tuple[dict[str, Any], int]:
        """What lanes of an array have in common: their shape, and the epochs that they have in a checkpoint."""
        lane, _ = asked
        return shape_of(lane["params"]), self.saved.get(lane["trial_id"], 0)

    def _count_waiting(self) -> int:
        return sum(t.state == TrialState.WAITING for t in self._patiently(lambda: unfinished(self.study)))

    def _ask(self) -> Asked:
        trial = self._ask_for_one_that_fits()
        self.wanted -= 1
        lane = {
            "trial_id": trial_id(self.study, trial.number),
            "number": trial.number,
            "params": dict(trial.params),
            "asked_at": time.time(),
        }
        return lane, trial

    def _ask_alike(self, shape: dict[str, Any]) -> Asked:
        """A lane whose own hyperparameters alone are drawn."""
        sampler = self.study.sampler
        self.study.sampler = alike(shape, sampler)
        try:
            return self._ask()
        finally:
            self.study.sampler = sampler

    def _known(self, array: list[Asked]) -> dict[int, list[float]]:
        if not self.rungs:
            return {}
        own = {lane["number"] for lane, _ in array}
        trials = self._patiently(lambda: self.study.get_trials(deepcopy=False))
        others = [trial.intermediate_values for trial in trials if trial.number not in own]
        return {rung: [values[rung] for values in others if rung in values] for rung in self.rungs}

    def _ask_for_one_that_fits(self) -> optuna.Trial:
        for _ in range(MAX_REJECTED_IN_A_ROW):
            trial = self._patiently(lambda: self.study.ask(fixed_distributions=self.distributions))
            if self.driver:
                self._patiently(partial(trial.set_user_attr, DRIVER, self.driver))
            if self.fits(trial.params):
                return trial  # type: ignore[no-any-return]
            self._patiently(partial(self.study.tell, trial, state=rejected(self.study)))
        raise RuntimeError(
            f"{MAX_REJECTED_IN_A_ROW} configurations in a row have more parameters than --max-parameters allows"
        )

    def _report(self, trial_id: str, result: dict[str, Any]) -> None:
        for asked, report in zip(self.live.get(trial_id, []), result["lanes"], strict=False):
            lane, trial = asked
            if lane["trial_id"] in self._over:
                continue
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
            if report["state"] not in ("running", OUT_OF_MEMORY):
                self._end(asked, {})

    def _finish(self, trial_id: str, update: dict[str, Any]) -> None:
        """Tune's trial is over: what is left of its lanes is, or runs again with more memory."""
        left = [asked for asked in self.live.pop(trial_id, []) if asked[0]["trial_id"] not in self._over]
        gpus = self._array_gpus.pop(trial_id, 0.0)
        short = [asked for asked in left if self._last.get(asked[0]["trial_id"], {}).get("state") == OUT_OF_MEMORY]
        arrays = [] if any(asked[0]["trial_id"] in self._notes for asked in short) else larger_shares(short, gpus)
        for array, share in arrays:
            words = f"out of memory {_on(len(short), gpus)}, run again {_on(len(array), share)}"
            for lane, _ in array:
                self._notes[lane["trial_id"]] = words
                self._last.pop(lane["trial_id"])
        self._again += arrays
        for asked in left:
            if not arrays or asked not in short:
                self._end(asked, update)

    def _end(self, asked: Asked, update: dict[str, Any]) -> None:
        lane, trial = asked
        name = lane["trial_id"]
        report = {"retries": self._retries.pop(name, 0), **self._last.pop(name, {}), **update}
        if report.get("state") == "running":
            report["state"] = "stopped"
        elif report.get("state", OUT_OF_MEMORY) == OUT_OF_MEMORY:
            report = {"error": "ended before its first epoch", **report, "state": "failed"}
        if note := self._notes.pop(name, ""):
            report |= {"retries": report["retries"] + 1, "error": "; ".join(filter(None, (note, report.get("error"))))}
        self._over.add(name)
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


def _on(lanes: int, gpus: float) -> str:
    """ "on 0.5 GPUs", with how many lanes there are where there are several."""
    return f"on {gpus:g} GPU{'s' if gpus != 1 else ''}" + (f" with {lanes} lanes" if lanes > 1 else "")
