"""Telling a study, and whoever writes rows, what became of its trials."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

import optuna

from hpo.search.asking import AskedTrial
from hpo.search.patience import Patience
from hpo.search.study_sync import Value, tell
from hpo.store.database.optuna_private import has_value_at
from hpo.trials.messages import TrialReport, TrialRequest
from hpo.trials.objectives import values
from hpo.trials.records import TrialState

NO_EPOCH = "ended before its first epoch"
logger = logging.getLogger(__name__)


class ReportListener(Protocol):
    """Whoever turns reports into rows."""

    def started(self, request: TrialRequest) -> None: ...

    def reported(self, request: TrialRequest, report: TrialReport) -> None: ...

    def finished(self, request: TrialRequest, report: TrialReport) -> None: ...


class Teller:
    """Tells a study every intermediate value of a trial, and its end.

    The listener comes first: it has put the row on disk before Optuna is told.
    """

    def __init__(
        self,
        study: optuna.Study,
        listener: ReportListener,
        objective: Sequence[str] = ("accuracy",),
        patience: Patience | None = None,
    ) -> None:
        """objective: the names of the study's objectives (hpo/trials/objectives.py)."""
        self.study, self.listener, self.objective = study, listener, objective
        self.patience = patience or Patience()
        self._last: dict[str, TrialReport] = {}
        self._retries: dict[str, int] = {}
        self._notes: dict[str, str] = {}
        self._over: set[str] = set()

    def started(self, asked: AskedTrial) -> None:
        self.listener.started(asked.request)

    def is_over(self, asked: AskedTrial) -> bool:
        """Whether its end is told."""
        return asked.trial_id in self._over

    def is_short_of_memory(self, asked: AskedTrial) -> bool:
        """Whether its last report says that it ran out of memory."""
        return self._is(asked, TrialState.OUT_OF_MEMORY)

    def is_paused(self, asked: AskedTrial) -> bool:
        """Whether its last report says that it waits on a rung."""
        return self._is(asked, TrialState.PAUSED)

    def epochs(self, asked: AskedTrial) -> int:
        """The epochs of its last report."""
        return self._last[asked.trial_id].epochs

    def report(self, asked: AskedTrial, report: TrialReport) -> None:
        """Passes on what a worker says after an epoch; ends the trial where that is its last."""
        last = self._last.get(asked.trial_id)
        if last is not None and (last.epochs, last.state) == (report.epochs, report.state):
            return  # Tune hands the last result over a second time when a trial ends
        self._last[asked.trial_id] = report
        # Before Optuna: a storage that fails now must not tear a hole into the trial's curve.
        self.listener.reported(asked.request, report)
        if len(self.study.directions) == 1:  # with several objectives Optuna takes no intermediate values
            self._report_values(asked.optuna_trial, report)
        if report.state not in (TrialState.RUNNING, TrialState.PAUSED, TrialState.OUT_OF_MEMORY):
            self.end(asked)

    def runs_again(self, asked: AskedTrial, why: str) -> None:
        """The trial begins anew; `why` will be in its row."""
        self._last.pop(asked.trial_id)
        self._notes[asked.trial_id] = why

    def has_run_before(self, asked: AskedTrial) -> bool:
        return asked.trial_id in self._notes

    def restarted(self, asked: AskedTrial, retries: int) -> None:
        """Another worker goes on with the trial."""
        self._retries[asked.trial_id] = retries

    def end(self, asked: AskedTrial) -> None:
        """The trial is over, with what it reported last: what still ran, or waited on a rung, was stopped."""
        retries = self._retries.pop(asked.trial_id, 0)
        last = self._last.get(asked.trial_id) or TrialReport(trial_id=asked.trial_id, state=TrialState.OUT_OF_MEMORY)
        if last.state in (TrialState.RUNNING, TrialState.PAUSED):
            last = replace(last, state=TrialState.STOPPED)
        elif last.state == TrialState.OUT_OF_MEMORY:
            last = replace(last, state=TrialState.FAILED, error=last.error or NO_EPOCH)
        self._finish(asked, replace(last, retries=retries))

    def fail(self, asked: AskedTrial, error: str, retries: int) -> None:
        """The trial is over, because its worker was lost for good."""
        last = self._last.get(asked.trial_id) or TrialReport(trial_id=asked.trial_id, state=TrialState.FAILED)
        self._finish(asked, replace(last, state=TrialState.FAILED, error=error, retries=retries))

    def _is(self, asked: AskedTrial, state: TrialState) -> bool:
        last = self._last.get(asked.trial_id)
        return last is not None and last.state == state

    def _finish(self, asked: AskedTrial, report: TrialReport) -> None:
        if note := self._notes.pop(asked.trial_id, ""):
            error = "; ".join(filter(None, (note, report.error)))
            report = replace(report, retries=report.retries + 1, error=error)
        self._last.pop(asked.trial_id, None)
        self._over.add(asked.trial_id)
        self.listener.finished(asked.request, report)
        told = self._value(report)
        self.patience.call(partial(tell, self.study, asked.request.number, report.state, told))

    def _report_values(self, trial: optuna.Trial, report: TrialReport) -> None:
        for step, value in report.values:
            # A resumed trial hands its whole curve over again; Optuna would warn of each value it has.
            if not has_value_at(trial, step):
                self.patience.call(partial(trial.report, value, step))

    def _value(self, report: TrialReport) -> Value:
        if len(self.objective) == 1:
            return report.score
        return values(self.objective, report)
