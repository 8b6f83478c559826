"""What a run did when, in the trace format of Chrome: https://ui.perfetto.dev and chrome://tracing show it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from hpo.trials.messages import TrialReport, TrialRequest
from hpo.trials.records import TrialRecord, TrialState

DRIVER, TRIALS, FINALS = 1, 2, 3  # the groups of rows
_GROUPS = {DRIVER: "driver", TRIALS: "trials", FINALS: "finals"}


@dataclass(frozen=True)
class Span:
    """Something that took time."""

    what: str
    began: float
    """As time.time() has it, like `ended`."""
    ended: float
    group: int = DRIVER
    row: int = 0


class Timeline:
    """Follows the trials of a search: each has a row while it has a worker, as do its epochs."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._running: dict[str, tuple[int, float]] = {}  # row and start, by trial id
        self._epochs: dict[str, int] = {}  # the last one of each trial

    def started(self, request: TrialRequest) -> None:
        taken = {row for row, _ in self._running.values()}
        row = next(row for row in range(len(taken) + 1) if row not in taken)
        self._running[request.trial_id] = row, time.time()

    def reported(self, request: TrialRequest, report: TrialReport) -> None:
        """Adds the epochs since the last report: the newest ended just now."""
        row, began = self._running.get(request.trial_id, (0, 0.0))
        ended, last = time.time(), self._epochs.get(request.trial_id, 0)
        for result in reversed([result for result in report.curve if result.epoch > last]):
            trained = ended - result.eval_s
            start = max(began, trained - result.train_s)
            self.spans.append(Span(f"epoch {result.epoch}: evaluation", max(start, trained), ended, TRIALS, row))
            self.spans.append(Span(f"epoch {result.epoch}: training", start, max(start, trained), TRIALS, row))
            ended = start
        self._epochs[request.trial_id] = max(last, report.epochs)
        if report.state == TrialState.PAUSED:
            self._end(request.trial_id)

    def finished(self, record: TrialRecord) -> None:
        self._end(record.trial_id)

    def _end(self, trial_id: str) -> None:
        if trial_id in self._running:
            row, began = self._running.pop(trial_id)
            self.spans.append(Span(trial_id, began, time.time(), TRIALS, row))


def finals_spans(rows: Iterable[dict[str, Any]]) -> Iterator[Span]:
    """The networks of the finals, from the entries of finals.jsonl, each in the first row that is free."""
    free_from: list[float] = []
    for row in sorted(rows, key=lambda row: row.get("ended_at", 0.0) - row.get("train_s", 0.0)):
        if "ended_at" not in row or "train_s" not in row:
            continue  # of an older version, or it could not be trained
        ended, began = row["ended_at"], row["ended_at"] - row["train_s"]
        place = next((n for n, free in enumerate(free_from) if free <= began), len(free_from))
        free_from[place : place + 1] = [ended]
        yield Span(f"{row['trial_id']}, seed {row['seed']}", began, ended, FINALS, place)


def trace(spans: Iterable[Span]) -> str:
    """The spans as JSON, times in microseconds from the first of them on."""
    known = sorted(spans, key=lambda span: (span.began, -span.ended))
    origin = known[0].began if known else 0.0
    events: list[dict[str, Any]] = [
        {"name": "process_name", "ph": "M", "pid": group, "args": {"name": name}} for group, name in _GROUPS.items()
    ]
    events += [
        {
            "name": span.what,
            "ph": "X",  # a complete event: with its duration
            "ts": round((span.began - origin) * 1e6),
            "dur": round((span.ended - span.began) * 1e6),
            "pid": span.group,
            "tid": span.row + 1,
        }
        for span in known
    ]
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}, indent=None) + "\n"
