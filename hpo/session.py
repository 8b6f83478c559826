"""One driver at work in results/NAME: from the lock to the last file."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from cluster.connect import connect
from cluster.watch import watched
from hpo import folder as folders
from hpo import provenance
from hpo.checkpoints import Checkpoints, Folder, place_at
from hpo.command import FAILED
from hpo.folder import RunFolder
from hpo.interrupt import in_prompt, interruptible
from hpo.journal import write_atomically
from hpo.logs import logged_to
from hpo.preflight import Plan
from hpo.progress import make_progress
from hpo.ranking import Ranked, rank
from hpo.records import TrialRecord, TrialState
from hpo.search import SearchFault, read_records, run_search
from hpo.study import OutputSpec, StudySpec
from hpo.tables import curves_frame, leaderboard_frame, trials_frame
from hpo.timing import Times, measure
from hpo.winner import has_weights, write_winner

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """records: of every finished trial. state: complete, out of time, interrupted or failed. times: of the trials of
    this session."""

    records: list[TrialRecord]
    state: str
    error: str = ""
    times: Times | None = None


@contextmanager
def locked(spec: StudySpec) -> Iterator[RunFolder | None]:
    """The locked folder of a run to resume, with no more trials than asked for; None for a new run, whose name
    must be free."""
    output = spec.output
    if output.resume is None:
        folders.check_free(output.results_dir, output.name)
        yield None
        return
    folder = folders.reopen(output.results_dir, output.resume)
    try:
        _check_not_fewer(folder, spec.search.trials)
        yield folder
    finally:
        folder.unlock()


class Session:
    """Makes or takes over the run's folder, searches in it, and writes what came of it."""

    def __init__(self, plan: Plan, existing: RunFolder | None) -> None:
        self.plan, self._existing = plan, existing
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        study, output = provenance.describe(self.plan), self.plan.spec.output
        if self._existing:
            self.folder = self._existing
            study = provenance.resumed(self.folder.read_study(), self.plan)
            try:
                self.folder.write_study(study)
            except OSError as error:
                raise ValueError(f"--resume {output.resume}: {self.folder.path} cannot be written ({error})") from error
        else:
            name = output.name or folders.free_name(output.results_dir, self.plan.spec.search.model)
            self.folder = folders.create(output.results_dir, name, study)
            self._exits.callback(self.folder.unlock)
        self.folder.logs.mkdir(exist_ok=True)
        self.checkpoints = _checkpoints(self.plan.spec, self.folder)
        self._exits.enter_context(logged_to(self.folder.logs / "hpo.log"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            logger.error("the session ends with an error", exc_info=error)
            state = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            with suppress(OSError):
                self.folder.write_study(provenance.ended(self.folder.read_study(), state, {}))
        self._exits.close()
        if isinstance(error, ValueError):
            # Within a session nothing is the user's mistake any more: main() must not show it as one.
            raise RuntimeError("an error of Podium's own") from error

    def search(self) -> Outcome:
        """Runs the trials that are still missing, if any."""
        plan, before = self.plan, read_records(self.folder)
        if before and not plan.spec.output.quiet:
            print(f"resumes: {len(before)} of {plan.total_trials} trials are finished", flush=True)
        if len(before) == plan.total_trials:
            return self._outcome(before, False, "")
        address = plan.spec.resources.address
        search, quiet = plan.spec.search, plan.spec.output.quiet
        progress = make_progress(plan.total_trials, search.epochs, before, quiet, search.budget_s)
        try:
            with (
                progress,
                connect(address, plan.cpus, self.folder.logs),
                watched(self._lost),
                interruptible() as interrupted,
            ):
                records = run_search(plan, self.folder, self.checkpoints, progress, interrupted)
                elapsed_s = progress.elapsed_s  # ending Ray is no part of it
        except (SearchFault, ConnectionError) as fault:
            return self._outcome(read_records(self.folder), False, str(fault))
        places = min(plan.concurrency, search.trials)
        times = measure(records[len(before) :], places, elapsed_s, progress.started_s)
        return replace(self._outcome(records, interrupted.is_set(), ""), times=times)

    def write(self, ranked: list[Ranked], outcome: Outcome) -> Outcome:
        """Writes the ranked tables, the winner and study.json; removes what only a resume would need.

        Returns the outcome, which is failed where the disk did not take a file.
        """
        try:
            self._write(ranked, outcome)
        except OSError as error:
            return self._outcome(outcome.records, False, f"{error.filename or self.folder.path}: {error.strerror}")
        return outcome

    def _write(self, ranked: list[Ranked], outcome: Outcome) -> None:
        folder = self.folder
        write_atomically(folder.trials_csv, trials_frame(ranked).to_csv(index=False))
        write_atomically(folder.curves_csv, curves_frame(outcome.records).to_csv(index=False))
        write_atomically(folder.leaderboard_csv, leaderboard_frame(ranked).to_csv(index=False))
        write_winner(ranked, folder, self.plan, self.checkpoints)
        counts = Counter(record.state.value for record in outcome.records)
        times = outcome.times.to_dict() if outcome.times else None
        folder.write_study(provenance.ended(folder.read_study(), outcome.state, dict(counts), times))
        shutil.rmtree(folder.tune, ignore_errors=True)
        kept = not ranked or not ranked[0].record.usable or has_weights(folder, ranked[0].record)
        if len(outcome.records) == self.plan.total_trials and kept:
            self.checkpoints.place.clear()

    def _lost(self, address: str) -> None:
        """The cluster is gone, and with it every call that the search is waiting in: all that is left to do is to
        write what is finished, say so and leave."""
        outcome = self._outcome(
            read_records(self.folder), False, f"the Ray cluster at {address} does not answer any more"
        )
        logger.error("%s", outcome.error)
        with suppress(OSError):
            write_atomically(self.folder.trials_csv, trials_frame(rank(outcome.records)).to_csv(index=False))
            self.folder.write_study(provenance.ended(self.folder.read_study(), outcome.state, {}))
        print(f"\nhpo: {outcome.error}", file=sys.stderr, flush=True)
        if not in_prompt():
            os._exit(FAILED)

    def _outcome(self, records: list[TrialRecord], interrupted: bool, error: str) -> Outcome:
        again = f"python hpo/run.py --resume {shlex.quote(self.folder.path.name)}"
        if self.plan.spec.output.results_dir != OutputSpec().results_dir:
            again += f" --results-dir {shlex.quote(str(self.plan.spec.output.results_dir))}"
        if error:
            return Outcome(records, "failed", f"{error}; when that is mended, go on with: {again}")
        if interrupted:
            return Outcome(records, "interrupted", f"interrupted; go on with: {again}")
        if records and not any(record.usable for record in records):
            what = "every trial failed" if {r.state for r in records} == {TrialState.FAILED} else "no trial is usable"
            return Outcome(records, "failed", f"{what}, the first with: {records[0].error}")
        total = self.plan.total_trials
        if len(records) < total:
            return Outcome(
                records, "out of time", f"out of time after {len(records)} of {total} trials; go on with: {again}"
            )
        return Outcome(records, "complete")


def _checkpoints(spec: StudySpec, folder: RunFolder) -> Checkpoints:
    path = spec.resources.storage_path
    return Checkpoints(
        place_at(path, f"podium-{folder.path.name}-{folder.run_id}") if path else Folder(folder.checkpoints.resolve())
    )


def _check_not_fewer(folder: RunFolder, trials: int) -> None:
    done = max(Counter(record.model for record in read_records(folder)).values(), default=0)
    if trials < done:
        raise ValueError(f"--trials {trials}: {done} are finished already")
