"""How a run ended, and what its user is told of it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hpo.spec.output import OutputSpec
from hpo.store.study_file import RunState
from hpo.store.trust import Functions, consent
from hpo.trials.records import TrialRecord, TrialState
from hpo.views.timing import Times

if TYPE_CHECKING:
    from hpo.trials.finalists import Finalist


@dataclass(frozen=True)
class Outcome:
    """What a session leaves behind."""

    records: list[TrialRecord]
    """Of every finished trial, those of earlier sessions included."""
    state: RunState
    error: str = ""
    """Why the run failed, or how to go on with it; empty for a complete one."""
    times: Times | None = None
    """Of the trials of this session."""
    finalists: Sequence[Finalist] = ()
    """Those that were tested, best first."""
    finals_s: float = 0.0
    """Seconds of this session's finals."""


@dataclass(frozen=True)
class Judge:
    """Says how a run of so many trials ended, and by which command it goes on."""

    total_trials: int
    resume_command: str

    def outcome(self, records: list[TrialRecord], *, interrupted: bool = False, fault: str = "") -> Outcome:
        """The outcome of a run with these finished trials. fault: what ended it, if something did."""
        state, error = self._judged(records, interrupted, fault)
        return Outcome(records, state, error)

    def failed(self, outcome: Outcome, fault: str) -> Outcome:
        """The same outcome, but of a run that this fault ended."""
        state, error = self._judged(outcome.records, False, fault)
        return replace(outcome, state=state, error=error)

    def _judged(self, records: list[TrialRecord], interrupted: bool, fault: str) -> tuple[RunState, str]:
        if fault:
            return RunState.FAILED, f"{fault}; when that is mended, go on with: {self.resume_command}"
        if interrupted:
            return RunState.INTERRUPTED, f"interrupted; go on with: {self.resume_command}"
        if records and not any(record.usable for record in records):
            all_failed = all(record.state is TrialState.FAILED for record in records)
            what = "every trial failed" if all_failed else "no trial is usable"
            return RunState.FAILED, f"{what}, the first with: {records[0].error}"
        if len(records) < self.total_trials:
            done = f"{len(records)} of {self.total_trials} trials"
            return RunState.OUT_OF_TIME, f"out of time after {done}; go on with: {self.resume_command}"
        return RunState.COMPLETE, ""


def resume_command(name: str, output: OutputSpec, models: Sequence[str], functions: Functions = ()) -> str:
    """The command that goes on with the run `name`."""
    command = f"python hpo/run.py --resume {shlex.quote(name)}"
    if output.results_dir != OutputSpec().results_dir:
        command += f" --results-dir {shlex.quote(str(output.results_dir))}"
    return command + consent(models, functions)
