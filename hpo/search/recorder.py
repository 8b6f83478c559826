"""From a trial's reports to its row: journal first, then everything that only mirrors it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hpo.store.checkpoints import Checkpoints
from hpo.store.journal import Journal
from hpo.trials.messages import TrialListener, TrialReport, TrialRequest
from hpo.trials.ranking import DEFAULT, Leaders, RankBy
from hpo.trials.records import TrialRecord

logger = logging.getLogger(__name__)


class Recorder:
    """Keeps the rows of a run, in the order in which its trials ended."""

    def __init__(
        self,
        records: list[TrialRecord],
        journal: Journal,
        checkpoints: Checkpoints,
        listeners: Sequence[TrialListener] = (),
        by: RankBy = DEFAULT,
    ) -> None:
        """records: the trials of earlier sessions; new ones are added. listeners: displays, trackers and tables, in the
        order in which they are told. by: how trials are ranked, which says whose checkpoint is kept."""
        self.records, self.journal, self.checkpoints, self.listeners = records, journal, checkpoints, listeners
        self._leaders = Leaders(by, records)
        self._begun: set[str] = set()

    def started(self, request: TrialRequest) -> None:
        if request.trial_id in self._begun:
            logger.info("%s goes on", request.trial_id)
        else:
            logger.info("%s starts with %s", request.trial_id, request.params)
        self._begun.add(request.trial_id)
        for listener in self.listeners:
            _try(partial(listener.started, request))

    def reported(self, request: TrialRequest, report: TrialReport) -> None:
        for listener in self.listeners:
            _try(partial(listener.reported, request, report))

    def finished(self, record: TrialRecord) -> None:
        """Puts the row on disk. Raises OSError where the disk does not take it."""
        self.journal.append(record.to_dict())
        logger.info("%s %s: %s after %d epochs", record.trial_id, record.state, record.value, record.epochs)
        self.records.append(record)
        self._keep_only_leaders(record)
        for listener in self.listeners:
            _try(partial(listener.finished, record))

    def _keep_only_leaders(self, record: TrialRecord) -> None:
        """A finished trial's checkpoint is kept only while the trial may be the winner."""
        for other in self._leaders.added(record):
            try:
                self.checkpoints.remove(other.trial_id)
            except OSError as error:
                logger.warning("%s: its checkpoint stays (%s)", other.trial_id, error)


@dataclass(frozen=True, kw_only=True)
class SharedColumns:
    """The columns that all trials of one architecture share."""

    model: str
    parameters: int
    """Those that were planned, for a trial that fails before it has a network."""
    dataset: str
    precision: str
    metric: str
    seed: int
    """The study's; a trial's is that plus its number."""


class ReportRecorder:
    """Turns the reports of one architecture's trials into rows."""

    def __init__(self, recorder: Recorder, columns: SharedColumns) -> None:
        self.recorder, self.columns = recorder, columns
        self._curves: dict[str, dict[int, dict[str, Any]]] = {}

    def started(self, request: TrialRequest) -> None:
        self.recorder.started(request)

    def reported(self, request: TrialRequest, report: TrialReport) -> None:
        curve = self._curves.setdefault(request.trial_id, {})
        curve.update({row["epoch"]: row for row in report.rows()})
        self.recorder.reported(request, report)

    def finished(self, request: TrialRequest, report: TrialReport) -> None:
        if report.traceback:
            logger.error("%s failed\n%s", request.trial_id, report.traceback)
        if report.warning:
            logger.warning("%s: %s", request.trial_id, report.warning)
        self.recorder.finished(self._record(request, report))

    def _record(self, request: TrialRequest, report: TrialReport) -> TrialRecord:
        columns, curve = self.columns, self._curves.pop(request.trial_id, {})
        shared = {**report.shared(), "before": dict(report.before), "trial_id": request.trial_id}
        return TrialRecord(
            **shared,
            model=columns.model,
            parameters=columns.parameters if report.parameters is None else report.parameters,
            dataset=columns.dataset,
            metric=columns.metric,
            precision=columns.precision,
            seed=columns.seed + request.number,
            config=dict(request.params),
            curve=[curve[epoch] for epoch in sorted(curve)],
        )


def _try(action: Callable[[], object]) -> None:
    """A display or a tracker that fails (a closed pipe, say) is no reason to end a search."""
    try:
        action()
    except Exception as error:
        logger.warning("a display or tracker failed: %r", error)
