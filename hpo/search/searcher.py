"""The one bridge between Optuna and Tune: a searcher that knows about fidelity.

Ray's own OptunaSearch tells Optuna that a trial ASHA stopped is complete, with the value of its few epochs.
Here every intermediate value is reported, and such trials are told as pruned, so that samplers, best_trial
and importances never mix one epoch with ten. A trial of Tune's is a group of Optuna's trials, ordinarily of one.

No exception may leave a hook, because Tune ends the whole run on one. A storage that fails ends the search
instead: `fault` says why, and what was finished is in the journal.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from ray.tune.search import Searcher

from hpo.search.asking import AskedTrial
from hpo.search.grouping import GroupMaker
from hpo.search.memory_retry import MemoryRetries
from hpo.search.promotion import Promotions
from hpo.search.samplers.views import paused_as_pruned
from hpo.search.study_sync import drop_orphans
from hpo.search.telling import Teller
from hpo.store.database.memory_study import save
from hpo.store.database.optuna_private import make_wait, trial_key
from hpo.trials.ladder import Ladder
from hpo.trials.messages import REPORTS, REQUEST, VALUE, GroupRequest, TrialRequest

MAX_ASK_S = 60.0  # in which a driver has given the trial that it asks for its name
T = TypeVar("T")
logger = logging.getLogger(__name__)


class StudySearcher(Searcher):
    """Hands Tune the trials of an Optuna study, and tells the study what became of them."""

    def __init__(
        self,
        groups: GroupMaker,
        teller: Teller,
        *,
        gpus: float = 0.0,
        ladder: Ladder | None = None,
        rungs: Sequence[int] = (),
        deadline: float = math.inf,
    ) -> None:
        """gpus: of each of a trial's workers. ladder: the rungs on which trials pause; without it none does. rungs:
        where a group of fused trials needs to know how others did there. deadline: time.time() after which no trial is
        handed out."""
        super().__init__(metric=VALUE, mode="max")
        self.groups, self.asker, self.teller = groups, groups.asker, teller
        self.study, self.patience = self.asker.study, self.asker.patience
        self.gpus, self.rungs, self.deadline = gpus, rungs, deadline
        self.retries = MemoryRetries(teller)
        self.promotions = Promotions(teller, ladder or Ladder(()))
        if self.promotions.is_on:
            self.study.sampler = paused_as_pruned(self.study.sampler, self.promotions.numbers)
        self.fault: Exception | None = None
        self.max_concurrent = 1
        self.live: dict[str, list[AskedTrial]] = {}  # groups by Tune's name for them
        self._gpus: dict[str, float] = {}
        self._running: set[str] = set()  # Tune's names of those that have a worker

    @property
    def wanted(self) -> int:
        """How many trials are still to be asked for."""
        return self.asker.wanted

    @property
    def is_any_running(self) -> bool:
        """Whether any group has a worker."""
        return bool(self._running)

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        self.max_concurrent = max_concurrent
        return True

    def suggest(self, trial_id: str) -> Any:
        """A configuration; None while enough trials run or one may have to run again; FINISHED where no more come."""
        if self.fault or time.time() >= self.deadline:
            return Searcher.FINISHED
        if len(self.live) >= self.max_concurrent:
            return None
        if any(gpus > self.gpus and name not in self._running for name, gpus in self._gpus.items()):
            return None  # one that needs more of a GPU waits for it: what others leave is for that one
        if not (self.retries.waiting or self.promotions.has_next or self.groups.has_more or self.promotions.has_last):
            return self._wait_or_finish()
        return self._guarded(partial(self._hand_out, trial_id)) or Searcher.FINISHED

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self._guarded(lambda: self._report(trial_id, result))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tune ended the group. After an error `fail` follows, with the words Tune has for it."""
        if error:
            return
        if result:
            self._guarded(lambda: self._report(trial_id, result))
        self._guarded(lambda: self._finish(trial_id, self.teller.end))

    def worker_started(self, trial_id: str) -> None:
        """The group has a worker."""
        self._running.add(trial_id)

    def worker_ended(self, trial_id: str) -> None:
        """The group has none any more."""
        self._running.discard(trial_id)

    def fail(self, trial_id: str, error: str, retries: int) -> None:
        """The group's worker was lost for good."""
        self._guarded(lambda: self._finish(trial_id, partial(self.teller.fail, error=error, retries=retries)))

    def restart(self, trial_id: str, retries: int) -> tuple[TrialRequest, ...]:
        """The group's worker died and another one goes on; returns the trials that are left for it."""
        self.live[trial_id] = self._left(trial_id)
        for asked in self.live[trial_id]:
            self.teller.restarted(asked, retries)
        return tuple(asked.request for asked in self.live[trial_id])

    def first_of(self, trial_id: str) -> str:
        """The id of the group's first trial that was not over when its worker began."""
        return next((asked.trial_id for asked in self.live.get(trial_id, [])), "")

    def release(self) -> None:
        """Hands the trials that still run back to the study, to be resumed: nothing is left running."""
        again = [group for group, _ in self.retries.waiting]
        if time.time() >= self.deadline and not self.fault:
            self._guarded(self.promotions.end)
        for group in [*self.live.values(), *self.groups.waiting, *again, self.promotions.waiting]:
            for asked in group:
                if not self.teller.is_over(asked):
                    self._guarded(partial(make_wait, self.study, trial_key(asked.optuna_trial)))
        self.live.clear()
        if not self.fault:
            self._guarded(lambda: save(self.study))
            self._guarded(lambda: drop_orphans(self.study, MAX_ASK_S if self.asker.driver else 0))

    def end_by(self, fault: Exception) -> None:
        """Ends the search, because of a fault that is none of a trial's; the first one counts."""
        self.fault = self.fault or fault
        self.patience.lose()

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the study is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: the study is the state."""

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its searcher next to its results: no storage, and so no password, may be in there.
        return {}

    def _wait_or_finish(self) -> str | None:
        """Nothing is left to hand out, unless what still runs leaves something: a trial to run again, or to go on."""
        if self.live and (self.gpus or self.promotions.is_on):
            return None
        self._guarded(self.promotions.end)
        return Searcher.FINISHED

    def _hand_out(self, trial_id: str) -> dict[str, Any]:
        group, gpus = self._next_group()
        group = [asked.in_group_of(len(group)) for asked in group]
        numbers = {asked.request.number for asked in group}
        known = self.asker.known_values(self.rungs, besides=numbers) if self.rungs else {}
        self.live[trial_id], self._gpus[trial_id] = group, gpus
        for asked in group:
            self.teller.started(asked)
        return {REQUEST: GroupRequest(trials=tuple(asked.request for asked in group), gpus=gpus, known=known)}

    def _next_group(self) -> tuple[list[AskedTrial], float]:
        """The trials to train next, and their GPUs: those that run again, those that go on, then new ones."""
        if self.retries.waiting:
            return self.retries.waiting.pop(0)
        if self.promotions.has_next:
            return [self.promotions.take_next()], self.gpus
        if self.groups.has_more:
            return [self.promotions.begin(asked) for asked in self.groups.next_group()], self.gpus
        return [self.promotions.take_last()], self.gpus

    def _report(self, trial_id: str, result: dict[str, Any]) -> None:
        reports = {report.trial_id: report for report in result[REPORTS]}
        for asked in self._left(trial_id):
            if report := reports.get(asked.trial_id):
                self.promotions.saw(report)
                self.teller.report(asked, report)

    def _finish(self, trial_id: str, end: Callable[[AskedTrial], None]) -> None:
        """Tune's trial is over: what is left of the group is, or runs again with more memory."""
        left, gpus = self._left(trial_id), self._gpus.pop(trial_id, 0.0)
        self.live.pop(trial_id, None)
        for asked in self.promotions.take_paused(self.retries.take_over(left, gpus)):
            end(asked)

    def _left(self, trial_id: str) -> list[AskedTrial]:
        """The group's trials that are not over."""
        return [asked for asked in self.live.get(trial_id, []) if not self.teller.is_over(asked)]

    def _guarded(self, action: Callable[[], T]) -> T | None:
        try:
            return action()
        except Exception as error:
            self.end_by(error)
            logger.exception("the search ends here, and can be resumed")
            return None
