"""From a lane's reports to its row: journal first, then everything that only mirrors it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hpo.search.searcher import TrialListener
from hpo.store.checkpoints import Checkpoints
from hpo.store.csv_tables import LiveTrials
from hpo.store.journal import Journal
from hpo.store.trackers import Tracker
from hpo.trials.ranking import Leaders
from hpo.trials.records import TrialRecord, TrialState
from hpo.views.progress import Progress

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Constants:
    """The columns that all trials of one architecture share."""

    model: str
    parameters: int
    dataset: str
    precision: str
    seed: int


class Recorder(TrialListener):
    """Turns reports into `TrialRecord`s and keeps the run's files and display up to date."""

    def __init__(
        self,
        records: list[TrialRecord],
        journal: Journal,
        live: LiveTrials,
        progress: Progress,
        checkpoints: Checkpoints,
    ) -> None:
        self.trackers: Sequence[Tracker] = ()
        self.records, self.journal, self.live, self.progress = records, journal, live, progress
        self.checkpoints = checkpoints
        self._leaders = Leaders(live.by, records)
        self.constants: Constants | None = None
        self._curves: dict[str, dict[int, dict[str, Any]]] = {}

    def started(self, lane: dict[str, Any]) -> None:
        logger.info("%s starts with %s", lane["trial_id"], lane["params"])
        self._show(lambda: self.progress.started(lane["trial_id"]))

    def reported(self, lane: dict[str, Any], report: dict[str, Any]) -> None:
        curve = self._curves.setdefault(lane["trial_id"], {})
        curve.update({epoch["epoch"]: epoch for epoch in report.get("curve", ())})
        self._show(lambda: self.progress.reported(lane["trial_id"], report))
        for tracker in self.trackers:
            self._show(partial(tracker.reported, lane["trial_id"], report.get("curve", ())))

    def finished(self, lane: dict[str, Any], report: dict[str, Any]) -> None:
        if "traceback" in report:
            logger.error("%s failed\n%s", lane["trial_id"], report["traceback"])
        if report.get("warning"):
            logger.warning("%s: %s", lane["trial_id"], report["warning"])
        record = self._record(lane, report)
        self.journal.append(record.to_dict())
        logger.info("%s %s: %s after %d epochs", record.trial_id, record.state, record.val_accuracy, record.epochs)
        self.records.append(record)
        self._keep_only_leaders(record)
        self.live.added()
        self._show(lambda: self.progress.finished(record))
        for tracker in self.trackers:
            self._show(partial(tracker.finished, record))

    def _show(self, action: Callable[[], None]) -> None:
        """A display or a tracker that fails (a closed pipe, say) is no reason to end a search."""
        try:
            action()
        except Exception as error:
            logger.warning("a display or tracker failed: %r", error)

    def _record(self, lane: dict[str, Any], report: dict[str, Any]) -> TrialRecord:
        assert self.constants is not None
        curve = self._curves.pop(lane["trial_id"], {})
        values = {
            **report,
            "trial_id": lane["trial_id"],
            "model": self.constants.model,
            "parameters": report.get("parameters", self.constants.parameters),
            "dataset": self.constants.dataset,
            "precision": self.constants.precision,
            "seed": self.constants.seed + lane["number"],
            "config": lane["params"],
            "state": TrialState(report["state"]),
            "curve": [curve[epoch] for epoch in sorted(curve)],
        }
        return TrialRecord.from_dict(values)

    def _keep_only_leaders(self, record: TrialRecord) -> None:
        """A finished trial's checkpoint is kept only while the trial may be the winner."""
        for other in self._leaders.added(record):
            try:
                self.checkpoints.remove(other.trial_id)
            except OSError as error:
                logger.warning("%s: its checkpoint stays (%s)", other.trial_id, error)
