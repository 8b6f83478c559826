"""How a run is said to have ended, and how it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.session.outcome import Judge, resume_command
from hpo.spec.output import OutputSpec
from hpo.store.study_file import RunState
from hpo.trials.records import TrialState
from tests.helpers.records import record

FAULT = "no disk; when that is mended, go on with: GO ON"
JUDGE = Judge(2, "GO ON")
GOOD = [record(n, val_accuracy=0.9) for n in range(2)]


def test_all_trials_are_a_complete_run() -> None:
    outcome = JUDGE.outcome(GOOD)
    assert (outcome.records, outcome.state, outcome.error) == (GOOD, RunState.COMPLETE, "")
    assert outcome.state == "complete"  # as it stands in study.json


@pytest.mark.parametrize(
    ("count", "asked", "state", "error"),
    [
        (1, {}, RunState.OUT_OF_TIME, "out of time after 1 of 2 trials; go on with: GO ON"),
        (0, {"interrupted": True}, RunState.INTERRUPTED, "interrupted; go on with: GO ON"),
        (2, {"fault": "no disk"}, RunState.FAILED, FAULT),
        (2, {"fault": "no disk", "interrupted": True}, RunState.FAILED, FAULT),
    ],
)
def test_a_run_that_is_not_complete_says_how_to_go_on(
    count: int, asked: dict[str, object], state: RunState, error: str
) -> None:
    outcome = JUDGE.outcome(GOOD[:count], **asked)  # type: ignore[arg-type]
    assert (outcome.state, outcome.error) == (state, error)


def test_a_run_without_a_usable_trial_has_failed() -> None:
    failed = [record(n, state=TrialState.FAILED, error=f"E{n}") for n in range(2)]
    assert JUDGE.outcome(failed).error == "every trial failed, the first with: E0"
    diverged = [record(0, state=TrialState.DIVERGED, error="not finite"), failed[1]]
    outcome = JUDGE.outcome(diverged)
    assert (outcome.state, outcome.error) == (RunState.FAILED, "no trial is usable, the first with: not finite")


def test_a_fault_at_the_end_keeps_what_was_measured() -> None:
    complete = JUDGE.outcome(GOOD)
    failed = JUDGE.failed(complete, "no disk")
    assert failed.records == GOOD and failed.state is RunState.FAILED and failed.error.startswith("no disk; ")


def test_the_command_to_go_on_says_what_is_not_the_default() -> None:
    assert resume_command("a", OutputSpec(), ["cnn"]) == "python hpo/run.py --resume a"
    elsewhere = OutputSpec(results_dir=Path("my results"))
    assert resume_command("a b", elsewhere, ["cnn", "x:y"]) == (
        "python hpo/run.py --resume 'a b' --results-dir 'my results' --model cnn x:y"
    )
