"""Each trap between Optuna and Tune, against a real SQLite study."""

from __future__ import annotations

import math
import pickle
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from ray.tune.search import Searcher

from hpo.trials.messages import REPORTS
from tests.helpers.searching import asked, groups, reports, result, searcher


def test_no_more_run_at_once_and_no_more_are_asked_than_wanted(study: optuna.Study) -> None:
    s = searcher(study, wanted=3)
    assert s.suggest("a") and s.suggest("b")
    assert s.suggest("c") is None
    s.on_trial_complete("a", result("completed", (1, 0.5)))
    assert s.suggest("c")
    s.on_trial_complete("b", result("completed", (1, 0.5), number=1))
    assert s.suggest("d") == Searcher.FINISHED
    assert len(study.trials) == 3


def test_after_the_deadline_none_is_asked(study: optuna.Study) -> None:
    assert searcher(study, deadline=time.time() - 1).suggest("a") == Searcher.FINISHED
    assert study.trials == []


def test_trials_cut_short_wait_and_are_handed_out_again_as_themselves(study: optuna.Study) -> None:
    s = searcher(study)
    lanes = [asked(s, name)[0] for name in "ab"]
    s.on_trial_result("a", result("running", (1, 0.4)))
    s.release()
    assert [t.state for t in study.trials] == [TrialState.WAITING] * 2
    again = [asked(searcher(study), name)[0] for name in "ab"]
    assert [(a.number, a.params) for a in again] == [(b.number, b.params) for b in lanes]
    assert study.trials[0].intermediate_values == {1: 0.4}


def test_a_storage_that_fails_ends_the_search_and_raises_nothing(study: optuna.Study, monkeypatch: Any) -> None:
    def locked(*args: Any, **kwargs: Any) -> None:
        raise optuna.exceptions.StorageInternalError("database is locked")

    s = searcher(study)
    s.suggest("a")
    monkeypatch.setattr(study._storage, "set_trial_intermediate_value", locked)
    s.on_trial_result("a", result("running", (1, 0.4)))
    assert "locked" in str(s.fault) and s.suggest("b") == Searcher.FINISHED
    s.on_trial_complete("a", result("running", (1, 0.4)))
    assert s.teller.listener.epochs == [1]  # what the storage refused is in the row all the same
    monkeypatch.setattr(study, "ask", locked)
    other = searcher(study)
    assert other.suggest("a") == Searcher.FINISHED and other.fault


@pytest.mark.parametrize("broken", [{}, {REPORTS: [{}]}, {REPORTS: None}])
def test_a_result_without_what_it_should_hold_raises_nothing(study: optuna.Study, broken: dict[str, Any]) -> None:
    s = searcher(study)
    s.suggest("a")
    s.on_trial_result("a", broken)
    s.on_trial_complete("a", broken)
    assert all(t.state != TrialState.RUNNING for t in study.trials) or s.fault


def test_nothing_of_the_storage_is_pickled(study: optuna.Study, tmp_path: Path) -> None:
    pickled = pickle.dumps(searcher(study))
    assert b"study.db" not in pickled and tmp_path.name.encode() not in pickled


def test_each_lane_is_a_row_and_a_trial_as_soon_as_it_is_over(study: optuna.Study) -> None:
    s = groups(study, size=3, wanted=3)
    s.suggest("a")
    s.on_trial_result("a", reports(("running", 1, 0.5), ("stopped", 1, 0.2), ("diverged", 1, math.nan)))
    assert [t.state for t in study.trials] == [TrialState.RUNNING, TrialState.PRUNED, TrialState.PRUNED]
    assert s.teller.listener.ended == [
        ("cnn-0001", "stopped", TrialState.RUNNING),
        ("cnn-0002", "diverged", TrialState.RUNNING),
    ]
    last = reports(("completed", 2, 0.6), ("stopped", 1, 0.2), ("diverged", 1, math.nan))
    s.on_trial_complete("a", last)
    assert [t.intermediate_values for t in study.trials] == [{1: 0.5, 2: 0.6}, {1: 0.2}, {}]
    assert study.trials[0].state == TrialState.COMPLETE and len(s.teller.listener.ended) == 3


def test_a_worker_that_died_goes_on_with_the_lanes_that_are_left(study: optuna.Study) -> None:
    s = groups(study, size=3, wanted=3)
    s.suggest("a")
    s.on_trial_result("a", reports(("running", 1, 0.5), ("stopped", 1, 0.2), ("running", 1, 0.4)))
    assert [left.number for left in s.restart("a", 1)] == [0, 2]
    s.on_trial_complete("a", reports(("completed", 2, 0.6), ("completed", 2, 0.7), numbers=(0, 2)))
    assert [t.value for t in study.trials] == [0.6, 0.2, 0.7]


def test_reports_are_their_trials_in_whatever_order_they_come(study: optuna.Study) -> None:
    s = groups(study, size=3, wanted=3)
    s.suggest("a")
    s.on_trial_result("a", reports(("running", 1, 0.4), ("stopped", 1, 0.2), ("running", 1, 0.9), numbers=(2, 1, 7)))
    assert [t.intermediate_values for t in study.trials] == [{}, {1: 0.2}, {1: 0.4}]
    s.on_trial_complete("a", reports(("completed", 2, 0.7), ("completed", 2, 0.6), numbers=(2, 0)))
    assert [t.value for t in study.trials] == [0.6, 0.2, 0.7] and s.fault is None


def test_what_an_interrupted_array_leaves_waits_in_the_study(study: optuna.Study) -> None:
    for size in (32, 64):
        study.enqueue_trial({"lr": 1e-2, "dropout": 0.1, "batch_size": size, "activation": "relu"})
    s = groups(study, size=3, wanted=3)
    s.suggest("a")
    s.on_trial_result("a", reports(("running", 1, 0.5), ("stopped", 1, 0.2), numbers=(0, 2)))
    s.release()
    states = [t.state for t in study.trials]
    assert states == [TrialState.WAITING, TrialState.WAITING, TrialState.PRUNED]
