"""What a session writes at its end: the ranked tables, the winner, study.json and the report."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

from hpo.networks.evaluation import evaluate_winner
from hpo.session.outcome import Outcome
from hpo.session.study_json import ended, with_rungs
from hpo.session.winner import write_networks
from hpo.spec.plan import Plan
from hpo.spec.search import SearchSpec
from hpo.spec.study import StudySpec
from hpo.store.checkpoints import Checkpoints
from hpo.store.csv_tables import curves_frame, leaderboard_frame, trials_frame
from hpo.store.run_folder import RunFolder
from hpo.store.stored_run import read_run
from hpo.store.study_file import RunState
from hpo.system.files import write_atomically
from hpo.trials.ranking import Ranked
from hpo.trials.rung_report import report_rungs
from models import is_own

logger = logging.getLogger(__name__)


def write_results(
    ranked: list[Ranked], outcome: Outcome, folder: RunFolder, plan: Plan, checkpoints: Checkpoints
) -> None:
    """Writes all result files, and removes what only a resume would need. Raises OSError where the disk takes none."""
    _write_tables(ranked, outcome, folder)
    is_settled = write_networks(ranked, outcome.finalists, folder, plan, checkpoints)
    _write_study(outcome, folder, plan.spec.search)
    if outcome.state is not RunState.INTERRUPTED:  # whoever interrupts waits for the end, and the page takes seconds
        _write_report(folder, plan.spec)
    shutil.rmtree(folder.tune, ignore_errors=True)
    if outcome.state is RunState.COMPLETE and is_settled:
        checkpoints.storage.clear()
        shutil.rmtree(folder.final_weights, ignore_errors=True)


def _write_tables(ranked: Sequence[Ranked], outcome: Outcome, folder: RunFolder) -> None:
    tables = {
        folder.trials_csv: trials_frame(ranked),
        folder.curves_csv: curves_frame(outcome.records),
        folder.leaderboard_csv: leaderboard_frame(ranked, outcome.finalists),
    }
    for path, frame in tables.items():
        write_atomically(path, frame.to_csv(index=False))


def _write_study(outcome: Outcome, folder: RunFolder, search: SearchSpec) -> None:
    counts = Counter(record.state.value for record in outcome.records)
    further: dict[str, Any] = {"times": outcome.times.to_dict()} if outcome.times else {}
    further |= {"finals_s": round(outcome.finals_s, 3)} if outcome.finals_s else {}
    study = ended(folder.read_study(), outcome.state, dict(counts), further)
    folder.write_study(with_rungs(study, report_rungs(outcome.records, search.rungs, search.epochs)))


def _write_report(folder: RunFolder, spec: StudySpec) -> None:
    from hpo.views.page.report import write_report

    own = [*filter(is_own, spec.search.model), spec.data.dataset]  # the user's, who trusts them
    try:
        evaluate = partial(evaluate_winner, folder.path, spec.data.data_dir, own)
        write_report(read_run(folder.path), folder.report_html, evaluate)
    except OSError:
        raise
    except Exception:
        logger.exception("the report could not be made: hpo report tries again")
