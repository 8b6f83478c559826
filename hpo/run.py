"""The main command: python hpo/run.py --model cnn --trials 50

A run, step by step: flags > StudySpec > preflight (checks all of it, makes the Plan) > Session (search, then finals)
> ranking > result files > summary. A command line enters at `main`, Python code at `run_study` or `plan_study`.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # As a script, hpo/ itself leads sys.path and Ray hands that on to its workers; the root belongs there.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

    from hpo.system.interrupt import answer_signals
    from hpo.system.streams import prepare_streams, restart_in_utf8_mode

    restart_in_utf8_mode()
    prepare_streams()
    answer_signals()

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TYPE_CHECKING

from hpo.cli.flags import parse_spec
from hpo.session.result import StudyResult
from hpo.spec.study import StudySpec
from hpo.system.errors import EXPECTED_ERRORS, UserError, report_error
from hpo.system.interrupt import ignore_signals, in_prompt
from hpo.system.leaving import leave
from hpo.system.logs import leave_out_hints
from hpo.system.text import printable
from trainers.cpu.count import usable_cpus

if TYPE_CHECKING:
    from cluster.own_ray.starting import OwnRay
    from hpo.spec.plan import Plan

WORKERS_NEED = ("hpo.worker.trial", "hpo.worker.final")  # the modules that a worker finds imported


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit code."""
    try:
        spec = parse_spec(sys.argv[1:] if argv is None else argv)
        return _answer(spec) if spec else 0
    except EXPECTED_ERRORS as error:
        return report_error(error)


def _answer(spec: StudySpec) -> int:
    """Does what the command line asks for; returns the exit code."""
    if spec.output.dry_run:
        from hpo.session.summary import show_plan

        show_plan(plan_study(spec), spaces=True)
        return 0
    result = run_study(spec)
    if result.error:
        print(f"hpo: {printable(result.error)}", file=sys.stderr)
    return result.exit_code


def run_study(spec: StudySpec) -> StudyResult:
    """Runs, or resumes, a whole study.

    Raises UserError, or an error of its kind, for the user's mistakes, before anything is started or written.
    """
    if spec.output.dry_run:
        raise UserError("dry_run: run_study runs a study; plan_study(spec) says what would run, and runs nothing")
    from hpo.views.phases import past, phase

    past.clear()
    leave_out_hints()
    quiet = spec.output.quiet
    with ExitStack() as at_end:
        with phase("loading PyTorch and Ray", quiet=quiet):
            _check_cluster(spec.resources.address)
            own_ray = at_end.enter_context(_begun_ray(spec.resources.address))
            from hpo.session.lock import locked
            from hpo.session.preflight.planning import preflight
            from hpo.session.session import open_session
            from hpo.session.summary import show_plan, show_results
            from hpo.trials.ranking import rank

        existing = at_end.enter_context(locked(spec))
        with phase("checking settings and images", quiet=quiet):
            plan = preflight(spec, existing.read_study() if existing else None)
        show_plan(plan)
        with open_session(plan, existing, own_ray) as session:
            outcome = session.run()
            ranked = rank(outcome.records, plan.rank_by)
            outcome = session.write(ranked, outcome)
        ignore_signals()
        show_results(ranked, session.folder, plan)
    return StudyResult.of(ranked, outcome, session.folder.path)


def plan_study(spec: StudySpec) -> Plan:
    """What `run_study` would run: architectures with their spaces, data, device, resources. Starts and writes nothing.

    Raises UserError, or an error of its kind, for the user's mistakes.
    """
    from hpo.session.lock import locked
    from hpo.session.preflight.planning import preflight

    _check_cluster(spec.resources.address)
    with locked(spec) as existing:
        return preflight(spec, existing.read_study() if existing else None, is_dry=True)


def _check_cluster(address: str | None) -> None:
    """First of all: an answer within seconds, and the token in place before anything imports Ray."""
    if not address:
        return
    from cluster.connect import check_cluster

    try:
        check_cluster(address)
    except ConnectionError as error:
        raise UserError(str(error)) from error


def _begun_ray(address: str | None) -> AbstractContextManager[OwnRay | None]:
    """Begins to start a local Ray, beside all that is loaded and checked from here on; none for a run on a cluster. In
    a notebook or a Python prompt it is there for the next call, too."""
    from cluster.connect import begun

    return nullcontext() if address else begun(usable_cpus(), WORKERS_NEED, keep=in_prompt())


if __name__ == "__main__":
    code = main()
    ignore_signals()
    leave(code)
