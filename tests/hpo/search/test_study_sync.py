"""An Optuna study that is made to agree with what became of its trials."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.trial import TrialState

from hpo.search.study_sync import reconcile, restore, tell
from hpo.trials.records import TrialState as TrialRecordState
from tests.helpers.records import record
from tests.helpers.searching import SPACE, asked, result, searcher


def test_after_a_kill_the_study_is_made_to_agree_with_the_journal(study: optuna.Study) -> None:
    s = searcher(study)
    s.set_max_concurrency(4)
    for name in "abcd":
        s.suggest(name)
    tell(study, 0, TrialRecordState.COMPLETED, 0.5)
    ended = {"cnn-0000": ("completed", 0.5), "cnn-0001": ("completed", 0.7), "cnn-0002": ("stopped", 0.1)}
    reconcile(study, {name: (TrialRecordState(state), value) for name, (state, value) in ended.items()})
    states = [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.WAITING]
    assert [t.state for t in study.trials] == states and study.best_value == 0.7


def test_a_study_that_is_behind_its_journal_gives_no_number_twice(study: optuna.Study) -> None:
    def row(state: str, lr: float) -> Any:
        curve = [{"epoch": 1, "val_accuracy": 0.5}, {"epoch": 2, "val_accuracy": 0.6}]
        return record(0, config={"lr": lr}, state=TrialRecordState(state), val_accuracy=0.6, curve=curve)

    study.enqueue_trial({"lr": 0.001})
    s = searcher(study)
    s.suggest("a")
    s.on_trial_complete("a", result("completed", (1, 0.4)))
    rows = {"cnn-0000": row("completed", 0.001), "cnn-0002": row("stopped", 0.01), "cnn-0003": row("completed", 0.02)}
    restore(study, rows, SPACE)
    assert [t.state.name for t in study.trials] == ["COMPLETE", "WAITING", "PRUNED", "COMPLETE"]
    assert study.trials[3].params == {"lr": 0.02} and study.trials[2].intermediate_values == {1: 0.5, 2: 0.6}
    s = searcher(study)
    assert [asked(s, name)[0].trial_id for name in "bc"] == ["cnn-0001", "cnn-0004"]
    restore(study, rows, SPACE)
    assert len(study.trials) == 5


def test_a_study_that_is_lost_hands_interrupted_trials_out_again_as_they_were(study: optuna.Study) -> None:
    restore(study, {}, SPACE, cut_short={"cnn-0002": {"lr": 0.03}, "cnn-0000": {"lr": 0.04}})
    assert [t.state.name for t in study.trials] == ["WAITING"] * 3
    s = searcher(study)
    s.set_max_concurrency(3)
    handed_out = [asked(s, name)[0] for name in "abc"]
    assert [lane.trial_id for lane in handed_out] == ["cnn-0000", "cnn-0001", "cnn-0002"]
    assert [handed_out[n].params for n in (0, 2)] == [{"lr": 0.04}, {"lr": 0.03}]


def test_what_is_left_of_an_ask_that_failed_is_no_zombie(study: optuna.Study) -> None:
    study.ask()
    s = searcher(study)
    s.suggest("a")
    s.release()
    assert [t.state for t in study.trials] == [TrialState.FAIL, TrialState.WAITING]


def test_drivers_of_one_study_leave_each_others_trials_alone(study: optuna.Study) -> None:
    mine, yours = searcher(study, driver="mine"), searcher(study, driver="yours")
    for name in "ab":
        mine.suggest(name)
        yours.suggest(name)
    mine.release()
    assert [t.state.name for t in study.trials] == ["WAITING", "RUNNING", "WAITING", "RUNNING"]
    assert yours.suggest("c") is None  # two run already
    reconcile(study, {"cnn-0001": (TrialRecordState.COMPLETED, 0.9)}, "mine")
    assert [t.state.name for t in study.trials] == ["WAITING", "RUNNING", "WAITING", "RUNNING"]
    reconcile(study, {"cnn-0001": (TrialRecordState.COMPLETED, 0.9)}, "yours")
    assert [t.state.name for t in study.trials] == ["WAITING", "COMPLETE", "WAITING", "WAITING"]
