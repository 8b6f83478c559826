"""The main command: flags > spec > preflight > search > rank > write.

python hpo/run.py --model cnn --trials 50
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # As a script, hpo/ itself leads sys.path and Ray hands that on to its workers; the root belongs there.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

    from hpo.system.interrupt import answer_signals
    from hpo.system.streams import prepare_streams, speak_utf8

    speak_utf8()
    prepare_streams()
    answer_signals()

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpo.cli.flags import parse_spec
from hpo.spec.study import StudySpec
from hpo.system.errors import (
    BAD_INPUT,
    FAILED,
    USER_ERRORS,
    UserError,
    machine_fails,
    reader_gone,
    user_message,
)
from hpo.system.interrupt import ignore_signals, interrupted_code
from hpo.system.text import printable

if TYPE_CHECKING:
    import pandas as pd

    from hpo.session.session import Outcome
    from hpo.trials.ranking import Ranked


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit code."""
    try:
        spec = parse_spec(sys.argv[1:] if argv is None else argv)
        result = run_study(spec) if spec else None
    except USER_ERRORS as error:
        print(f"hpo: {user_message(error)}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        return interrupted_code()
    except BrokenPipeError:
        return reader_gone()
    except OSError as error:
        return machine_fails(error)
    if result and result.error:
        print(f"hpo: {printable(result.error)}", file=sys.stderr)
    return result.exit_code if result else 0


def run_study(spec: StudySpec) -> StudyResult | None:
    """Runs, or resumes, a whole study; None for a dry run.

    Raises ValueError for the user's mistakes, before anything is started or written.
    """
    if spec.resources.address:
        _check_cluster(spec.resources.address)
    from hpo.session.preflight.planning import preflight
    from hpo.session.session import Session, locked
    from hpo.session.summary import show_plan, show_results
    from hpo.trials.ranking import rank

    with locked(spec) as existing:
        plan = preflight(spec, existing.read_study() if existing else None)
        show_plan(plan)
        if spec.output.dry_run:
            return None
        with Session(plan, existing) as session:
            outcome = session.run()
            ranked = rank(outcome.records, plan.rank_by)
            outcome = session.write(ranked, outcome)
        ignore_signals()
        show_results(ranked, session.folder, plan, outcome)
    return StudyResult.of(ranked, outcome, session.folder.path)


def _check_cluster(address: str) -> None:
    """First of all: an answer within seconds, and the token in place before anything imports Ray."""
    from cluster.connect import check_cluster

    try:
        check_cluster(address)
    except ConnectionError as error:
        raise UserError(str(error)) from error


@dataclass(frozen=True)
class StudyResult:
    """What came of a run.

    frame: every trial, ranked, in the columns of trials.csv. leaderboard: the finals, in those of leaderboard.csv.
    best: the winner's hyperparameters, None if no trial was usable. folder: results/NAME. state: complete, out of
    time, interrupted or failed. error: why a failed run failed.
    """

    frame: pd.DataFrame
    leaderboard: pd.DataFrame
    best: dict[str, Any] | None
    folder: Path
    state: str
    error: str = ""

    @classmethod
    def of(cls, ranked: list[Ranked], outcome: Outcome, folder: Path) -> StudyResult:
        from hpo.store.csv_tables import leaderboard_frame, trials_frame

        winner = ranked[0].record if ranked else None
        best = winner.config if winner and winner.usable else None
        leaderboard = leaderboard_frame(ranked, outcome.finalists)
        return cls(trials_frame(ranked), leaderboard, best, folder, outcome.state, outcome.error)

    @property
    def exit_code(self) -> int:
        return {"interrupted": interrupted_code(), "failed": FAILED}.get(self.state, 0)


if __name__ == "__main__":
    code = main()
    ignore_signals()
    sys.exit(code)
