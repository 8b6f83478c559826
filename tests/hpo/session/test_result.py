"""What a program gets of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.session.outcome import Outcome
from hpo.session.result import StudyResult
from hpo.store.study_file import RunState
from hpo.trials.ranking import rank
from hpo.trials.records import TrialState
from tests.helpers.records import record


def test_the_best_is_the_first_ranks_configuration() -> None:
    records = [record(n, val_accuracy=n / 10, config={"lr": n / 100}) for n in range(3)]
    outcome = Outcome(records, RunState.COMPLETE)
    result = StudyResult.of(rank(records), outcome, Path("results/a"))
    assert result.best == {"lr": 0.02} and result.folder == Path("results/a")
    assert list(result.frame["trial_id"]) == ["cnn-0002", "cnn-0001", "cnn-0000"] and len(result.leaderboard) == 1


def test_a_run_without_a_usable_trial_has_no_best() -> None:
    records = [record(0, state=TrialState.FAILED, config={"lr": 0.1})]
    assert StudyResult.of(rank(records), Outcome(records, RunState.FAILED), Path()).best is None
    assert StudyResult.of([], Outcome([], RunState.INTERRUPTED), Path()).best is None


@pytest.mark.parametrize(
    ("state", "code"),
    [(RunState.COMPLETE, 0), (RunState.OUT_OF_TIME, 0), (RunState.FAILED, 1), (RunState.INTERRUPTED, 130)],
)
def test_the_exit_code_tells_how_it_ended(state: RunState, code: int) -> None:
    assert StudyResult.of([], Outcome([], state), Path()).exit_code == code
