"""One driver at work in results/NAME: from the lock to the last file."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Self

from optuna.exceptions import OptunaError
from ray.exceptions import RayError
from sqlalchemy.exc import SQLAlchemyError

from cluster.connect import connect
from cluster.watch import watched
from hpo.search.plan import Plan
from hpo.search.tuning import SearchFault, for_workers, run_search
from hpo.session import study_json as provenance
from hpo.session.finals import run_finals, seeds
from hpo.session.mending import mend
from hpo.session.winner import write_winner
from hpo.spec.output import OutputSpec
from hpo.spec.study import StudySpec
from hpo.store import run_folder as folders
from hpo.store.checkpoints import Checkpoints, FolderStorage, place_at
from hpo.store.csv_tables import curves_frame, leaderboard_frame, trials_frame
from hpo.store.finals_file import read_finalists
from hpo.store.run_folder import RunFolder
from hpo.store.stored_run import read_records
from hpo.store.trust import check_records, consent
from hpo.system.errors import FAILED, UserError
from hpo.system.files import write_atomically
from hpo.system.interrupt import in_prompt, interruptible, saying
from hpo.system.logs import logged_to
from hpo.system.streams import tell
from hpo.system.text import describe_error
from hpo.trials.asha import rungs
from hpo.trials.finalists import Finalist, choose, order
from hpo.trials.ranking import Ranked, rank
from hpo.trials.records import TrialRecord, TrialState
from hpo.views.estimate import Work
from hpo.views.progress import Progress, make_progress
from hpo.views.timing import Times, measure

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """records: of every finished trial. state: complete, out of time, interrupted or failed. times: of the trials of
    this session. finalists: that were tested, best first. finals_s: seconds of this session's finals."""

    records: list[TrialRecord]
    state: str
    error: str = ""
    times: Times | None = None
    finalists: Sequence[Finalist] = ()
    finals_s: float = 0.0


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
        check_records(output.resume, read_records(folder.journal), spec.search.model)
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
                raise UserError(f"--resume {output.resume}: {self.folder.path} cannot be written ({error})") from error
        else:
            self.folder = folders.create(output.results_dir, output.name, study, self.plan.spec.search.model)
            self._exits.callback(self.folder.unlock)
        self._exits.enter_context(saying(self._interrupted))
        try:
            self.folder.logs.mkdir(exist_ok=True)
            self.checkpoints = _checkpoints(self.plan.spec, self.folder)
            self._exits.enter_context(logged_to(self.folder.logs / "hpo.log"))
            self._mend()
        except BaseException:
            self._exits.close()
            raise
        return self

    def _mend(self) -> None:
        """What a resumed run's files have lost is brought back, as far as one of them still has it."""
        output = self.plan.spec.output
        if not self._existing:
            return
        try:
            done = mend(self.plan, self.folder, self.checkpoints)
        except (OSError, OptunaError, SQLAlchemyError) as error:
            words = describe_error(error)
            raise UserError(f"--resume {output.resume}: {self.folder.path} cannot be mended ({words})") from error
        for words in done if not output.quiet else ():
            tell(f"note: {words}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            logger.error("the session ends with an error", exc_info=error)
            state = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            with suppress(OSError, ValueError):
                self.folder.write_study(provenance.ended(self.folder.read_study(), state, {}))
        self._exits.close()
        if isinstance(error, ValueError):
            # Within a session nothing is the user's mistake any more: main() must not show it as one.
            raise RuntimeError("an error of Podium's own") from error

    def run(self) -> Outcome:
        """Runs what is missing: trials, and the finals of those that came out best."""
        plan, before = self.plan, read_records(self.folder.journal)
        if before and not plan.spec.output.quiet:
            tell(f"resumes: {len(before)} of {plan.total_trials} trials are finished")
        finished = self._outcome(before, False, "")
        if finished.state == "complete" and not self._without_finals(finished):
            return finished
        with interruptible() as interrupted:
            try:
                return self._run(before, interrupted)
            except (SearchFault, ConnectionError) as fault:
                words = str(fault)
            except (OSError, RayError) as fault:
                words = describe_error(fault)
            # An interrupt ends the workers and whatever waits for them, in an error at times.
            words = "" if interrupted.is_set() else words
            return self._outcome(read_records(self.folder.journal), interrupted.is_set(), words)

    def _run(self, before: list[TrialRecord], interrupted: threading.Event) -> Outcome:
        plan, progress = self.plan, self._progress(before)
        with connect(plan.spec.resources.address, plan.cpus, self.folder.logs), watched(self._lost):
            outcome = self._search(before, progress, interrupted)
            if outcome.state != "complete":
                return outcome
            started = time.monotonic()
            self._finals(outcome.records, interrupted)
        ended = self._outcome(outcome.records, interrupted.is_set(), "")
        if ended.state == "complete" and (missing := self._without_finals(ended)):
            ended = self._outcome(outcome.records, False, f"no final of {', '.join(missing)}, logs/hpo.log says why")
        return replace(ended, times=outcome.times, finals_s=time.monotonic() - started)

    def _progress(self, before: list[TrialRecord]) -> Progress:
        search, finals = self.plan.spec.search, self.plan.spec.finals
        work = Work(
            trials=self.plan.total_trials,
            epochs=search.epochs,
            rungs=rungs(search.epochs) if search.stops_early else (),
            networks=len(self.plan.models) * finals.finalists * finals.final_seeds,
            budget_s=search.budget_s,
        )
        return make_progress(work, before, self.plan.spec.output.quiet)

    def _search(self, before: list[TrialRecord], progress: Progress, interrupted: threading.Event) -> Outcome:
        plan = self.plan
        if len(before) >= plan.total_trials:
            return self._outcome(before, False, "")
        with progress:
            records = run_search(plan, self.folder, self.checkpoints, progress, interrupted)
        times = measure(records[len(before) :], plan.places, progress.elapsed_s, progress.started_s)
        return replace(self._outcome(records, interrupted.is_set(), ""), times=times)

    def _finals(self, records: list[TrialRecord], interrupted: threading.Event) -> None:
        chosen = self._chosen(records)
        if not chosen:
            return
        heard = (lambda _: None) if self.plan.spec.output.quiet else tell
        place = for_workers(self.checkpoints.place, self.plan.spec.resources.address is not None)
        run_finals(self.plan, self.folder, place, chosen, interrupted, heard)

    def _chosen(self, records: list[TrialRecord]) -> list[TrialRecord]:
        return choose(rank(records, self.plan.rank_by), self.plan.spec.finals.finalists)

    def _finalists(self, records: list[TrialRecord]) -> list[Finalist]:
        return order(read_finalists(self.folder.finals, self._chosen(records), seeds(self.plan)))

    def _without_finals(self, outcome: Outcome) -> list[str]:
        """Ids of the chosen that are not tested."""
        tested = {finalist.record.trial_id for finalist in outcome.finalists}
        return [record.trial_id for record in self._chosen(outcome.records) if record.trial_id not in tested]

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
        write_atomically(folder.leaderboard_csv, leaderboard_frame(ranked, outcome.finalists).to_csv(index=False))
        settled = write_winner(ranked, folder, self.plan, self.checkpoints)
        counts = Counter(record.state.value for record in outcome.records)
        times = outcome.times.to_dict() if outcome.times else None
        folder.write_study(provenance.ended(folder.read_study(), outcome.state, dict(counts), times))
        if outcome.state != "interrupted":  # whoever interrupts waits for the end, and the page takes seconds
            self._write_report()
        shutil.rmtree(folder.tune, ignore_errors=True)
        if outcome.state == "complete" and settled:
            self.checkpoints.place.clear()
            shutil.rmtree(folder.final_weights, ignore_errors=True)

    def _write_report(self) -> None:
        from hpo.networks.evaluation import evaluate_winner
        from hpo.store.stored_run import read_run
        from hpo.views.report import write_report

        own = [name for name in self.plan.spec.search.model if ":" in name]  # the user's, who trusts them
        try:
            evaluate = partial(evaluate_winner, self.folder.path, self.plan.spec.data.data_dir, own)
            write_report(read_run(self.folder.path), self.folder.report_html, evaluate)
        except OSError:
            raise
        except Exception:
            logger.exception("the report could not be made: hpo report tries again")

    def _lost(self, address: str) -> None:
        """The cluster is gone, and with it every call that the search is waiting in: all that is left to do is to
        write what is finished, say so and leave."""
        error = f"the Ray cluster at {address} does not answer any more"
        words = self._abandon(interrupted=False, error=error)
        print(f"\nhpo: {words}", file=sys.stderr, flush=True)
        if not in_prompt():
            os._exit(FAILED)

    def _interrupted(self) -> str:
        """The last words of a run that is ended at once."""
        return self._abandon(interrupted=True, error="")

    def _abandon(self, interrupted: bool, error: str) -> str:
        """Writes what is finished, from whichever thread, while the main one may be anywhere; returns what is said."""
        records = read_records(self.folder.journal)
        state, words = self._state(records, interrupted, error)
        logger.error("%s", words)
        with suppress(OSError):
            write_atomically(self.folder.trials_csv, trials_frame(rank(records, self.plan.rank_by)).to_csv(index=False))
        with suppress(OSError, ValueError):
            self.folder.write_study(provenance.ended(self.folder.read_study(), state, {}))
        return words

    def _outcome(self, records: list[TrialRecord], interrupted: bool, error: str) -> Outcome:
        state, words = self._state(records, interrupted, error)
        return Outcome(records, state, words, finalists=self._finalists(records))

    def _state(self, records: list[TrialRecord], interrupted: bool, error: str) -> tuple[str, str]:
        again = f"python hpo/run.py --resume {shlex.quote(self.folder.path.name)}"
        if self.plan.spec.output.results_dir != OutputSpec().results_dir:
            again += f" --results-dir {shlex.quote(str(self.plan.spec.output.results_dir))}"
        again += consent(self.plan.spec.search.model)
        if error:
            return "failed", f"{error}; when that is mended, go on with: {again}"
        if interrupted:
            return "interrupted", f"interrupted; go on with: {again}"
        if records and not any(record.usable for record in records):
            what = "every trial failed" if {r.state for r in records} == {TrialState.FAILED} else "no trial is usable"
            return "failed", f"{what}, the first with: {records[0].error}"
        total = self.plan.total_trials
        if len(records) < total:
            return "out of time", f"out of time after {len(records)} of {total} trials; go on with: {again}"
        return "complete", ""


def _checkpoints(spec: StudySpec, folder: RunFolder) -> Checkpoints:
    path = spec.resources.storage_path
    return Checkpoints(
        place_at(path, f"podium-{folder.path.name}-{folder.run_id}")
        if path
        else FolderStorage(folder.checkpoints.resolve())
    )


def _check_not_fewer(folder: RunFolder, trials: int) -> None:
    done = max(Counter(record.model for record in read_records(folder.journal)).values(), default=0)
    if trials < done:
        raise UserError(f"--trials {trials}: {done} are finished already")
