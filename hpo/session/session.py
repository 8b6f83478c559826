"""One driver at work in results/NAME: from the lock to the last file."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from importlib import import_module

from optuna.exceptions import OptunaError
from ray.exceptions import RayError
from sqlalchemy.exc import SQLAlchemyError

from cluster.connect import connect
from cluster.own_ray.starting import OwnRay
from cluster.watch import watched
from hpo.search.tuning import SearchFault, for_workers, run_search
from hpo.session import study_json
from hpo.session.finals import run_finals
from hpo.session.last_words import LastWords
from hpo.session.mending import mend
from hpo.session.outcome import Judge, Outcome, resume_command
from hpo.session.result_files import write_results
from hpo.spec.plan import Plan
from hpo.store import run_folder as folders
from hpo.store.checkpoint_stores import FolderStorage, checkpoint_storage
from hpo.store.checkpoints import Checkpoints
from hpo.store.finals_file import check_row, read_finalists
from hpo.store.journal import scan
from hpo.store.run_folder import RunFolder
from hpo.store.stored_run import read_records
from hpo.store.study_file import RunState
from hpo.system.errors import USER_ERRORS, UserError
from hpo.system.files import write_atomically
from hpo.system.interrupt import in_prompt, interruptible, saying
from hpo.system.logs import logged_to
from hpo.system.streams import tell
from hpo.system.text import describe_error
from hpo.trials.finalists import choose, final_seeds, growth, order
from hpo.trials.messages import TrialListener
from hpo.trials.ranking import Ranked, rank
from hpo.trials.records import TrialRecord
from hpo.views.estimate import Work
from hpo.views.phases import past, phase
from hpo.views.progress import Progress, make_progress
from hpo.views.timeline import Span, Timeline, finals_spans, trace
from hpo.views.timing import measure

logger = logging.getLogger(__name__)


@contextmanager
def open_session(plan: Plan, existing: RunFolder | None, own_ray: OwnRay | None = None) -> Iterator[Session]:
    """A session in a new folder, or in the folder of a run that is resumed, which is mended first.

    own_ray: the local Ray that is starting already.

    Raises UserError where the folder cannot be made, written or mended. An error within the block is in the log and
    in study.json, and is never shown as a mistake of the user's.
    """
    with ExitStack() as at_end:
        folder = existing or _made(plan)
        if not existing:
            at_end.callback(folder.unlock)
        spec = plan.spec
        command = resume_command(folder.path.name, spec.output, spec.search.model, spec.own_functions)
        judge = Judge(plan.total_trials, command)
        last_words = LastWords(folder, judge, plan.rank_by)
        # Until an older run is mended nothing of it is written: its files may be all that is left of a trial.
        with saying((lambda: f"interrupted; go on with: {command}") if existing else last_words.interrupted):
            folder.logs.mkdir(exist_ok=True)
            checkpoints = _checkpoints(plan.spec.resources.storage_path, folder)
            at_end.enter_context(logged_to(folder.logs / "hpo.log"))
            if existing:
                _mend(plan, folder, checkpoints)
                # Only now: a run that cannot be mended keeps the study.json of its last session.
                _add_session(folder, plan)
        at_end.enter_context(saying(last_words.interrupted))
        at_end.enter_context(_errors_kept(folder))
        timeline = at_end.enter_context(_timeline(folder)) if spec.output.profile else None
        yield Session(plan, folder, checkpoints, judge, last_words, own_ray, timeline)


@dataclass(frozen=True)
class Session:
    """Runs what is missing of a study in its folder, and writes what came of it."""

    plan: Plan
    folder: RunFolder
    checkpoints: Checkpoints
    judge: Judge
    last_words: LastWords
    own_ray: OwnRay | None
    timeline: Timeline | None

    def run(self) -> Outcome:
        """Runs what is missing: trials, and the finals of those that came out best."""
        before = read_records(self.folder.journal)
        if self.plan.spec.output.live:
            from hpo.views.page.live import serve_live_page

            serve_live_page(self.folder.path, tell)
        if before and not self.plan.spec.output.quiet:
            tell(f"resumes: {len(before)} of {self.plan.total_trials} trials are finished")
        outcome, untested = self._with_finalists(self.judge.outcome(before))
        if outcome.state is RunState.COMPLETE and not untested:
            return outcome
        outcome, untested = self._with_finalists(self._run_missing(before))
        if outcome.state is RunState.COMPLETE and untested:
            return self.judge.failed(outcome, f"no final of {', '.join(untested)}, logs/hpo.log says why")
        return outcome

    def write(self, ranked: list[Ranked], outcome: Outcome) -> Outcome:
        """Writes the result files; returns the outcome, which is failed where the disk did not take one of them."""
        try:
            with phase("writing results and the report", quiet=self.plan.spec.output.quiet):
                write_results(ranked, outcome, self.folder, self.plan, self.checkpoints)
        except OSError as error:
            return self.judge.failed(outcome, f"{error.filename or self.folder.path}: {error.strerror}")
        return outcome

    def _run_missing(self, before: list[TrialRecord]) -> Outcome:
        """Searches and trains the finals; a fault of the cluster, of Ray or of the disk ends in a failed outcome."""
        with interruptible() as interrupted:
            try:
                return self._search_and_train_finals(before, interrupted)
            except (SearchFault, ConnectionError) as error:
                fault = str(error)
            except (OSError, RayError) as error:
                fault = describe_error(error)
            # An interrupt ends the workers and whatever waits for them, in an error at times.
            stopped = interrupted.is_set()
            records = read_records(self.folder.journal)
            return self.judge.outcome(records, interrupted=stopped, fault="" if stopped else fault)

    def _search_and_train_finals(self, before: list[TrialRecord], interrupted: threading.Event) -> Outcome:
        plan, progress = self.plan, self._progress(before)  # its clock counts Ray's start, too
        address, logs, quiet = plan.spec.resources.address, self.folder.logs, plan.spec.output.quiet
        with ExitStack() as cluster:
            with phase("connecting to the cluster" if address else "starting Ray", quiet=quiet):
                cluster.enter_context(connect(address, plan.cpus, logs, self.own_ray, keep=in_prompt()))
            cluster.enter_context(watched(self.last_words.cluster_lost))
            outcome = self._search(before, progress, interrupted)
            if outcome.state is not RunState.COMPLETE:
                return outcome
            started = time.monotonic()
            with phase("finals: the best configurations are trained anew, and tested", quiet=quiet):
                self._train_finals(outcome.records, interrupted)
                cluster.close()
        ended = self.judge.outcome(outcome.records, interrupted=interrupted.is_set())
        return replace(ended, times=outcome.times, finals_s=time.monotonic() - started)

    def _progress(self, before: list[TrialRecord]) -> Progress:
        search, finals = self.plan.spec.search, self.plan.spec.finals
        work = Work(
            trials=self.plan.total_trials,
            epochs=search.epochs,
            rungs=search.rungs,
            networks=len(self.plan.models) * finals.finalists * finals.final_seeds,
            budget_s=search.budget_s,
        )
        return make_progress(work, before, self.plan.spec.output.quiet, search.metric)

    def _search(self, before: list[TrialRecord], progress: Progress, interrupted: threading.Event) -> Outcome:
        plan = self.plan
        if len(before) >= plan.total_trials:
            return self.judge.outcome(before)
        listeners: list[TrialListener] = [progress, self.timeline] if self.timeline else [progress]
        with progress:
            records = run_search(plan, self.folder, self.checkpoints, listeners, interrupted)
        times = measure(records[len(before) :], plan.parallel_groups, progress.elapsed_s, progress.started_s)
        return replace(self.judge.outcome(records, interrupted=interrupted.is_set()), times=times)

    def _train_finals(self, records: list[TrialRecord], interrupted: threading.Event) -> None:
        threading.Thread(target=_import_for_the_report, daemon=True).start()  # while the workers train
        chosen = self._chosen(records)
        if not chosen:
            return
        hear = (lambda _: None) if self.plan.spec.output.quiet else tell
        place = for_workers(self.checkpoints.storage, self.plan.spec.resources.address is not None)
        run_finals(self.plan, self.folder, place, chosen, interrupted, hear)

    def _with_finalists(self, outcome: Outcome) -> tuple[Outcome, list[str]]:
        """The outcome with the finalists that are tested, and the trial ids of those that are not."""
        chosen, seeds = self._chosen(outcome.records), _final_seeds(self.plan)
        data = self.plan.dataset.training
        more = growth(len(data.train), len(data.validation))
        finalists = order(read_finalists(self.folder.finals, chosen, seeds, more))
        tested = {finalist.record.trial_id for finalist in finalists}
        untested = [record.trial_id for record in chosen if record.trial_id not in tested]
        return replace(outcome, finalists=finalists), untested

    def _chosen(self, records: list[TrialRecord]) -> list[TrialRecord]:
        return choose(rank(records, self.plan.rank_by), self.plan.spec.finals.finalists)


def _import_for_the_report() -> None:
    """Imports what the result files need; where that fails, it fails there again."""
    for module in ("sklearn.metrics", "matplotlib.figure", "plotly.graph_objects"):
        with suppress(Exception):
            import_module(module)


def _final_seeds(plan: Plan) -> tuple[int, ...]:
    return final_seeds(plan.spec.search.seed, plan.spec.finals.final_seeds)


def _made(plan: Plan) -> RunFolder:
    """A new folder, locked."""
    output = plan.spec.output
    return folders.create(output.results_dir, output.name, study_json.describe(plan), plan.spec.search.model)


def _add_session(folder: RunFolder, plan: Plan) -> None:
    """Adds this session to the study.json of a run that is resumed."""
    study = study_json.resumed(folder.read_study(), plan)
    try:
        folder.write_study(study)
    except OSError as error:
        name = plan.spec.output.resume
        raise UserError(f"--resume {name}: {folder.path} cannot be written ({error})") from error


def _checkpoints(storage_path: str | None, folder: RunFolder) -> Checkpoints:
    if not storage_path:
        return Checkpoints(FolderStorage(folder.checkpoints.resolve()))
    return Checkpoints(checkpoint_storage(storage_path, f"podium-{folder.path.name}-{folder.run_id}"))


def _mend(plan: Plan, folder: RunFolder, checkpoints: Checkpoints) -> None:
    """Brings back what the files of a resumed run have lost, as far as one of them still has it, and says so."""
    output = plan.spec.output
    try:
        done = mend(plan, folder, checkpoints)
    except (OSError, OptunaError, SQLAlchemyError) as error:
        words = describe_error(error)
        raise UserError(f"--resume {output.resume}: {folder.path} cannot be mended ({words})") from error
    for words in done if not output.quiet else ():
        tell(f"note: {words}")


@contextmanager
def _timeline(folder: RunFolder) -> Iterator[Timeline]:
    """Follows the session, and writes at its end what was done when."""
    timeline, began = Timeline(), time.time()
    try:
        yield timeline
    finally:
        finals = [row for row in scan(folder.finals, check_row).entries if row.get("ended_at", 0.0) >= began]
        spans = [*(Span(*words) for words in past), *timeline.spans, *finals_spans(finals)]
        with suppress(OSError):
            write_atomically(folder.timeline, trace(spans))


@contextmanager
def _errors_kept(folder: RunFolder) -> Iterator[None]:
    """Logs an error that ends the session, and says in study.json how it ended."""
    try:
        yield
    except BaseException as error:
        logger.error("the session ends with an error", exc_info=error)
        state = RunState.INTERRUPTED if isinstance(error, KeyboardInterrupt) else RunState.FAILED
        with suppress(OSError, ValueError):
            folder.write_study(study_json.ended(folder.read_study(), state, {}))
        if isinstance(error, USER_ERRORS):
            # What the user asked for was checked before: this one is ours, and ends with a traceback and exit code 1.
            raise RuntimeError("a check failed in a run that had begun") from error
        raise
